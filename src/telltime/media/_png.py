"""The chunks of a PNG that tell of its making, found without decoding a pixel."""

import struct
from pathlib import Path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LARGEST = 2**24


def png_metadata(path: Path) -> dict[str, bytes] | None:
    """Metadata of a PNG, wherever in the file it stands.

    Returns:
        ``"exif"`` and ``"xmp"`` as they stand, and the text chunks by their keywords; ``None`` if it is no PNG. What
        follows a broken chunk is not read, nor are compressed chunks.
    """
    found: dict[str, bytes] = {}
    with path.open("rb") as file:
        if file.read(8) != _SIGNATURE:
            return None
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind not in (b"eXIf", b"tEXt", b"iTXt") or length > _LARGEST:
                if kind == b"IEND" or length >= 2**31:
                    break
                file.seek(length + 4, 1)
                continue
            data = file.read(length)
            file.seek(4, 1)
            keyword, _, text = data.partition(b"\0")
            if kind == b"eXIf":
                found.setdefault("exif", data)
            elif kind == b"tEXt":
                found.setdefault(keyword.decode("latin-1"), text)
            elif text[:1] == b"\0":  # not compressed; then come the method, a language and a translated keyword
                name = "xmp" if keyword == b"XML:com.adobe.xmp" else keyword.decode("latin-1")
                found.setdefault(name, text[2:].partition(b"\0")[2].partition(b"\0")[2])
    return found
