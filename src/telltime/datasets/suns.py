"""Days and places of photos: under which suns they were taken."""

from collections.abc import Iterable
from datetime import timedelta

import numpy as np

from telltime.media.capture_time import Capture
from telltime.media.zones import zone_at

Sun = tuple[str, float, float, str]
"""A day at a place: ISO date, latitude, longitude, and IANA zone, or minutes from UTC as in ``+120``."""

MOST = 32
"""Suns that stand for a collection."""


def sun_of(capture: Capture | None) -> Sun | None:
    """Day and place of a photo; ``None`` where the file does not tell both, or no zone is known there."""
    if capture is None or capture.day is None or capture.latitude is None or capture.longitude is None:
        return None
    zone = capture.zone or zone_at(capture.latitude, capture.longitude)
    if zone is None and capture.offset is not None:
        zone = f"{round(capture.offset / timedelta(minutes=1)):+d}"
    if zone is None:
        return None
    return (capture.day.isoformat(), round(capture.latitude, 2), round(capture.longitude, 2), zone)


def suns_of(captures: Iterable[Capture | None], most: int = MOST, seed: int = 0) -> list[Sun]:
    """Up to ``most`` suns drawn from photos, as often as they occur; empty unless most photos state day and place.

    What a model keeps of the photos it learnt from, so that its densities can be carried over to other places.
    Places are rounded to half a degree: no sun needs more, and none tells where anybody lives.
    """
    found = [sun_of(capture) for capture in captures]
    known = sorted(sun for sun in found if sun is not None)
    if 2 * len(known) <= len(found):
        return []
    chosen = np.random.default_rng(seed).permutation(len(known))[:most]
    rough = [(day, round(2 * lat) / 2, round(2 * lon) / 2, zone) for day, lat, lon, zone in (known[i] for i in chosen)]
    return sorted(set(rough))
