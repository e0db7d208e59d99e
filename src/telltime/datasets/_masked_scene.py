"""Draws footage whose every pixel is known: objects that cover each other, leave and come in over a panning ground.

Lengths are in units of the frame's short side, colours 0 to 1, as in :mod:`telltime.datasets._scene`.
"""

from collections.abc import Sequence

import numpy as np

from telltime.datasets._looks import GROUNDS, Ground, look
from telltime.datasets._scene import WAVES, Rng, Style, _colours, _grid, _hue, _Life, _light, _paint, _wander

ROLES = ("stays", "returns", "crosses", "leaves")
"""What an object does that is there from the first frame: the first one stays, the rest take turns."""

COLOURS = 0.1
"""How far, in turns of the colour circle, the hue of an object lies from that of its look."""


def render(
    rng: Rng, looks: Sequence[int], newcomers: int, frames: int, height: int, width: int, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    """One sequence.

    Args:
        rng: makes everything.
        looks: of the objects, indices into :data:`telltime.datasets._looks.LOOKS`; object ``i`` gets the label
            ``i + 1``.
        newcomers: how many of them, the last ones, come in after the first frame.
        style: its ``clutter``, ``light`` and ``size`` are used.

    Returns:
        Frames, uint8 ``[frames, height, width, 3]`` RGB, and labels, uint8 ``[frames, height, width]``.
    """
    reach = (width / min(height, width), height / min(height, width))
    video = panned(rng, frames, height, width, style)
    labels = np.zeros((frames, height, width), np.uint8)
    first = len(looks) - newcomers
    starts = _starts(rng, max(1, first), reach)
    radius = style.size / np.sqrt(max(1, len(looks) - newcomers / 2))
    lives = []
    for number, index in enumerate(looks):
        role = "comes" if number >= first else ROLES[number % len(ROLES)]
        x, y = _course(rng, role, starts[number % len(starts)], frames, reach, radius)
        lives.append(_object(rng, index, x, y, radius * np.exp(rng.uniform(-0.2, 0.2))))
    for number in rng.permutation(len(looks)):
        _paint(video, lives[number], labels, int(number) + 1)
    _light(rng, video, style)
    return (np.clip(video, 0, 1) * 255 + 0.5).astype(np.uint8), labels


def panned(rng: Rng, frames: int, height: int, width: int, style: Style) -> np.ndarray:
    """A ground that a camera pans over and comes nearer to: coarse patches with finer texture in them.

    Unlike the grounds of :mod:`telltime.datasets._scene` it is rigid: all of it moves as one plane.

    Returns:
        float32 ``[frames, height, width, 3]``.
    """
    coarse, fine = GROUNDS[int(rng.integers(len(GROUNDS)))], Ground((0.06, 0.25), (), 1.0)
    heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.004, 0.016)
    steps = speed * (1 + 0.6 * _wander(rng, frames))
    bend = heading + 0.8 * _wander(rng, frames, 40)
    shift = np.cumsum(np.stack([steps * np.cos(bend), steps * np.sin(bend)]), axis=1)
    zoom = np.exp(rng.uniform(-0.15, 0.15) * np.linspace(0, 1, frames))
    dark, light, third = (_hue(rng.uniform(), rng.uniform(0.2, 0.7), v) for v in (0.3, 0.65, rng.uniform(0.3, 0.8)))
    patches = 0.5 + 0.5 * np.tanh(coarse.edge * _waves(rng, coarse, shift, zoom, height, width))[..., None]
    grain = np.tanh(_waves(rng, fine, shift, zoom, height, width))[..., None]
    ground = dark + patches * (light - dark)
    return (ground + 0.3 * style.clutter * grain * (third - ground)).astype(np.float32)


