"""Why a file is no video, in one clause a person understands."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error

from telltime.media.errors import DecodeTimeout, MediaError, MediaNotFound, Unreadable


def refuse_text(path: Path) -> None:
    """Raise if a file is plain text: FFmpeg would take some for lists of other files to open, or draw them."""
    with path.open("rb") as file:
        head = file.read(4096)
    if _is_text(head) and not head.startswith(b"YUV4MPEG2"):
        raise Unreadable(path, "a text file, not a video")


def not_a_video(path: Path) -> str:
    """The reason, from the first bytes of a file that FFmpeg would not open."""
    with path.open("rb") as file:
        head = file.read(4096)
    if not head:
        return "empty file"
    if head[4:8] in (b"ftyp", b"wide", b"free", b"mdat") and not _has_index(path):
        return "cut short: the index at its end (moov atom) is missing"
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


@contextmanager
def media_errors(path: Path, seconds: float) -> Iterator[None]:
    """What FFmpeg raises, as this package's errors."""
    try:
        yield
    except MediaError:
        raise
    except av.error.FileNotFoundError:
        raise MediaNotFound(path, "no such file") from None
    except PermissionError:
        raise Unreadable(path, "permission denied") from None
    except (av.error.ExitError, av.error.TimeoutError):
        raise DecodeTimeout(path, f"reading took longer than the limit of {seconds:g} seconds") from None
    except av.error.InvalidDataError:
        raise Unreadable(path, not_a_video(path)) from None
    except (av.error.FFmpegError, OSError, ValueError, IndexError) as error:
        raise Unreadable(path, f"FFmpeg says: {getattr(error, 'strerror', None) or error}") from None


def picture_stream(path: Path, container: Any) -> Any:
    """The first stream of moving pictures; covers of music files are none."""
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        raise Unreadable(path, "no video stream" + (", only sound" if container.streams.audio else ""))
    stream = streams[0]
    if stream.codec_context is None:
        raise Unreadable(path, "its codec has no decoder here")
    if not stream.codec_context.width or not stream.codec_context.height:
        raise Unreadable(path, "the video stream has no picture size")
    return stream
