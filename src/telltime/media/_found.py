"""What a file says of when and where it was made, as it stands there."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from telltime.media._timestamps import Stamp, parse_offset, parse_time

T = TypeVar("T")


@dataclass
class Found:
    """The times, place and camera found in a file.

    Attributes:
        stamps: times, those to be believed first in front.
        gps: UTC by the satellites, naive.
        latitude, longitude: degrees.
        camera: make, model and serial number.
        notes: sentences on what could not be used.
    """

    stamps: list[Stamp] = field(default_factory=list)
    gps: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    camera: str | None = None
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        value: object,
        source: str,
        sure: str = "stated",
        utc: bool = False,
        part: object = None,
        offset: timedelta | None = None,
        remark: str | None = None,
        compare: bool = True,
    ) -> None:
        """Take the time in ``value`` as a :class:`Stamp`, or note why it is none.

        ``part`` are the decimals of the second where they stand elsewhere; ``offset`` goes before one in ``value``.
        """
        read = self.tried(parse_time, value, source)
        if read is None:
            return
        time, written = read
        offset = written if offset is None else offset
        if part and not time.microsecond:
            time = time.replace(microsecond=_fraction(part))
        if utc and offset is not None:
            time, offset = time - offset, None
        self.stamps.append(Stamp(time, source, sure, utc, offset, remark=remark, compare=compare))

    def offset(self, value: object, source: str) -> timedelta | None:
        """The offset in ``value``; a note where it is none."""
        return None if value is None else self.tried(parse_offset, value, source)

    def place(self, latitude: float, longitude: float, source: str) -> None:
        """Take a position, or note why it is none."""
        if not (math.isfinite(latitude) and math.isfinite(longitude)):
            self.notes.append(f"{source} is not a number")
        elif abs(latitude) > 90 or abs(longitude) > 180:
            self.notes.append(f"{source} {latitude:g}, {longitude:g} is nowhere on earth")
        elif latitude == longitude == 0:
            self.notes.append(f"{source} 0, 0 is taken for none")
        elif self.latitude is None:
            self.latitude, self.longitude = latitude, longitude

    def tried(self, parse: Callable[[object], T], value: object, source: str) -> T | None:
        """``parse(value)``; ``None`` and a note where it raises ``ValueError``."""
        if value is None:
            return None
        try:
            return parse(value)
        except ValueError as error:
            self.notes.append(f"{source}: {error}")
            return None


def _fraction(part: object) -> int:
    digits = "".join(c for c in str(part) if c.isdecimal() and c.isascii())
    return int(digits[:6].ljust(6, "0")) if digits else 0
