"""What tells that a photo's time is not to be learnt from: looks at one photo, and rules over what was seen.

Each rule gives a sentence where it applies. Thresholds are set so that a rule speaks only where the case is plain; what
is merely unusual stays.
"""

import hashlib
import math
import re
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from telltime.media.capture_time import Capture
from telltime.media.errors import MediaError
from telltime.media.frames import Limits
from telltime.media.image import open_upright
from telltime.media.sun import sun_position

FILTERS = {
    "unreadable": "no picture that decodes",
    "no-time": "nothing tells when it was taken",
    "impossible-date": "before 1990, in the future, or a clock that was never set",
    "midnight": "exactly 00:00:00, what software writes where it has a date only",
    "screenshot": "a picture of a screen, by its name, its EXIF or its flat colours",
    "duplicate": "the same picture at the same time, or a copy whose time is less sure",
    "frozen": "the same picture as one before it, with a later time: a webcam that stood still",
    "near-duplicate": "looks like another one taken within a minute of it",
    "daylight-at-night": "a daylight sky or a daylight exposure while the sun was far below the horizon",
}
"""Filters in the order they are applied, and what each leaves out."""

NIGHT = -12.0
"""Degrees; below this elevation of the sun the sky is black to the eye."""

BURST = timedelta(minutes=1)
_SIDE = 128
_SCREEN_NAME = re.compile(r"screen[ _-]?(shot|cap|recording)|bildschirmfoto|schermafbeelding|capture d.?.cran", re.I)
_FLAT = 0.5
_BLUE_SKY = 0.4
_DAY_EXPOSURE = 10.0
_ALIKE_BITS, _ALIKE_COLOUR = 6, 12.0


@dataclass(frozen=True)
class Look:
    """What decoding a photo once told.

    Attributes:
        pixels: hash of its pixels at about 128 a side; equal for copies that differ in metadata only.
        shape: 64 bits, which of neighbouring cells are brighter.
        colours: float32 ``[4, 4, 3]``, 0 to 255.
        brightness: mean, 0 to 255.
        blue_sky: share of the upper part that is bright and blue, 0 to 1.
        flat: share of neighbouring pixels that are exactly equal, clipped black and white left out, 0 to 1.
        exposure: exposure value at ISO 100 by EXIF, ``None`` where it is not told or a flash was fired.
        screen: whether the file itself says that it is a screenshot.
        drawn: whether its format and the lack of a camera make a drawn picture likely.
        trouble: why it does not decode, ``None`` if it does.
    """

    pixels: bytes = b""
    shape: int = 0
    colours: np.ndarray | None = None
    brightness: float = 0.0
    blue_sky: float = 0.0
    flat: float = 0.0
    exposure: float | None = None
    screen: bool = False
    drawn: bool = False
    trouble: str | None = None


@dataclass(frozen=True)
class Photo:
    """One photo of a scan: path below the root, when and where it says it was taken, and how it looks."""

    file: str
    capture: Capture
    look: Look


def look(path: Path) -> Look:
    """Decode the photo at ``path`` small, and look at it; damage is told in ``trouble``."""
    try:
        with open_upright(path, Limits(), _SIDE) as image:
            small = np.asarray(image)
            pixels = hashlib.blake2b(small.tobytes() + str(small.shape).encode(), digest_size=16).digest()
            grey = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BOX), np.int16)
            colours = np.asarray(image.resize((4, 4), Image.Resampling.BOX), np.float32)
    except (MediaError, OSError) as error:
        return Look(trouble=error.reason if isinstance(error, MediaError) else str(error.strerror or error))
    bits = np.packbits(grey[:, 1:] > grey[:, :-1])
    exposure, screen, drawn = _header(path)
    return Look(
        pixels=pixels,
        shape=int.from_bytes(bits.tobytes(), "big"),
        colours=colours,
        brightness=float(small.mean()),
        blue_sky=_blue_sky(small),
        flat=_flat_share(small),
        exposure=exposure,
        screen=screen,
        drawn=drawn,
    )


