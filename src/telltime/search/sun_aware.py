"""Carrying what a model says about clock time over to one place and day, by way of the sun.

A photo shows light, not a clock: an hour learnt in one country and season looks otherwise in another. Let ``u(t)`` be
the sun at the photo's place and date, and ``v(r, h)`` at the places and days ``r`` that a model learnt its hours from.
The density ``p(h)`` becomes

    q(t)  proportional to  sum_h p(h) K(t, h) / sum_h K(t, h),    K(t, h) = eps + mean_r k(u(t), v(r, h))

that is: the likelihood of a time is the mean likelihood of the hours whose sun stood alike (a Nadaraya-Watson mean).
``t`` is civil time at the photo's place, with the offset its zone has on that day, so summer time and the zone's own
bias come right by themselves.

Alike is, in this order: within ``WIDTH`` degrees in the sky; as high, and roughly on that side; roughly there. Each is
``STEP`` times less than the one before, so that the next counts only where the one before has nothing to say:

    k = exp(-a^2 / 2 w^2) + STEP exp(-e^2 / 2 w^2 - z^2 / 2 W^2) + STEP^2 exp(-a^2 / 2 W^2)

with ``a`` the angle between the two directions, ``e`` their difference in elevation, ``z`` in azimuth, ``w`` = WIDTH
and ``W`` = 40 degrees. Where the sun was never seen, as at midnight above the polar circle, ``eps`` leaves a time
neither favoured nor ruled out. Azimuth counts from the meridian on which the sun culminates, afternoon positive, so
that both hemispheres look alike. Deeper than astronomical twilight it is dark whatever the elevation, and from nautical
twilight on the angle is that of the clock: what tells one hour of the night from another is what people do.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from telltime.datasets.suns import Sun
from telltime.media.sun import sun_position
from telltime.media.zones import zone_of

WIDTH = 5.0
"""Degrees: the sun's way in twenty minutes."""

STEP = 0.01
_WIDE = 40.0
_MOST = 32
_EPS = 1e-7
_DARK, _NIGHT, _DUSK = -18.0, -12.0, -6.0

# Cities on both sides of the equator, near and far from their zone's meridian, so that civil time differs from solar
# time by what it does for people: used where a model does not say what it learnt from.
_CITIES = (
    (59.3, 18.1, "Europe/Stockholm"),
    (51.5, -0.1, "Europe/London"),
    (48.9, 2.4, "Europe/Paris"),
    (40.4, -3.7, "Europe/Madrid"),
    (41.0, 29.0, "Europe/Istanbul"),
    (40.7, -74.0, "America/New_York"),
    (41.9, -87.6, "America/Chicago"),
    (37.8, -122.4, "America/Los_Angeles"),
    (19.4, -99.1, "America/Mexico_City"),
    (-23.5, -46.6, "America/Sao_Paulo"),
    (35.7, 139.7, "Asia/Tokyo"),
    (31.2, 121.5, "Asia/Shanghai"),
    (28.6, 77.2, "Asia/Kolkata"),
    (1.3, 103.8, "Asia/Singapore"),
    (-33.9, 18.4, "Africa/Johannesburg"),
    (-33.9, 151.2, "Australia/Sydney"),
)
COMMON: tuple[Sun, ...] = tuple(
    (f"2023-{month:02d}-21", *city) for month in (1, 3, 4, 6, 8, 10, 12) for city in _CITIES
)


def carried(densities: np.ndarray, suns: Sequence[Sun], reference: Sequence[Sun] | None = None) -> np.ndarray:
    """Densities of photos, carried over to the place and day of each.

    Args:
        densities: ``[N, bins]``, rows sum to 1: what the model says without knowing where.
        suns: ``[N]`` day and place of each photo.
        reference: days and places that the model learnt from; :data:`COMMON` if ``None`` or empty.

    Returns:
        float64 ``[N, bins]``, rows sum to 1, over the civil time of each place.
    """
    densities = np.asarray(densities, dtype=np.float64)
    known = _thinned(reference or COMMON)
    out = np.empty_like(densities)
    for row, sun in enumerate(suns):
        out[row] = densities[row] @ _kernel(tuple(sun), known, densities.shape[1])
    return out / out.sum(axis=1, keepdims=True)


