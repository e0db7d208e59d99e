"""Skies drawn from the position of the sun: gradient, glow, disc, clouds, stars."""

import numpy as np
from PIL import Image

from telltime.datasets._light import Light


def noise(rng: np.random.Generator, height: int, width: int, cells: int, octaves: int = 3) -> np.ndarray:
    """Smooth float32 noise ``[height, width]``, mean about 0.5, mostly within 0 to 1; ``cells`` across its width."""
    total = np.zeros((height, width), np.float32)
    weight = 0.0
    for octave in range(octaves):
        across = cells << octave
        down = max(2, round(across * height / width * 1.6))
        grid = rng.random((down, across + 1), dtype=np.float32)
        share = 0.55**octave
        layer = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += share * np.asarray(layer)
        weight += share
    return np.clip((total / weight - 0.5) * 1.6 + 0.5, 0.0, 1.0)


def draw_sky(azimuth: np.ndarray, elevation: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """The sky seen along rays.

    Args:
        azimuth: float32 ``[W]``, degrees, of the columns.
        elevation: float32 ``[rows]``, degrees, of the rows of sky, highest first, none below -1.
        light: the moment's light.
        rng: for clouds and stars.

    Returns:
        float32 ``[rows, W, 3]``, linear, in units of :attr:`Light.level`.
    """
    rows, width = len(elevation), len(azimuth)
    height = np.clip(elevation / 55.0, 0.0, 1.0).astype(np.float32)[:, None, None] ** 0.55
    base = light.horizon.astype(np.float32) * (1 - height) + light.zenith.astype(np.float32) * height
    from_sun = _angle(azimuth, elevation, light)
    low = np.clip(1.0 - np.maximum(elevation, 0) / 35.0, 0.0, 1.0).astype(np.float32)[:, None] ** 2
    sideways = np.cos(np.radians((azimuth - light.azimuth) / 2.0)).astype(np.float32)[None, :] ** 6
    halo = np.exp(-((from_sun / 16.0) ** 1.2))
    glow = 0.55 * low * sideways * float(np.clip(1.4 - abs(light.elevation) / 14.0, 0.0, 1.0)) + 0.8 * halo * (
        light.elevation > -3
    )
    sky = base + glow[..., None] * light.glow.astype(np.float32)
    if light.elevation < -9 and light.cover < 0.5:
        stars = rng.random((rows, width)) < 0.0006
        sky[stars] += rng.uniform(1.0, 6.0)
    if light.elevation > -0.6:
        disc = np.clip((1.1 - from_sun) / 0.5, 0.0, 1.0)
        sky += disc[..., None] * light.direct.astype(np.float32) * 25.0
    if light.cover > 0.02:
        sky = _clouds(sky, from_sun, light, rng)
    return sky


def _angle(azimuth: np.ndarray, elevation: np.ndarray, light: Light) -> np.ndarray:
    """Angle of every ray from the sun, degrees, float32 ``[rows, W]``."""
    up, sun = np.radians(elevation)[:, None], np.radians(light.elevation)
    turn = np.radians(azimuth - light.azimuth)[None, :]
    cosine = np.sin(up) * np.sin(sun) + np.cos(up) * np.cos(sun) * np.cos(turn)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).astype(np.float32)


def _clouds(sky: np.ndarray, from_sun: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    rows, width = sky.shape[:2]
    field = noise(rng, rows, width, cells=int(rng.integers(3, 7)))
    edge = 1.0 - light.cover
    share = np.clip((field - edge + 0.12) / 0.24, 0.0, 1.0) if light.cover < 0.97 else np.ones_like(field)
    thick = np.clip((field - edge) / max(light.cover, 0.3), 0.0, 1.0)
    lit = 1.2 - (0.15 + 0.6 * light.cover) * thick  # large clouds are dark below
    near = np.exp(-from_sun / 30.0)
    white = 0.75 * light.ambient.mean() + 0.30 * light.ambient
    colour = white.astype(np.float32) + 0.16 * light.direct.astype(np.float32)
    colour = lit[..., None] * colour + (near * (0.9 if light.elevation > -6 else 0.0))[..., None] * (
        0.45 * light.glow.astype(np.float32)
    )
    return sky * (1 - share[..., None]) + colour * share[..., None]