def _waves(rng: Rng, ground: Ground, shift: np.ndarray, zoom: np.ndarray, height: int, width: int) -> np.ndarray:
    """A sum of waves seen from a camera at ``shift`` and ``zoom``: float32 ``[frames, height, width]``, deviation 1."""
    y, x = _grid(height, width)
    shortest, longest = np.log(ground.lengths)
    length = np.exp(rng.uniform(shortest, longest, WAVES))
    angle = rng.uniform(0, 2 * np.pi, WAVES)
    if ground.angles:
        angle = np.array(ground.angles)[rng.integers(len(ground.angles), size=WAVES)] + rng.uniform(-0.12, 0.12, WAVES)
    kx, ky = 2 * np.pi * np.cos(angle) / length, 2 * np.pi * np.sin(angle) / length
    weight = length**0.6 / np.sqrt((length**1.2).sum() / 2)
    phase = rng.uniform(0, 2 * np.pi, WAVES) + shift[0, :, None] * kx + shift[1, :, None] * ky
    # sin(kx x + ky y + p) = sin(kx x + p) cos(ky y) + cos(kx x + p) sin(ky y): one matrix product a frame
    along = phase[:, :, None] + (zoom[:, None] * kx)[..., None] * x
    across = (zoom[:, None] * ky)[:, None, :] * y[:, None]
    left = np.concatenate([np.cos(across) * weight, np.sin(across) * weight], axis=2).astype(np.float32)
    return np.asarray(left @ np.concatenate([np.sin(along), np.cos(along)], axis=1).astype(np.float32))


def _starts(rng: Rng, count: int, reach: tuple[float, float]) -> list[tuple[float, float]]:
    """A place for each object that the first frame shows, apart from one another along its longer side."""
    across = (rng.permutation(count) + 0.5) / count - 0.5 + rng.uniform(-0.1, 0.1, count) / count
    beside = rng.uniform(-0.22, 0.22, count)
    wide = reach[0] >= reach[1]
    return [(a * 0.84 * reach[0], b * reach[1]) if wide else (b * reach[0], a * 0.84 * reach[1])
            for a, b in zip(across, beside, strict=True)]  # fmt: skip


def _course(
    rng: Rng, role: str, start: tuple[float, float], frames: int, reach: tuple[float, float], radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where an object is in each frame, float64 ``[frames]`` twice: a wander, and what its role adds."""
    phase = np.linspace(0, 1, frames)
    spacing = max(6, frames // 2)
    x, y = (at + 0.2 * (w - w[0]) for at, w in zip(start, (_wander(rng, frames, spacing) for _ in "xy"), strict=True))
    if role == "stays":
        return np.clip(x, -0.4 * reach[0], 0.4 * reach[0]), np.clip(y, -0.4 * reach[1], 0.4 * reach[1])
    if role == "crosses":
        gone = _ease(phase, 0.05, 0.95)
        return x - 1.7 * start[0] * gone, y - 1.7 * start[1] * gone
    side = 1.0 if start[0] >= 0 else -1.0
    away = side * (reach[0] / 2 + 1.7 * radius) - start[0]
    begin = rng.uniform(0.1, 0.35)
    if role == "returns":
        gone = _ease(phase, begin, begin + 0.25) - _ease(phase, begin + 0.35, begin + 0.6)
    elif role == "leaves":
        gone = _ease(phase, 0.3 + begin, 0.65 + begin)
    else:
        gone = 1 - _ease(phase, begin, begin + 0.4)
    return x * (1 - gone) + (start[0] + away) * gone, y


def _ease(phase: np.ndarray, begin: float, end: float) -> np.ndarray:
    along = np.clip((phase - begin) / (end - begin), 0, 1)
    return np.asarray(along * along * (3 - 2 * along))


def _object(rng: Rng, index: int, x: np.ndarray, y: np.ndarray, radius: float) -> _Life:
    frames = len(x)
    phase = np.linspace(0, 1, frames)
    hue = index / len(GROUNDS) + rng.uniform(-COLOURS, COLOURS)
    return _Life(
        first=0,
        x=x,
        y=y,
        radius=radius * np.exp(rng.uniform(-0.25, 0.25) * phase),
        turn=rng.uniform(-0.6, 0.6) + rng.uniform(-0.9, 0.9) * phase,
        shown=np.ones(frames),
        colours=_colours(rng, hue),
        look=look(index),
    )
