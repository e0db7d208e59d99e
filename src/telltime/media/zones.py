"""Time zones: which one holds at a place, and how far its clocks are from UTC at a moment they show."""

import difflib
import math
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


class UnknownZone(ValueError):
    """There is no time zone of that name.

    Attributes:
        name: what was asked for.
        nearest: the zone spelt most like it, ``None`` if nothing is near.
    """

    def __init__(self, name: str) -> None:
        self.name, self.nearest = name, _nearest(name)
        near = f"; did you mean {self.nearest}?" if self.nearest else ""
        super().__init__(f"there is no time zone {name!r}{near} (expected an IANA name such as Europe/Berlin)")


def zone_at(latitude: float, longitude: float) -> str | None:
    """The IANA name of the zone whose clocks people keep at a place.

    Args:
        latitude: degrees, north positive.
        longitude: degrees, east positive; any number of turns.

    Returns:
        A name such as ``America/Los_Angeles``; at sea the nautical zone, such as ``Etc/GMT+2``; ``None`` for what is
        no place on earth. Borders are those of the ``tzfpy`` package, simplified to some hundred metres.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude)) or abs(latitude) > 90:
        return None
    import tzfpy

    return tzfpy.get_tz((longitude + 180) % 360 - 180, latitude) or None


@cache
def zone_of(name: str) -> ZoneInfo:
    """The rules of the zone called ``name``.

    Raises:
        UnknownZone: there is none of that name; the nearest is told.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(name) from None


def offset_of(zone: str, local: datetime) -> timedelta:
    """How far the clocks of ``zone`` are ahead of UTC when they show ``local``.

    Args:
        zone: IANA name.
        local: civil time without a zone. Times that come twice, when clocks go back, are the first of the two unless
            ``local.fold`` is 1; times that clocks jump over are read by the offset from before the jump.

    Raises:
        UnknownZone: there is no such zone.
    """
    offset = local.replace(tzinfo=zone_of(zone)).utcoffset()
    assert offset is not None
    return offset


def local_at(zone: str, moment: datetime) -> datetime:
    """What the clocks of ``zone`` show at ``moment`` (aware, or naive and in UTC): naive, its ``fold`` set."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(zone_of(zone)).replace(tzinfo=None)


def twice(zone: str, local: datetime) -> bool:
    """Whether the clocks of ``zone`` show ``local`` twice, because they are put back."""
    first, second = (offset_of(zone, local.replace(fold=fold)) for fold in (0, 1))
    return first > second


@cache
def _names() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _nearest(name: str) -> str | None:
    folded = {zone.casefold(): zone for zone in _names()}
    wanted = name.strip().casefold().replace(" ", "_")
    cities = {zone.rpartition("/")[2]: zone for zone in folded if "/" in zone}
    for names in (folded, cities):
        if found := difflib.get_close_matches(wanted, names, n=1, cutoff=0.75):
            return folded[str(cities[found[0]] if names is cities else found[0])]
    found = difflib.get_close_matches(wanted, folded, n=1, cutoff=0.5)
    return folded[found[0]] if found else None
