"""Generated cameras: from the light that falls in to the pixels and the EXIF of a photo."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from PIL import Image

from telltime.datasets._light import light_at
from telltime.datasets._scenery import Scene
from telltime.datasets._view import View

WEATHER = {  # cover of cloud from and to, how much sun it swallows, fog, how often
    "clear": (0.0, 0.08, 0.2, 0.0, 0.34),
    "scattered": (0.15, 0.5, 0.35, 0.0, 0.28),
    "broken": (0.5, 0.85, 0.6, 0.0, 0.16),
    "overcast": (0.95, 1.0, 0.95, 0.05, 0.16),
    "fog": (0.5, 1.0, 0.7, 0.6, 0.06),
}


@dataclass(frozen=True)
class Camera:
    """Where a generated camera stands, what it sees, and how it exposes, tints and grains."""

    name: str
    latitude: float
    longitude: float
    zone: str
    scene: Scene
    maker: tuple[str, str]
    serial: str
    exposure: float
    keep: float
    contrast: float
    balance: np.ndarray
    grain: float
    quality: int


@dataclass(frozen=True)
class Shot:
    """One photo to take: when, under which sun and weather, and the seed of all that varies."""

    file: str
    camera: int
    local: datetime
    offset: timedelta
    elevation: float
    azimuth: float
    weather: str
    seed: tuple[int, ...]


def develop(view: View, camera: Camera, shot: Shot) -> np.ndarray:
    """uint8 ``[H, W, 3]``: the scene in its light, through a camera that exposes for it, though not wholly."""
    rng = np.random.default_rng(shot.seed)
    least, most, thick, fog, _ = WEATHER[shot.weather]
    hour = shot.local.hour + shot.local.minute / 60
    if shot.weather == "clear" and 4 < hour < 10 and rng.uniform() < 0.2:
        fog = float(rng.uniform(0.1, 0.35))  # mist lies in the morning
    haze = float(np.clip((hour - 12) / 8, -1, 1)) * float(rng.uniform(0, 1))
    light = light_at(shot.elevation, shot.azimuth, hour, float(rng.uniform(least, most)), thick, fog, haze)
    month = (shot.local.month + (6 if camera.latitude < 0 else 0) - 1) % 12
    tropics = abs(camera.latitude) < 24
    season = "summer" if tropics else ("winter", "spring", "summer", "autumn")[(month + 1) % 12 // 3]
    snow = (
        season == "winter"
        and np.random.default_rng([*shot.seed[:3], shot.local.month]).uniform() < (abs(camera.latitude) - 38) / 20
    )
    linear = view.draw(light, season, bool(snow), rng)
    seen = linear.mean(axis=2)
    meter = float(np.exp(np.log(seen + 1e-3).mean())) * 0.5 + float(np.median(seen)) * 0.5
    gain = camera.exposure * 0.55 / max(meter, 1e-3) * (light.level / 10**4.5) ** camera.keep
    pixels = 1 - np.exp(-linear * np.float32(gain) * camera.balance)
    pixels = np.clip(pixels, 0, 1) ** np.float32(camera.contrast / 2.2)
    grain = camera.grain * (1 + 1.2 * max(0.0, 4 - np.log10(light.level * max(meter, 0.05))))
    pixels += rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None] * np.float32(grain)
    return (np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8)


def write_exif(camera: Camera, local: datetime, offset: timedelta, gps: bool, with_offset: bool) -> Image.Exif:
    """EXIF of a photo that ``camera`` says it took at ``local``; position and offset from UTC only if asked for."""
    stamp = local.strftime("%Y:%m:%d %H:%M:%S")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = *camera.maker, stamp
    details = exif.get_ifd(0x8769)
    details[0x9003] = details[0x9004] = stamp
    details[0xA431] = camera.serial
    if with_offset:
        minutes = round(offset.total_seconds() / 60)
        sign = "-" if minutes < 0 else "+"
        details[0x9010] = details[0x9011] = details[0x9012] = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    if gps:
        place = exif.get_ifd(0x8825)
        for tag, value, names in ((1, camera.latitude, "NS"), (3, camera.longitude, "EW")):
            place[tag] = names[value < 0]
            seconds = abs(value) * 3600
            place[tag + 1] = (float(seconds // 3600), float(seconds // 60 % 60), round(seconds % 60, 3))
    return exif
