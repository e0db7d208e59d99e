"""Shapes and textures of the generated footage, as functions of an object's own coordinates.

``u`` and ``v`` are float32 arrays of one shape; the object lies about within the unit circle. A shape is positive
inside and falls with about unit slope across its edge; a texture is 0 to 1. Both are smooth enough to be sampled once
a pixel without aliasing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _radius(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(u * u + v * v)


def _polygon(u: np.ndarray, v: np.ndarray, sides: int, apothem: float) -> np.ndarray:
    turns = [2 * np.pi * k / sides for k in range(sides)]
    edges = (u * np.float32(np.cos(a)) + v * np.float32(np.sin(a)) for a in turns)
    reach = next(edges)
    for edge in edges:
        reach = np.maximum(reach, edge)
    return apothem - reach


def _wavy(u: np.ndarray, v: np.ndarray, lobes: int, mean: float, depth: float) -> np.ndarray:
    return mean + depth * np.cos(lobes * np.arctan2(v, u)) - _radius(u, v)


def _box(u: np.ndarray, v: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return np.minimum(half_width - np.abs(u), half_height - np.abs(v))


SHAPES: dict[str, Field] = {
    "Disc": lambda u, v: 0.92 - _radius(u, v),
    "Cross": lambda u, v: np.maximum(_box(u, v, 1.0, 0.34), _box(u, v, 0.34, 1.0)),
    "Ring": lambda u, v: 0.27 - np.abs(_radius(u, v) - 0.72),
    "Triangle": lambda u, v: _polygon(u, v, 3, 0.55),
    "Star": lambda u, v: _wavy(u, v, 5, 0.7, 0.3),
    "Bar": lambda u, v: _box(u, v, 1.05, 0.4),
    "Crescent": lambda u, v: np.minimum(0.98 - _radius(u, v), _radius(u - np.float32(0.5), v) - 0.68),
    "Square": lambda u, v: _box(u, v, 0.8, 0.8),
    "Trefoil": lambda u, v: _wavy(u, v, 3, 0.66, 0.34),
    "Ell": lambda u, v: np.maximum(_box(u, v - np.float32(0.6), 0.85, 0.3), _box(u + np.float32(0.55), v, 0.3, 0.9)),
    "Gear": lambda u, v: _wavy(u, v, 8, 0.8, 0.18),
    "Hexagon": lambda u, v: _polygon(u, v, 6, 0.82),
}


def _wave(x: np.ndarray) -> np.ndarray:
    """A square wave of period 1 with soft edges, 0 to 1."""
    return 0.5 + 0.5 * np.clip(2.5 * np.sin(2 * np.pi * x), -1, 1)


def _turns(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.arctan2(v, u) / np.float32(2 * np.pi)


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    hills = np.cos(2 * np.pi * 1.6 * u) + np.cos(2 * np.pi * 1.6 * v)
    return np.clip(1.5 * hills - 0.4, 0, 1)


TEXTURES: dict[str, Field] = {
    "Ringed": lambda u, v: _wave(2.2 * _radius(u, v)),
    "Plain": lambda u, v: np.full_like(u, 0.9),
    "Spoked": lambda u, v: _wave(4 * _turns(u, v)),
    "Striped": lambda u, v: _wave(1.9 * u),
    "Dusky": lambda u, v: np.clip(1.1 - 1.2 * _radius(u, v), 0, 1),
    "Checked": lambda u, v: 0.5 + 0.5 * np.clip(4 * np.sin(4.2 * u + 0.8) * np.sin(4.2 * v + 0.8), -1, 1),
    "Dotted": _dots,
    "Halved": lambda u, v: np.clip(0.5 + 4 * v, 0, 1),
    "Spiral": lambda u, v: _wave(_turns(u, v) + 1.6 * _radius(u, v)),
    "Waved": lambda u, v: _wave(1.7 * (v + 0.22 * np.sin(5 * u))),
    "Cored": lambda u, v: np.clip(0.5 + 6 * (0.45 - _radius(u, v)), 0, 1),
    "Quartered": lambda u, v: np.clip(0.5 + 12 * u * v, 0, 1),
}

LOOKS: tuple[str, ...] = tuple(texture + shape for texture, shape in zip(TEXTURES, SHAPES, strict=True))
"""Names of the looks: the i-th texture on the i-th shape."""


_P = np.pi


@dataclass(frozen=True, slots=True)
class Ground:
    """The kind of texture behind the objects.

    Attributes:
        lengths: shortest and longest wave, in units of the frame's short side.
        angles: directions of the waves in radians; none for all directions.
        edge: how sharply light gives way to dark.
    """

    lengths: tuple[float, float]
    angles: tuple[float, ...] = ()
    edge: float = 1.3


GROUNDS: tuple[Ground, ...] = (
    Ground((0.5, 1.4)),
    Ground((0.12, 0.2)),
    Ground((0.14, 0.3), (0,)),
    Ground((0.14, 0.3), (_P / 2,)),
    Ground((0.16, 0.3), (0, _P / 2), 3.0),
    Ground((0.3, 0.6), (), 5.0),
    Ground((0.14, 0.3), (_P / 4, -_P / 4)),
    Ground((0.5, 1.2), (0, _P / 2), 5.0),
    Ground((0.3, 0.8), (0,), 5.0),
    Ground((0.3, 0.8), (_P / 2,), 5.0),
    Ground((0.2, 0.4), (_P / 4, -_P / 4), 4.0),
    Ground((0.2, 0.3), (), 3.0),
)
"""Ground of each look: as its shape and its texture, part of what a class has in common."""


def look(index: int) -> tuple[Field, Field]:
    """Shape and texture of one look."""
    return list(SHAPES.values())[index], list(TEXTURES.values())[index]
