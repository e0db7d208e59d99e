"""When a photo was taken, as its taker's clock showed it; how that is known, and how surely.

>>> capture = read_capture("IMG_2041.jpg")
>>> capture.local, capture.source, capture.sure
(datetime.datetime(2023, 6, 13, 18, 4, 9), 'EXIF DateTimeOriginal', 'stated')
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from telltime.media._file_names import name_stamp
from telltime.media._found import Found
from telltime.media._timestamps import Stamp, implausible, said
from telltime.media.errors import MediaNotFound
from telltime.media.zones import local_at, offset_of, twice, zone_at, zone_of

Sure = Literal["stated", "derived", "weak", "none"]

_QUARTER, _DAY = timedelta(minutes=15), timedelta(days=1)
_STALE = timedelta(minutes=30)
"""How old the fix of a receiver may be that a camera writes beside its own time."""

_APART = timedelta(minutes=2)


@dataclass(frozen=True)
class Capture:
    """When and where a photo was taken.

    Attributes:
        local: civil time at the place, without a zone; ``fold`` tells the second of two equal times. ``None`` where it
            is not known.
        offset: civil time less UTC; ``None`` where it is not known.
        zone: IANA name of the zone, by position or as given by the user; never guessed from anything else.
        source: what ``local`` was taken from, for people; ``"none"`` where there is nothing.
        sure: ``"stated"``: the file says so in so many words; ``"derived"``: worked out from UTC and a zone;
            ``"weak"``: from what usually agrees with it (a file name, when it was digitized) or against something else
            in the file, or hardly possible; ``"none"``: no civil time is known.
        latitude, longitude: degrees, north and east positive.
        camera: make, model and serial number, or the name that a webcam puts before its times.
        notes: sentences on what was contradictory, impossible or left out.
        moment: UTC where the file tells it and no zone is known, so that ``local`` and ``offset`` are ``None``.
    """

    local: datetime | None = None
    offset: timedelta | None = None
    zone: str | None = None
    source: str = "none"
    sure: Sure = "none"
    latitude: float | None = None
    longitude: float | None = None
    camera: str | None = None
    notes: tuple[str, ...] = ()
    moment: datetime | None = None

    @property
    def hour(self) -> float | None:
        """Whole minutes since local midnight / 60, in [0, 24)."""
        return None if self.local is None else self.local.hour + self.local.minute / 60

    @property
    def day(self) -> date | None:
        """The local date."""
        return None if self.local is None else self.local.date()

    @property
    def utc(self) -> datetime | None:
        """The moment, aware and in UTC; ``None`` unless it is told or follows from ``local`` and ``offset``."""
        if self.local is not None and self.offset is not None:
            return self.local.replace(tzinfo=UTC, fold=0) - self.offset
        return self.moment


def read_capture(path: str | Path, zone: str | None = None) -> Capture:
    """When the photo or video at ``path`` was taken.

    Tried in this order: EXIF ``DateTimeOriginal``, XMP's times of capture, Apple's creation date of a video; then UTC
    (by satellite, a video's creation time, a file name) in the zone of the position or in ``zone``; then when it was
    digitized or created, and file names in civil time. What is impossible is passed over where anything else is there.

    Args:
        path: a picture, or a video; only its head is read. One that is damaged is read as far as it goes.
        zone: IANA name of the zone to assume for photos that tell UTC and no position. Positions go before it.

    Raises:
        MediaNotFound: there is no such file. Nothing else about the file raises; see ``notes``.
        UnknownZone: ``zone`` is none.
    """
    path = Path(path)
    if zone is not None:
        zone_of(zone)
    if not path.is_file():
        raise MediaNotFound(path, "not a regular file" if path.exists() else "no such file")
    found = _found(path)
    named, remark = name_stamp(path.stem)
    if named is not None:
        found.stamps.append(named)
        found.camera = found.camera or named.camera
    found.stamps.sort(key=lambda stamp: ("stated", "derived", "weak").index(stamp.sure))
    here = None
    if found.latitude is not None and found.longitude is not None:
        here = zone_at(found.latitude, found.longitude)
    capture = _chosen(found, here or zone)
    if remark and capture.local is None:
        found.notes.append(remark)
    if (
        here
        and zone
        and here != zone
        and capture.local
        and offset_of(here, capture.local) != offset_of(zone, capture.local)
    ):
        found.notes.append(f"the position is in {here}, not in {zone}")
    return _with(capture, found)


def _found(path: Path) -> Found:
    from telltime.media import _video_times

    if path.suffix.lower() in _video_times.SUFFIXES:
        return _video_times.video_times(path)
    from telltime.media._picture_times import picture_times

    return picture_times(path)


def _chosen(found: Found, zone: str | None) -> Capture:
    """The first time that can be told and can be true; else the first that can be told."""
    usable: list[tuple[Stamp, datetime]] = []
    doubted: list[tuple[Stamp, datetime]] = []
    untold: list[Stamp] = []
    for stamp in found.stamps:
        local = stamp.time if not stamp.utc else local_at(zone, stamp.time) if zone else None
        if reason := implausible(local or stamp.time):
            found.notes.append(f"{stamp.source} {stamp.time:%Y-%m-%d %H:%M:%S} is {reason}")
        if local is None:
            untold += [] if reason else [stamp]
        else:
            (doubted if reason else usable).append((stamp, local))
    if usable:
        _compare(found, usable)
        return _resolved(found, *usable[0], zone)
    if untold:
        stamp = untold[0]
        found.notes.append(f"{stamp.time:%Y-%m-%dT%H:%M:%SZ} by the {stamp.source}, but the time zone is not known")
        return Capture(source=stamp.source, moment=stamp.time.replace(tzinfo=UTC))
    if doubted:
        return _with(_resolved(found, *doubted[0], zone), found, "weak")
    return Capture()


def _resolved(found: Found, stamp: Stamp, local: datetime, zone: str | None) -> Capture:
    """The capture that ``stamp`` tells, its offset found and held against the satellites."""
    sure: Sure = stamp.sure  # type: ignore[assignment]
    if stamp.remark:
        found.notes.append(stamp.remark)
    if stamp.utc:
        return Capture(local, local - stamp.time, zone, stamp.source, sure)
    ahead = None if found.gps is None else local - found.gps
    offset = stamp.offset
    if zone is not None:
        if twice(zone, local):
            local = _fold(found, local, zone, offset, ahead)
        kept = offset_of(zone, local)
        if offset is None:
            offset = kept
        elif offset != kept:
            found.notes.append(f"{stamp.source} has the offset {said(offset)}, {zone} keeps {said(kept)}")
            sure = "weak"
            zone = zone if found.latitude is not None else None
    elif offset is None and ahead is not None:
        days = round(ahead / _DAY)
        near = round(ahead / _QUARTER) * _QUARTER
        if days == 0 and abs(ahead - near) <= timedelta(minutes=5) and timedelta(hours=-12) <= near:
            offset = near
            found.notes.append(f"the offset {said(offset)} is that from EXIF GPS time")
    if ahead is not None and offset is not None:
        gap = ahead - offset
        days = round(gap / _DAY)
        if abs(gap - days * _DAY) > _STALE:
            found.notes.append(f"{stamp.source} is {_long(gap)} EXIF GPS time")
            sure = "weak"
        elif days:
            found.notes.append(f"the date of EXIF GPS time is {abs(days)} day{'s' * (abs(days) > 1)} off")
    return Capture(local, offset, zone, stamp.source, sure)


def _fold(found: Found, local: datetime, zone: str, offset: timedelta | None, ahead: timedelta | None) -> datetime:
    """Which of two equal times it is, by the offset stated or the satellites; the first where neither says."""
    told = offset if offset is not None else ahead
    if told is None:
        found.notes.append(f"the clocks of {zone} showed {local:%H:%M} twice that day; the first is taken")
        return local.replace(fold=0)
    return min((local.replace(fold=fold) for fold in (0, 1)), key=lambda time: abs(offset_of(zone, time) - told))


def _compare(found: Found, usable: list[tuple[Stamp, datetime]]) -> None:
    """Note the times that tell another story than the first."""
    first, local = usable[0]
    for stamp, other in usable[1:]:
        if stamp.compare and first.compare and abs(other - local) > _APART:
            found.notes.append(f"{stamp.source} says {other:%Y-%m-%d %H:%M:%S}")


def _long(gap: timedelta) -> str:
    minutes = round(abs(gap) / timedelta(minutes=1))
    days, rest = divmod(minutes, 1440)
    parts = [f"{days} days"] * (days > 0) + [f"{rest // 60} h {rest % 60:02} min"]
    return f"{' '.join(parts)} {'ahead of' if gap > timedelta(0) else 'behind'}"


def _with(capture: Capture, found: Found, sure: Sure | None = None) -> Capture:
    """``capture`` with what else was found."""
    return Capture(
        local=capture.local,
        offset=capture.offset,
        zone=capture.zone,
        source=capture.source,
        sure=sure or capture.sure,
        latitude=found.latitude,
        longitude=found.longitude,
        camera=found.camera,
        notes=tuple(dict.fromkeys(found.notes)),
        moment=capture.moment,
    )