def reason(photo: Photo, name: str) -> str | None:
    """Why the filter ``name`` leaves out ``photo`` by itself; ``None`` where it does not."""
    local, seen = photo.capture.local, photo.look
    if name == "unreadable":
        return seen.trouble
    if name == "no-time":
        return None if local else "; ".join(photo.capture.notes[:2]) or "no time in EXIF, XMP or its name"
    if name == "screenshot":
        if seen.screen or _SCREEN_NAME.search(photo.file.rpartition("/")[2]):
            return "named or marked as a screenshot"
        return f"{seen.flat:.0%} of it is flat colour" if seen.drawn and seen.flat > _FLAT else None
    if local is None:
        return None
    if name == "impossible-date":
        return _impossible(local)
    if name == "midnight":
        midnight = (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
        return f"{local:%Y-%m-%d} at 00:00:00 by {photo.capture.source}" if midnight else None
    return _daylight(photo) if name == "daylight-at-night" else None


def repeats(photos: list[Photo], wanted: set[str]) -> dict[int, tuple[str, str]]:
    """Which photos repeat another: index to filter and reason; the one repeated is not among them.

    Args:
        photos: with known times.
        wanted: of ``duplicate``, ``frozen`` and ``near-duplicate``.
    """
    left: dict[int, tuple[str, str]] = {}
    ranks = ("stated", "derived", "weak", "none")
    order = sorted(range(len(photos)), key=lambda i: (ranks.index(photos[i].capture.sure), _local(photos[i]), i))
    first: dict[bytes, int] = {}
    for index in order:
        kept = first.setdefault(photos[index].look.pixels, index)
        if kept == index:
            continue
        photo, original = photos[index], photos[kept]
        gap = _local(photo) - _local(original)
        surer = ranks.index(original.capture.sure) < ranks.index(photo.capture.sure)
        if abs(gap) <= timedelta(seconds=1) or surer:
            left[index] = ("duplicate", f"the same picture as {original.file}")
        else:
            left[index] = ("frozen", f"the same picture as {original.file}, {_long(gap)} later")
    left = {index: why for index, why in left.items() if why[0] in wanted}
    return left | (_bursts(photos, left) if "near-duplicate" in wanted else {})


def _bursts(photos: list[Photo], left: dict[int, tuple[str, str]]) -> dict[int, tuple[str, str]]:
    found: dict[int, tuple[str, str]] = {}
    kept: list[int] = []
    for index in sorted((i for i in range(len(photos)) if i not in left), key=lambda i: (_local(photos[i]), i)):
        photo = photos[index]
        kept = [i for i in kept if _local(photo) - _local(photos[i]) <= BURST]
        like = next((i for i in kept if _alike(photos[i].look, photo.look)), None)
        if like is None:
            kept.append(index)
        else:
            gap = (_local(photo) - _local(photos[like])).total_seconds()
            found[index] = ("near-duplicate", f"looks like {photos[like].file}, {gap:.0f} s before it")
    return found


def _alike(one: Look, other: Look) -> bool:
    if (one.shape ^ other.shape).bit_count() > _ALIKE_BITS or one.colours is None or other.colours is None:
        return False
    return float(np.abs(one.colours - other.colours).mean()) <= _ALIKE_COLOUR


def _local(photo: Photo) -> datetime:
    assert photo.capture.local is not None
    return photo.capture.local


def _impossible(local: datetime) -> str | None:
    said = f"{local:%Y-%m-%d %H:%M:%S}"
    if local.year < 1990:
        return f"{said} is before digital cameras"
    if local > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1):
        return f"{said} is in the future"
    if local.replace(microsecond=0) == datetime(local.year, 1, 1):
        return f"{said} is what a clock shows that was never set"
    return None


def _daylight(photo: Photo) -> str | None:
    """By blue sky or by exposure; silent where place or offset from UTC are not known."""
    capture, seen = photo.capture, photo.look
    if capture.utc is None or capture.latitude is None or capture.longitude is None:
        return None
    elevation = float(sun_position(capture.utc.timestamp(), capture.latitude, capture.longitude)[0])
    if elevation > NIGHT:
        return None
    under = f"the sun was {-elevation:.0f} degrees below the horizon"
    if seen.exposure is not None and seen.exposure >= _DAY_EXPOSURE:
        return f"exposed as by day (EV {seen.exposure:.1f}), but {under}"
    if seen.blue_sky >= _BLUE_SKY and seen.brightness >= 90:
        return f"a blue daylight sky, but {under}"
    return None


def _blue_sky(small: np.ndarray) -> float:
    upper = small[: max(1, small.shape[0] * 2 // 5)].astype(np.int16)
    red, green, blue = upper[..., 0], upper[..., 1], upper[..., 2]
    return float(((blue >= 130) & (blue >= red + 20) & (blue >= green) & (green >= red)).mean())


def _flat_share(small: np.ndarray) -> float:
    within = small[:, 1:].astype(np.int16)
    equal = (small[:, 1:] == small[:, :-1]).all(axis=2)
    clipped = (within.max(axis=2) < 6) | (within.min(axis=2) > 249)
    counted = int((~clipped).sum())
    return float((equal & ~clipped).sum() / counted) if counted > 0.2 * equal.size else float(equal.mean())


def _header(path: Path) -> tuple[float | None, bool, bool]:
    """Exposure value, whether EXIF says screenshot, and whether the picture is likely drawn."""
    exif: dict[int, Any] = {}
    kind = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                kind = image.format or ""
                read = image.getexif()
                exif = {**dict(read), **read.get_ifd(0x8769)}
    except Exception:  # broken segments make Pillow raise errors of many types, and the picture was read before
        pass
    words = " ".join(str(exif.get(tag, "")) for tag in (0x010E, 0x0131, 0x9286))
    screen = "screenshot" in re.sub(r"[^a-z]", "", words.lower())
    return _exposure(exif), screen, kind in ("PNG", "WEBP", "GIF", "BMP") and not exif.get(0x0110)


def _exposure(exif: dict[int, Any]) -> float | None:
    try:
        seconds, stop, iso = (float(exif[tag]) for tag in (0x829A, 0x829D, 0x8827))
        if int(exif.get(0x9209, 0)) & 1 or min(seconds, stop, iso) <= 0:
            return None
        return math.log2(stop * stop / seconds) - math.log2(iso / 100)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _long(gap: timedelta) -> str:
    minutes = round(abs(gap).total_seconds() / 60)
    days, minutes = divmod(minutes, 1440)
    parts = [f"{days} d"] * (days > 0) + [f"{minutes // 60} h"] * (minutes >= 60) + [f"{minutes % 60} min"]
    return " ".join(parts)
