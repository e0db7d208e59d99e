"""Motions of the generated footage: how an object's place, size and turn go along one of its lives.

Every motion leaves single frames alike: places, sizes and turns are drawn from one and the same spread, and only their
order in time differs. No motion tells left from right, since training flips videos.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Course:
    """Course of an object over its life: offsets along phase, float64 ``[n]`` each.

    Attributes:
        right, down: from the middle of the course, in units of the frame's short side.
        grow: logarithm of the size relative to the middle's.
        turn: radians from the turn at the start.
    """

    right: np.ndarray
    down: np.ndarray
    grow: np.ndarray
    turn: np.ndarray


Motion = Callable[[np.ndarray, Rng], Course]


REACH = 0.8
"""How far a straight course leads, in units of the frame's short side."""
SWELL = 1.1
"""How much the logarithm of the size changes on the way here or away."""


def _course(phase: np.ndarray, **moving: np.ndarray) -> Course:
    still = np.zeros_like(phase)
    return Course(**{name: moving.get(name, still) for name in ("right", "down", "grow", "turn")})


def _ramp(phase: np.ndarray, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    """Rises smoothly from -1/2 at ``start`` to 1/2 at ``stop``."""
    x = np.clip((phase - start) / (stop - start), 0, 1)
    return x * x * (3 - 2 * x) - 0.5


def _side(rng: Rng) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _there_and_back(phase: np.ndarray) -> np.ndarray:
    return 0.5 - 4 * (phase - 0.5) ** 2


def _orbit(phase: np.ndarray, rng: Rng) -> Course:
    angle = 2 * np.pi * (rng.uniform() + _side(rng) * 0.9 * phase)
    return _course(phase, right=REACH / 3 * np.cos(angle), down=REACH / 3 * np.sin(angle))


def _hop(phase: np.ndarray, rng: Rng, start: float, stop: float) -> dict[str, np.ndarray]:
    angle = rng.uniform(0, 2 * np.pi)
    step = 0.7 * REACH * _ramp(phase, start, stop)
    return {"right": step * np.cos(angle), "down": step * np.sin(angle)}


def _events(phase: np.ndarray, rng: Rng, turn_first: bool) -> Course:
    first, second = (0.12, 0.4), (0.6, 0.88)
    hop, turn = (second, first) if turn_first else (first, second)
    return _course(phase, **_hop(phase, rng, *hop), turn=_side(rng) * 2.6 * _ramp(phase, *turn))


MOTIONS: dict[str, Motion] = {
    "Rise": lambda phase, rng: _course(phase, down=-REACH * (phase - 0.5)),
    "Spin": lambda phase, rng: _course(phase, turn=_side(rng) * 7.5 * phase),
    "Approach": lambda phase, rng: _course(phase, grow=SWELL * (phase - 0.5)),
    "Sink": lambda phase, rng: _course(phase, down=REACH * (phase - 0.5)),
    "HopTurn": lambda phase, rng: _events(phase, rng, turn_first=False),
    "Recede": lambda phase, rng: _course(phase, grow=-SWELL * (phase - 0.5)),
    "Cross": lambda phase, rng: _course(phase, right=_side(rng) * REACH * (phase - 0.5)),
    "TurnHop": lambda phase, rng: _events(phase, rng, turn_first=True),
    "Orbit": _orbit,
    "Bounce": lambda phase, rng: _course(phase, down=-0.7 * REACH * _there_and_back(phase)),
    "Sway": lambda phase, rng: _course(phase, right=_side(rng) * 0.7 * REACH * _there_and_back(phase)),
    "Dip": lambda phase, rng: _course(phase, down=0.7 * REACH * _there_and_back(phase)),
}
