"""Why a file is no video, in one clause a person understands."""

from pathlib import Path


def not_a_video(path: Path) -> str:
    """The reason, from the first bytes of a file that FFmpeg would not open."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        return "empty file"
    if head[4:8] in (b"ftyp", b"wide", b"free", b"mdat") and not _has_index(path):
        return "cut short: the index at its end (moov atom) is missing"
    if _is_text(head):
        return "a text file, not a video"
    return "no format of video that FFmpeg knows, or damaged at its start"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8", errors="strict" if len(head) < 4096 else "ignore")
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c.isspace() for c in text)


def _has_index(path: Path) -> bool:
    """Whether the top level of an ISO media file has a whole ``moov`` atom."""
    size = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            elif length == 0:
                length = size - at
            if header[4:8] == b"moov":
                return at + length <= size
            if length < 8:
                return False
            at += length
    return False
