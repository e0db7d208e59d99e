"""Times, place and camera in a picture's EXIF, XMP and text, whatever state they are in."""

import re
import warnings
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from PIL import Image

from telltime.media._found import Found
from telltime.media._png import png_metadata
from telltime.media._timestamps import clean, parse_time
from telltime.media.image import register_heif

_EXIF, _GPS = 0x8769, 0x8825
_MAKE, _MODEL, _CHANGED, _XMP_TAG = 0x010F, 0x0110, 0x0132, 0x02BC
_ORIGINAL, _DIGITIZED, _SERIAL, _OTHER_SERIAL = 0x9003, 0x9004, 0xA431, 0xC62F
_OFFSET, _OFFSET_ORIGINAL, _OFFSET_DIGITIZED = 0x9010, 0x9011, 0x9012
_PART_ORIGINAL, _PART_DIGITIZED = 0x9291, 0x9292
_WHOLE = 2**26
"""Bytes of a file that are searched for metadata where its container is not understood."""

_XMP = (
    ("{http://ns.adobe.com/exif/1.0/}DateTimeOriginal", "XMP exif:DateTimeOriginal", "stated"),
    ("{http://ns.adobe.com/photoshop/1.0/}DateCreated", "XMP photoshop:DateCreated", "stated"),
    ("{http://ns.adobe.com/xap/1.0/}CreateDate", "XMP xmp:CreateDate", "weak"),
)
_TIFF, _MARKED = re.compile(rb"II\*\0|MM\0\*"), re.compile(rb"Exif\0\0(?:II\*\0|MM\0\*)")
Tags = tuple[dict[int, Any], dict[int, Any], dict[int, Any]]
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


_EMPTY = 32
"""Bytes of an EXIF segment that may hold nothing but its header and an empty directory."""


def picture_times(path: Path) -> Found:
    """What the picture at ``path`` says; damage is told in notes."""
    found, exif, xmp, texts, tags = Found(), None, None, {}, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            png = png_metadata(path)
            if png is not None:
                texts, xmp = dict(png), png.get("xmp")
                tags = _tags(_loaded(png["exif"], found) if "exif" in png else None, found)
            else:
                if path.suffix.lower() in (".heic", ".heif"):
                    register_heif()
                with Image.open(path) as image:
                    exif, xmp = _exif(image, found), image.info.get("xmp")
                    tags = _tags(exif, found)
                    xmp = xmp or tags[0].get(_XMP_TAG)
    except Exception as error:  # whatever a decoder makes of a broken file: its metadata may still be whole
        exif, xmp = _searched(path, found)
        if exif is None and xmp is None:
            found.notes.append(f"no picture known here, or damaged at its start ({type(error).__name__})")
    tags = tags or _tags(exif, found)
    _times(found, *tags)
    _position(found, tags[2])
    found.camera = _camera(tags[0], tags[1])
    if xmp:
        _xmp(found, xmp)
    if created := texts.get("Creation Time") or texts.get("creation time"):
        _created(found, created)
    if changed := tags[0].get(_CHANGED):
        _changed(found, changed)
    # Statements come before what is worked out, and that before what usually is right.
    found.stamps.sort(key=lambda stamp: ("stated", "derived", "weak").index(stamp.sure))
    return found


def _exif(image: Any, found: Found) -> Any:
    try:
        exif = image.getexif()
        if not len(exif) and len(image.info.get("exif", b"")) > _EMPTY:
            found.notes.append("EXIF is damaged: nothing in it can be read")
        return exif
    except Exception as error:  # broken segments make Pillow raise errors of many types
        found.notes.append(f"EXIF is damaged: {error}"[:120])
        return None


def _loaded(data: bytes, found: Found) -> Any:
    exif = Image.Exif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exif.load(data)
    except Exception as error:  # as above
        found.notes.append(f"EXIF is damaged: {error}"[:120])
        return None
    return exif


def _tags(exif: Any, found: Found) -> Tags:
    """The fields of the picture, of the camera and of the satellites."""
    parts: list[dict[int, Any]] = []
    for name, number in (("EXIF", None), ("EXIF", _EXIF), ("EXIF GPS", _GPS)):
        part: dict[int, Any] = {}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read = {} if exif is None else exif if number is None else exif.get_ifd(number)
                for key in list(read):
                    part[key] = read[key]
        except Exception as error:  # as above
            found.notes.append(f"{name} is damaged: {error}"[:120])
        parts.append(part)
    return parts[0], parts[1], parts[2]


def _times(found: Found, base: dict[int, Any], camera: dict[int, Any], gps: dict[int, Any]) -> None:
    original = camera.get(_ORIGINAL)
    offset = found.offset(camera.get(_OFFSET_ORIGINAL), "EXIF OffsetTimeOriginal")
    if offset is None and original is not None and clean(original) == clean(base.get(_CHANGED, "")):
        # OffsetTime belongs to the last change; it tells of the capture where the two are one moment.
        offset = found.offset(camera.get(_OFFSET), "EXIF OffsetTime")
    found.add(original, "EXIF DateTimeOriginal", part=camera.get(_PART_ORIGINAL), offset=offset)
    offset = found.offset(camera.get(_OFFSET_DIGITIZED), "EXIF OffsetTimeDigitized")
    part = camera.get(_PART_DIGITIZED)
    found.add(camera.get(_DIGITIZED), "EXIF DateTimeDigitized", "weak", part=part, offset=offset)
    found.gps = found.tried(_satellite_time, gps, "EXIF GPS time")
    if found.gps is not None:
        found.add(f"{found.gps:%Y-%m-%d %H:%M:%S.%f}", "EXIF GPS time", "derived", utc=True, compare=False)


