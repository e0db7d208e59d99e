"""Draws one video of the generated footage: objects over a drifting background under changing light.

Everything is computed for all frames at once; lengths are in units of the frame's short side, colours 0 to 1.
"""

from dataclasses import dataclass

import numpy as np

from telltime.datasets._looks import GROUNDS, Field, Ground, look
from telltime.datasets._motions import MOTIONS

Rng = np.random.Generator

WAVES = 10
"""Waves a ground is made of."""
PARTS = 4
"""Grounds a video passes through."""
PASSER: tuple[Field, Field] = (
    lambda u, v: 0.9 - np.sqrt(u * u + 1.6 * v * v),
    lambda u, v: np.clip(0.5 + 0.4 * v, 0, 1),
)


@dataclass(frozen=True, slots=True)
class Style:
    """How much of everything there is.

    Attributes:
        objects: objects of the look in sight at a time.
        passers: things of no look that pass through during the video.
        clutter: contrast of the background, 0 to 1.
        light: how far brightness and tint wander, 0 (steady) to 1.
        colours: how far the objects' own colours change from life to life, 0 to 1.
        size: an object's radius, in units of the frame's short side.
        life: least and most frames that an object stays.
    """

    objects: int = 2
    passers: int = 3
    clutter: float = 0.6
    light: float = 0.6
    colours: float = 1.0
    size: float = 0.34
    life: tuple[int, int] = (26, 44)


def _hue(turns: float | np.ndarray, saturation: float | np.ndarray, value: float | np.ndarray) -> np.ndarray:
    """HSV to RGB, float64 [..., 3]."""
    turns, saturation, value = (np.asarray(x, dtype=np.float64)[..., None] for x in (turns, saturation, value))
    k = (np.array([5.0, 3.0, 1.0]) + 6 * turns) % 6
    return value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)


def _wander(rng: Rng, frames: int, spacing: int = 24) -> np.ndarray:
    """A smooth path that does not repeat: float64 [frames], within -1 to 1."""
    knots = rng.uniform(-1, 1, size=frames // spacing + 3)
    at = np.arange(frames) / spacing + rng.uniform()
    i, x = at.astype(int), at % 1
    x = x * x * (3 - 2 * x)
    return knots[i] * (1 - x) + knots[i + 1] * x


def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    short = min(height, width)
    y = (np.arange(height, dtype=np.float32) + 0.5 - height / 2) / short
    x = (np.arange(width, dtype=np.float32) + 0.5 - width / 2) / short
    return y, x


def _background(place: Rng, rng: Rng, ground: Ground, frames: int, height: int, width: int, style: Style) -> np.ndarray:
    """Grounds of one texture that drift, each giving way to the next: float32 [frames, height, width, 3].

    Colours and waves change from part to part; only the kind of texture stays. So what a whole video has in common is
    its look, not one picture behind it.

    Args:
        place: makes the colours, which videos of one group share.
        rng: makes waves and drift.
    """
    at = np.linspace(-0.2, PARTS - 0.8, frames) + 0.35 * rng.uniform(-1, 1)
    share = np.clip(1.5 - 1.6 * np.abs(np.clip(at, 0, PARTS - 1) - np.arange(PARTS)[:, None]), 0, 1) + 1e-3
    share = (share / share.sum(0)).astype(np.float32)[..., None, None, None]
    video = np.zeros((frames, height, width, 3), np.float32)
    for part in range(PARTS):
        seen = np.flatnonzero(share[part, :, 0, 0, 0] > 0.01)
        if len(seen):
            cut = slice(seen[0], seen[-1] + 1)
            video[cut] += share[part, cut] * _drifting(place, rng, ground, len(seen), height, width, style.clutter)
    return video


def _drifting(place: Rng, rng: Rng, ground: Ground, frames: int, height: int, width: int, clutter: float) -> np.ndarray:
    """One ground: a sum of waves that drift and bend, between two colours."""
    y, x = _grid(height, width)
    shortest, longest = ground.lengths
    length = np.exp(rng.uniform(np.log(shortest), np.log(longest), WAVES))
    angle = rng.uniform(0, 2 * np.pi, WAVES)
    if ground.angles:
        angle = np.array(ground.angles)[rng.integers(len(ground.angles), size=WAVES)] + rng.uniform(-0.12, 0.12, WAVES)
    kx, ky = 2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length
    weight = length**0.6 / np.sqrt((length**1.2).sum() / 2)
    base = place.uniform()
    dark = _hue(base + place.uniform(-0.08, 0.08), place.uniform(0.3, 0.8), place.uniform(0.15, 0.35))
    light = _hue(base + place.uniform(-0.3, 0.3), place.uniform(0.2, 0.6), place.uniform(0.55, 0.85))

    start, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.002, 0.012)
    steps = speed * (1 + 0.8 * _wander(rng, frames))
    heading = start + 1.2 * _wander(rng, frames, 40)
    dx, dy = np.cumsum(steps * np.cos(heading)), np.cumsum(steps * np.sin(heading))
    phase = rng.uniform(0, 2 * np.pi, WAVES) + dx[:, None] * kx + dy[:, None] * ky  # [frames, WAVES]
    phase = phase + 0.9 * np.stack([_wander(rng, frames, 36) for _ in range(WAVES)], axis=1)
    # sin(kx x + ky y + p) = sin(kx x + p) cos(ky y) + cos(kx x + p) sin(ky y): one small matrix product a frame
    along = (phase[:, :, None] + kx[:, None] * x).astype(np.float32)
    across = (ky * y[:, None]).astype(np.float32)
    left = np.concatenate([np.cos(across) * weight, np.sin(across) * weight], axis=1).astype(np.float32)
    field = left @ np.concatenate([np.sin(along), np.cos(along)], axis=1)
    share = 0.5 + np.float32(0.5 * clutter) * np.tanh(np.float32(ground.edge) * field)
    return dark.astype(np.float32) + share[..., None] * (light - dark).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Life:
    """One object while it is there: first frame, and its course, float64 [n] each."""

    first: int
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    turn: np.ndarray
    shown: np.ndarray
    colours: tuple[np.ndarray, np.ndarray]
    look: tuple[Field, Field]


