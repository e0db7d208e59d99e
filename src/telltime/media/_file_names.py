"""Times in the names that phones, messengers and webcams give to their files."""

import re
from datetime import UTC, datetime, timedelta

from telltime.media._timestamps import EARLIEST, Stamp, parse_offset

_TIME = re.compile(
    r"""(?<!\d)
    (?P<year>(?:19|20)\d\d)(?P<dash>[-_.:]?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)
    (?:[T_.\-]|\s*,?\s+(?:at|kl\.|um|à|a\ las)?\s*)?
    (?P<hour>\d\d?)(?P<colon>[-_.:h]?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d)(?:[.,_-]?(?P<part>\d{3}))?)?
    (?:\s*(?P<half>[AP])M\b)?
    (?P<zone>Z|[+-]\d\d:?\d\d)?
    (?!\d)""",
    re.VERBOSE | re.IGNORECASE,
)
_DATE = re.compile(r"(?<!\d)(?P<year>(?:19|20)\d\d)([-_.:]?)(?P<month>\d\d)\2(?P<day>\d\d)(?!\d)")
_EPOCH = re.compile(r"(?:^|[_-])(?P<ms>1\d{12})(?!\d)")
_PASSED_ON = re.compile(
    r"^(signal|whatsapp|photo_|video_|fb_img|received_|telegram|image_picker|snapchat)", re.IGNORECASE
)
_SCREEN = re.compile(r"screen[ _-]?(shot|recording)|bildschirmfoto|capture d.écran|captura", re.IGNORECASE)


def name_stamp(stem: str) -> tuple[Stamp | None, str | None]:
    """The time in a file name, without its suffix, and a sentence where the name gives a date alone.

    Names of Google's phones (``PXL_``) and names whose time ends in ``Z`` give UTC, the others civil time. Names that
    messengers give tell when a picture was sent or saved.
    """
    if epoch := _EPOCH.search(stem):
        time = datetime.fromtimestamp(int(epoch["ms"]) / 1000, UTC).replace(tzinfo=None)
        remark = "the file name gives the moment of sending or saving"
        return Stamp(time, "file name", "weak", utc=True, remark=remark, compare=False), None
    for found in _TIME.finditer(stem):
        if (stamp := _stamp(stem, found)) is not None:
            return stamp, None
    for found in _DATE.finditer(stem):
        if (day := _moment(found)) is not None and day >= EARLIEST:
            return None, f"the file name gives the date {day:%Y-%m-%d} and no time"
    return None, None


def _stamp(stem: str, found: re.Match[str]) -> Stamp | None:
    if len(found["hour"]) == 1 and not (found["colon"] and found["second"]):
        return None  # 2023-06-13-4567: a number, not a time
    if not found["second"] and not (found["colon"] and found["dash"]):
        return None
    time = _moment(found)
    if time is None:
        return None
    before, zone = stem[: found.start()], found["zone"]
    google = before.upper().endswith("PXL_")
    if google or zone in ("Z", "z"):
        camera = None if google else before.strip(" _-.") or None
        return Stamp(time, "file name (UTC)", "derived", utc=True, camera=camera)
    try:
        offset = parse_offset(zone) if zone else None
    except ValueError:
        offset = None
    if _SCREEN.search(stem):
        remark = "the file name is that of a screenshot"
        return Stamp(time, "file name", "weak", offset=offset, remark=remark, compare=False)
    if _PASSED_ON.match(stem):
        remark = "the file name gives the moment of sending or saving"
        return Stamp(time, "file name", "weak", offset=offset, remark=remark, compare=False)
    return Stamp(time, "file name", "weak", offset=offset)


def _moment(found: re.Match[str]) -> datetime | None:
    parts = found.groupdict()
    hour = int(parts.get("hour") or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half in "pP")
    try:
        time = datetime(*(int(parts[key]) for key in ("year", "month", "day")))  # type: ignore[arg-type]
        time = time.replace(hour=hour, minute=int(parts.get("minute") or 0), second=int(parts.get("second") or 0))
    except ValueError:
        return None
    return time + timedelta(milliseconds=int(parts.get("part") or 0))