def _satellite_time(gps: Any) -> datetime | None:
    date, clock = gps.get(29), gps.get(7)
    if date is None or clock is None or not clean(date):
        return None
    try:
        hour, minute, second = (float(part) for part in clock)
        day = datetime.strptime(re.sub(r"[-/.]", ":", clean(date)), "%Y:%m:%d")
        seconds = 3600 * hour + 60 * minute + second
        if not 0 <= seconds <= 86_401:
            raise ValueError
        return day + timedelta(seconds=seconds)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        raise ValueError(f"{clean(date)[:20]!r} and {clean(clock)[:40]} are no date and time") from None


def _position(found: Found, gps: dict[int, Any]) -> None:
    if not any(gps.get(key) for key in (2, 4)):
        return
    try:
        latitude = _degrees(gps[2]) * (-1 if clean(gps.get(1, "N")).upper().startswith("S") else 1)
        longitude = _degrees(gps[4]) * (-1 if clean(gps.get(3, "E")).upper().startswith("W") else 1)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        found.notes.append("EXIF GPS position cannot be read")
        return
    if clean(gps.get(9, "A")).upper() == "V":
        found.notes.append("EXIF GPS position is marked as void by its receiver")
        return
    found.place(latitude, longitude, "EXIF GPS position")


def _degrees(parts: Any) -> float:
    numbers = [float(part) for part in (parts if isinstance(parts, tuple | list) else (parts,))]
    if not 1 <= len(numbers) <= 3:
        raise ValueError
    return sum(number / 60**power for power, number in enumerate(numbers))


def _camera(base: dict[int, Any], camera: dict[int, Any]) -> str | None:
    make, model = clean(base.get(_MAKE, "")), clean(base.get(_MODEL, ""))
    serial = clean(camera.get(_SERIAL) or base.get(_OTHER_SERIAL) or "")
    name = model if model.casefold().startswith(make.casefold()) else f"{make} {model}"
    return " ".join(f"{name} {serial}".split()) or None


def _xmp(found: Found, packet: Any) -> None:
    import xml.etree.ElementTree as ElementTree

    data = packet if isinstance(packet, bytes) else str(packet).encode("utf-8", "replace")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        found.notes.append("XMP declares entities and is not read")
        return
    fields: dict[str, str] = {}
    try:
        start, end = data.find(b"<"), data.rfind(b">")
        for element in ElementTree.fromstring(data[start : end + 1]).iter():
            for name, value in (*element.attrib.items(), (element.tag, element.text)):
                if value and value.strip():
                    fields.setdefault(name, value.strip())
    except (ElementTree.ParseError, ValueError, LookupError):
        found.notes.append("XMP is damaged")
    dated = _DAY.match(fields.get(_XMP[1][0], ""))
    for name, source, sure in _XMP:
        value = fields.get(name)
        if sure == "weak" and dated and value and not value.startswith(dated[0]):
            found.notes.append(f"{source} {value} is of another day than {_XMP[1][1]} {dated[0]}, and left out")
        else:
            found.add(value, source, sure)


def _created(found: Found, text: Any) -> None:
    """The text that PNG writers call creation time: RFC 1123 by the standard, ISO 8601 by many."""
    try:
        time = parsedate_to_datetime(clean(text))
    except (ValueError, TypeError, IndexError):
        found.add(text, "PNG creation time", "weak")
    else:
        found.add(time.isoformat(), "PNG creation time", "weak")


def _changed(found: Found, value: Any) -> None:
    """The last change is not the capture; where nothing else is told, say that it is there."""
    if found.stamps:
        return
    try:
        read = parse_time(value)
    except ValueError:
        return
    if read is not None:
        found.notes.append(
            f"EXIF DateTime {read[0]:%Y-%m-%d %H:%M:%S} is the last change and not taken for the capture"
        )


def _searched(path: Path, found: Found) -> tuple[Any, bytes | None]:
    """EXIF and XMP by their marks in a file whose container is not understood."""
    try:
        with path.open("rb") as file:
            data = file.read(_WHOLE)
    except OSError as error:
        found.notes.append(f"cannot be read: {error.strerror}")
        return None, None
    # HEIC names its EXIF in a table before it gives it, so the name alone is no mark; some leave it out of the block.
    mark = _TIFF.match(data) or _MARKED.search(data)
    if mark is None and path.suffix.lower() in (".avif", ".heic", ".heif"):
        mark = _TIFF.search(data)
    exif = _loaded(data[mark.start() : mark.start() + 2**20], found) if mark else None
    start = data.find(b"<x:xmpmeta")
    end = data.find(b"</x:xmpmeta>", start)
    return exif, data[start : end + len(b"</x:xmpmeta>")] if 0 <= start < end else None