def _paint(video: np.ndarray, life: _Life, labels: np.ndarray | None = None, number: int = 0) -> None:
    """Draws one object's life into the frames, with its edges softened over a pixel.

    Args:
        labels: where it covers more than half of a pixel, ``number`` is written into these, uint8 as the frames.
    """
    frames, height, width = video.shape[:3]
    short = min(height, width)
    begin, end = max(0, -life.first), min(len(life.x), frames - life.first)
    if begin >= end:
        return
    cut = slice(begin, end)
    cx, cy = life.x[cut] * short + width / 2, life.y[cut] * short + height / 2
    radius = life.radius[cut] * short
    half = int(np.ceil(1.1 * radius.max())) + 1
    x0, y0 = np.floor(cx).astype(int) - half, np.floor(cy).astype(int) - half
    box = np.arange(2 * half + 1, dtype=np.float32) + 0.5
    dx = ((box + (x0 - cx)[:, None]) / radius[:, None]).astype(np.float32)[:, None, :]
    dy = ((box + (y0 - cy)[:, None]) / radius[:, None]).astype(np.float32)[:, :, None]
    cos = np.cos(life.turn[cut]).astype(np.float32)[:, None, None]
    sin = np.sin(life.turn[cut]).astype(np.float32)[:, None, None]
    u, v = dx * cos + dy * sin, dy * cos - dx * sin
    shape, texture = life.look
    cover = np.clip(0.5 + shape(u, v) * radius.astype(np.float32)[:, None, None], 0, 1)
    cover *= life.shown[cut].astype(np.float32)[:, None, None]
    dark, light = (c.astype(np.float32) for c in life.colours)
    paint = dark + texture(u, v)[..., None] * (light - dark)
    for k in range(end - begin):
        t = life.first + begin + k
        top, left = max(0, -y0[k]), max(0, -x0[k])
        bottom, right = min(2 * half + 1, height - y0[k]), min(2 * half + 1, width - x0[k])
        if top < bottom and left < right:
            under = video[t, y0[k] + top : y0[k] + bottom, x0[k] + left : x0[k] + right]
            over = cover[k, top:bottom, left:right]
            under += over[..., None] * (paint[k, top:bottom, left:right] - under)
            if labels is not None:
                labels[t, y0[k] + top : y0[k] + bottom, x0[k] + left : x0[k] + right][over > 0.5] = number


def _fades(n: int, frames: int = 4) -> np.ndarray:
    k = np.arange(n)
    return np.clip(np.minimum(k + 1, n - k) / frames, 0, 1)


