"""Days and places of photos: under which suns they were taken."""

from datetime import timedelta

from telltime.media.capture_time import Capture
from telltime.media.zones import zone_at

Sun = tuple[str, float, float, str]
"""A day at a place: ISO date, latitude, longitude, and IANA zone, or minutes from UTC as in ``+120``."""


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
