"""Times, place and camera in the containers of videos."""

import re
from pathlib import Path

from telltime.media._found import Found
from telltime.media._timestamps import clean

SUFFIXES = frozenset({".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".mts", ".webm", ".wmv"})
_POSITION = re.compile(r"(?P<latitude>[+-]\d+(?:\.\d+)?)(?P<longitude>[+-]\d+(?:\.\d+)?)")


def video_times(path: Path) -> Found:
    """What the video at ``path`` says of itself, without decoding a frame; damage is told in notes.

    Apple writes the civil time with its offset; the container's own creation time is UTC.
    """
    import av
    import av.error

    found = Found()
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            tags = {key.casefold(): value for key, value in container.metadata.items()}
            for stream in container.streams.video[:1]:
                tags = {key.casefold(): value for key, value in stream.metadata.items()} | tags
    except (av.error.FFmpegError, ValueError, OSError):
        found.notes.append("no video known here, or damaged at its start")
        return found
    found.add(tags.get("com.apple.quicktime.creationdate"), "video creation date", "stated")
    remark = "the creation time of a video is UTC by the standard, and the civil time by some cameras"
    found.add(tags.get("creation_time"), "video creation time", "derived", utc=True, remark=remark)
    if "creation_time" not in tags:
        found.add(tags.get("date"), "video date", "weak")
    for key in ("com.apple.quicktime.location.iso6709", "location", "location-eng"):
        if key in tags and (place := _POSITION.match(tags[key])):
            found.place(float(place["latitude"]), float(place["longitude"]), "video position")
    parts = [clean(tags.get(f"com.apple.quicktime.{key}") or tags.get(key) or "") for key in ("make", "model")]
    found.camera = " ".join(part for part in parts if part) or None
    return found