def _thinned(suns: Sequence[Sun]) -> tuple[Sun, ...]:
    """So many suns as it takes, evenly from first to last."""
    places = np.linspace(0, len(suns) - 1, min(_MOST, len(suns))).round().astype(int)
    return tuple(suns[place] for place in places)


def elevations(sun: Sun, bins: int = 96) -> np.ndarray:
    """Sun elevation in degrees in the middle of every part of the civil day, ``[bins]``."""
    return sun_position(_moments(sun, bins), sun[1], sun[2])[0]


@lru_cache(maxsize=512)
def _kernel(sun: Sun, reference: tuple[Sun, ...], bins: int) -> np.ndarray:
    """``[hours, times]``: what a unit of density at an hour adds to each time; every column sums to 1."""
    here = _directions(sun, bins)
    narrow, wide = 1 / np.radians(WIDTH) ** 2, 1 / np.radians(_WIDE) ** 2
    there = _reference(reference, bins)
    apart = 1 - there.vector @ here.vector.T
    lift = (there.height[:, None] - here.height) ** 2 / 2
    turn = 1 - np.cos(there.around[:, None] - here.around)
    close = np.exp(-narrow * apart) + STEP**2 * np.exp(-wide * apart) + STEP * np.exp(-narrow * lift - wide * turn)
    alike = close.reshape(len(reference), bins, bins).sum(axis=0)
    alike = alike.astype(np.float64) / len(reference) + _EPS
    return alike / alike.sum(axis=0)


class _Way(NamedTuple):
    """The sun over a day: unit vectors ``[bins, 3]``, and elevation and azimuth in radians, ``[bins]``."""

    vector: np.ndarray
    height: np.ndarray
    around: np.ndarray


@lru_cache(maxsize=4)
def _reference(reference: tuple[Sun, ...], bins: int) -> _Way:
    """All ways one after the other."""
    ways = [_directions(sun, bins) for sun in reference]
    return _Way(*(np.concatenate([way[part] for way in ways]) for part in range(3)))


def _directions(sun: Sun, bins: int) -> _Way:
    """Where the sun is over the civil day, not deeper than where it is dark."""
    _, latitude, longitude, _ = sun
    elevation, azimuth = sun_position(_moments(sun, bins), latitude, longitude)
    height = np.radians(np.maximum(elevation, _DARK))
    side = np.radians(azimuth - 180 if latitude >= 0 else -azimuth)
    clock = (np.arange(bins) + 0.5) * (2 * np.pi / bins) - np.pi
    dark = np.clip((_DUSK - elevation) / (_DUSK - _NIGHT), 0, 1)
    around = np.angle((1 - dark) * np.exp(1j * side) + dark * np.exp(1j * clock))
    vector = [np.sin(height), np.cos(height) * np.sin(around), np.cos(height) * np.cos(around)]
    return _Way(*(part.astype(np.float32) for part in (np.stack(vector, axis=1), height, around)))


def _moments(sun: Sun, bins: int) -> np.ndarray:
    """Seconds since 1970 UTC in the middle of every part of a civil day, float64 ``[bins]``."""
    start = datetime.combine(date.fromisoformat(sun[0]), time())
    zone = _zone(sun[3])
    steps = [start + timedelta(days=1) * ((k + 0.5) / bins) for k in range(bins)]
    return np.array([moment.replace(tzinfo=zone).timestamp() for moment in steps])


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    """A zone by name, or by its minutes from UTC as in ``+120``."""
    return timezone(timedelta(minutes=int(name))) if name[:1] in "+-" else zone_of(name)
