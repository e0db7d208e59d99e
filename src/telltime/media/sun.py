"""Where the sun stands: elevation and azimuth at any moment and place, and what people call the light of it.

The low-precision formulas of J. Meeus, Astronomical Algorithms (2nd ed., 1998), ch. 25, as the NOAA solar calculator
uses them: within about 0.01 degrees of the true place between 1950 and 2050.
"""

from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import ArrayLike, NDArray

from telltime.media.zones import zone_of

Floats = NDArray[np.float64]

HORIZON = -0.833
"""Elevation in degrees of the sun's centre, without refraction, when its upper edge touches a level horizon."""

PHASES = (
    ("night", -90.0),
    ("astronomical twilight", -18.0),
    ("nautical twilight", -12.0),
    ("civil twilight", -6.0),
    ("golden hour", HORIZON),
    ("day", 6.0),
)
"""Phases of light and the elevation in degrees that each begins at, upwards."""

_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC).timestamp()


def sun_position(
    utc_seconds: ArrayLike, latitude: ArrayLike, longitude: ArrayLike, refraction: bool = False
) -> tuple[Floats, Floats]:
    """The sun in the sky.

    Args:
        utc_seconds: seconds since 1970-01-01 UTC, ``[N]`` or any shape.
        latitude: degrees, north positive; broadcast against ``utc_seconds``.
        longitude: degrees, east positive; broadcast too.
        refraction: lift the elevation by what air of 10 degrees C at 1010 hPa bends the light (Saemundsson 1986),
            half a degree at the horizon; not applied below -1 degree, where the sun is not seen.

    Returns:
        Elevation of the sun's centre above the horizon and azimuth, clockwise from north in [0, 360), float64 degrees
        in the broadcast shape. At the poles every direction is the one of its longitude.
    """
    days = (np.asarray(utc_seconds, np.float64) - _J2000) / 86_400
    centuries = days / 36_525
    right_ascension, declination = _place(centuries)
    sidereal = 280.46061837 + 360.98564736629 * days + 0.000387933 * centuries**2
    hour_angle = np.radians(sidereal + np.asarray(longitude, np.float64)) - right_ascension
    north = np.radians(np.asarray(latitude, np.float64))
    sine = np.sin(north) * np.sin(declination) + np.cos(north) * np.cos(declination) * np.cos(hour_angle)
    elevation = np.degrees(np.arcsin(np.clip(sine, -1, 1)))
    east = -np.sin(hour_angle) * np.cos(declination)
    towards = np.cos(north) * np.sin(declination) - np.sin(north) * np.cos(declination) * np.cos(hour_angle)
    azimuth = np.degrees(np.arctan2(east, towards)) % 360
    if refraction:
        bend = 1.02 / 60 / np.tan(np.radians(elevation + 10.3 / (elevation + 5.11)))
        elevation = elevation + np.where(elevation > -1, np.maximum(bend, 0), 0)
    return elevation, np.where(azimuth >= 360, 0.0, azimuth)


def elevations_of_day(
    day: date, latitude: float, longitude: float, zone: str, bins: int = 96, refraction: bool = False
) -> Floats:
    """The sun's elevation by the clock of one day.

    Args:
        day: local date.
        latitude, longitude: degrees, north and east positive.
        zone: IANA name of the zone whose clocks count; on days when clocks change, each bin is read by its own offset.
        bins: equal parts of the 24 hours that a clock shows.
        refraction: see :func:`sun_position`.

    Returns:
        float64 ``[bins]``, degrees, at the middle of each bin; the first begins at 00:00.

    Raises:
        UnknownZone: there is no such zone.
    """
    return sun_position(_utc_of_day(day, zone, bins), latitude, longitude, refraction)[0]


def phase(elevation: ArrayLike) -> NDArray[np.str_]:
    """What the light is called at elevations in degrees: names of :data:`PHASES`, same shape."""
    starts = np.array([start for _, start in PHASES[1:]])
    names = np.array([name for name, _ in PHASES])
    return names[np.searchsorted(starts, np.asarray(elevation, np.float64), side="right")]


def _place(centuries: Floats) -> tuple[Floats, Floats]:
    """Apparent right ascension and declination of the sun, radians, ``centuries`` of 36,525 days after J2000."""
    t = centuries
    mean_longitude = 280.46646 + 36_000.76983 * t + 0.0003032 * t**2
    anomaly = np.radians(357.52911 + 35_999.05029 * t - 0.0001537 * t**2)
    centre = (
        (1.914602 - 0.004817 * t - 0.000014 * t**2) * np.sin(anomaly)
        + (0.019993 - 0.000101 * t) * np.sin(2 * anomaly)
        + 0.000289 * np.sin(3 * anomaly)
    )
    node = np.radians(125.04 - 1934.136 * t)
    longitude = np.radians(mean_longitude + centre - 0.00569 - 0.00478 * np.sin(node))
    tilt = np.radians(23.439291 - 0.0130042 * t + 0.00256 * np.cos(node))
    right_ascension = np.arctan2(np.cos(tilt) * np.sin(longitude), np.cos(longitude))
    return right_ascension, np.arcsin(np.sin(tilt) * np.sin(longitude))


def _utc_of_day(day: date, zone: str, bins: int) -> Floats:
    """Seconds since 1970 UTC at which the clocks of ``zone`` show the middle of each bin."""
    rules, width = zone_of(zone), 86_400 / bins
    start = datetime(day.year, day.month, day.day)
    local = [start + timedelta(seconds=(i + 0.5) * width) for i in range(bins)]
    return np.array([time.replace(tzinfo=rules).timestamp() for time in local])