def _colours(rng: Rng, hue: float) -> tuple[np.ndarray, np.ndarray]:
    dark = _hue(hue + rng.uniform(0.3, 0.7), rng.uniform(0.5, 0.95), rng.uniform(0.08, 0.3))
    return dark, _hue(hue, rng.uniform(0.15, 0.8), rng.uniform(0.85, 1.0))


def _lives(
    rng: Rng, look_index: int, motion: str, frames: int, reach: tuple[float, float], style: Style
) -> list[_Life]:
    """The objects of the look: each stays for a while, leaves, and another takes its place elsewhere."""
    lives = []
    hue = rng.uniform()
    for _ in range(style.objects):
        t = -int(rng.integers(0, style.life[1]))
        while t < frames:
            n = int(rng.integers(style.life[0], style.life[1] + 1))
            phase = np.linspace(0, 1, n)
            course = MOTIONS[motion](phase, rng)
            middle = rng.uniform(-0.5, 0.5, 2) * reach
            drift = rng.uniform(-0.08, 0.08, 2)
            lives.append(
                _Life(
                    first=t,
                    x=middle[0] + course.right + drift[0] * phase,
                    y=middle[1] + course.down + drift[1] * phase,
                    radius=style.size * np.exp(course.grow + rng.uniform(-0.3, 0.3)),
                    turn=course.turn + rng.uniform(0, 2 * np.pi) + rng.uniform(-0.4, 0.4) * phase,
                    shown=_fades(n),
                    colours=_colours(rng, hue + style.colours * rng.uniform(-0.5, 0.5)),
                    look=look(look_index),
                )
            )
            t += n + int(rng.integers(0, 7))
    return lives


def _passers(rng: Rng, frames: int, reach: tuple[float, float], style: Style) -> list[_Life]:
    """Things of no look that come in at one side and go out at another."""
    lives = []
    for _ in range(rng.poisson(style.passers * frames / 96)):
        n = int(rng.integers(20, 48))
        phase = np.linspace(-0.5, 0.5, n)
        angle = rng.uniform(0, 2 * np.pi)
        off = rng.uniform(-0.35, 0.35)
        along = phase * (max(reach) + 0.5)
        bend = rng.uniform(-0.5, 0.5) * phase**2
        shade = _hue(rng.uniform(), rng.uniform(0.2, 0.9), rng.uniform(0.2, 0.9))
        lives.append(
            _Life(
                first=int(rng.integers(-n // 2, frames)),
                x=along * np.cos(angle) - (off + bend) * np.sin(angle),
                y=along * np.sin(angle) + (off + bend) * np.cos(angle),
                radius=np.full(n, style.size * rng.uniform(0.5, 1.1)),
                turn=rng.uniform(0, 2 * np.pi) + rng.uniform(-2, 2) * phase,
                shown=_fades(n),
                colours=(0.6 * shade, shade),
                look=PASSER,
            )
        )
    return lives


def _light(rng: Rng, video: np.ndarray, style: Style) -> None:
    """Multiplies brightness, tint and a slope of light that wander along the video."""
    frames, height, width = video.shape[:3]
    y, x = _grid(height, width)
    tint = np.stack([_wander(rng, frames, 28) for _ in range(3)], axis=1)
    gain = np.exp(style.light * (0.4 * _wander(rng, frames, 20)[:, None] + 0.3 * tint)).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi) + 2.5 * _wander(rng, frames, 48)
    slope_x = (0.5 * style.light * np.cos(angle)).astype(np.float32)[:, None, None]
    slope_y = (0.5 * style.light * np.sin(angle)).astype(np.float32)[:, None, None]
    video *= np.exp(slope_x * x + slope_y * y[:, None])[..., None] * gain[:, None, None, :]


def render(
    place: Rng, rng: Rng, look_index: int, motion: str, frames: int, height: int, width: int, style: Style
) -> np.ndarray:
    """Frames of one video, uint8 ``[frames, height, width, 3]`` RGB.

    Args:
        place: makes what videos of one group share: the colours of their grounds.
        rng: makes everything else.
        look_index: into :data:`telltime.datasets._looks.LOOKS`.
        motion: one of :data:`telltime.datasets._motions.MOTIONS`.
    """
    short = min(height, width)
    reach = (width / short, height / short)
    video = _background(place, rng, GROUNDS[look_index], frames, height, width, style)
    lives = _lives(rng, look_index, motion, frames, reach, style)
    for life in [*_passers(rng, frames, reach, style), *lives]:
        _paint(video, life)
    _light(rng, video, style)
    return (np.clip(video, 0, 1) * 255 + 0.5).astype(np.uint8)
