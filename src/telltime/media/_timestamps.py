"""Times as files write them: EXIF's colons, ISO 8601, and what cameras make of either."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1990, 1, 1)
"""No digital photo is older; scans of paper tell when they were scanned, if anything."""

_DATE = r"(?P<year>\d{4})[:\-/.](?P<month>\d{1,2})[:\-/.](?P<day>\d{1,2})"
_CLOCK = r"(?P<hour>\d{1,2})[:.](?P<minute>\d{1,2})(?:[:.](?P<second>\d{1,2})(?:[.,](?P<part>\d+))?)?"
_ZONE = r"(?P<zone>Z|[+-]\d{1,2}(?::?\d{2})?)"
_TIME = re.compile(rf"{_DATE}(?:(?:T|\s+){_CLOCK}(?:\s*(?P<half>[AP])\.?M\.?)?\s*{_ZONE}?)?", re.IGNORECASE)
_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?")


@dataclass(frozen=True)
class Stamp:
    """One time that a file gives.

    Attributes:
        time: without a zone; civil time, or UTC where ``utc`` is set.
        source: where it was found, for people.
        sure: ``"stated"`` for the moment of capture in so many words, ``"derived"`` where a zone has to be added to
            UTC, ``"weak"`` for what usually is that moment.
        utc: whether ``time`` is UTC.
        offset: civil time less UTC, where the file says so.
        camera: what the source says of the camera.
        remark: a sentence to pass on when this time is used.
        compare: whether it can be held against other times: not so where it tells of sending or saving.
    """

    time: datetime
    source: str
    sure: str = "stated"
    utc: bool = False
    offset: timedelta | None = None
    camera: str | None = None
    remark: str | None = None
    compare: bool = True


def clean(value: object) -> str:
    """Text of a field: cut at the first NUL, spaces and control characters at its ends taken off."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(c if c.isprintable() else " " for c in text.partition("\0")[0]).strip()


def parse_time(value: object) -> tuple[datetime, timedelta | None] | None:
    """A time without a zone and the offset written after it.

    Accepts EXIF (``2023:06:13 09:12:07``) and ISO 8601, other separators, missing seconds, parts of seconds, AM and PM,
    an hour of 24 and a second of 60.

    Returns:
        ``None`` where the field is blank.

    Raises:
        ValueError: it says something, but no time; the message is one clause.
    """
    text = clean(value)
    if not re.search(r"\w", text):
        return None
    if not re.search(r"[^\W0]", text.replace("T", "").replace("Z", "")):
        raise ValueError(f"{text[:40]!r} is a date of zeros")
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text[:40]!r} is no date and time")
    if found["hour"] is None:
        raise ValueError(f"{text[:40]!r} is a date without a time")
    hour, second = int(found["hour"]), int(found["second"] or 0)
    if found["half"]:
        hour = hour % 12 + 12 * (found["half"] in "pP")
    part = int((found["part"] or "0")[:6].ljust(6, "0"))
    late = timedelta(days=hour == 24)
    try:
        day = datetime(int(found["year"]), int(found["month"]), int(found["day"]))
        time = day.replace(hour=0 if late else hour, minute=int(found["minute"]), second=second - (second == 60)) + late
    except (ValueError, OverflowError):
        raise ValueError(f"{text[:40]!r} is on no calendar and no clock") from None
    return time.replace(microsecond=part), parse_offset(found["zone"]) if found["zone"] else None


def parse_offset(value: object) -> timedelta | None:
    """An offset from UTC such as ``+02:00``, ``-0730`` or ``Z``; ``None`` where the field is blank.

    Raises:
        ValueError: it is none, or beyond the 14 hours that clocks on earth keep.
    """
    text = clean(value)
    if not re.search(r"[\w+-]", text):
        return None
    if text in ("Z", "z"):
        return timedelta(0)
    found = _OFFSET.fullmatch(text)
    size = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0)) if found else None
    if not found or size is None or size > timedelta(hours=14):
        raise ValueError(f"{text[:20]!r} is no offset from UTC")
    return -size if found["sign"] == "-" else size


def implausible(time: datetime, now: datetime | None = None) -> str | None:
    """Why a civil time cannot, or can hardly, be when a photo was taken; ``None`` if it can."""
    now = now or datetime.now(UTC).replace(tzinfo=None)
    if time < EARLIEST:
        return f"before {EARLIEST.year}"
    if time > now + timedelta(days=1):
        return "in the future"
    if time.replace(microsecond=0) == datetime(time.year, 1, 1):
        return "what a clock shows that was never set"
    return None


def said(offset: timedelta) -> str:
    """An offset as people write it: ``+02:00``."""
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
