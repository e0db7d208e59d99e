"""From what a head says to what may be believed: fitted on photos that the head has not seen.

A density is brought to ``q ** (1 / temperature) * prior ** exponent`` over the bins of the day, then mixed with a
``floor`` spread evenly. Temperature mends how sure the head is, the exponent how much the hours of the collection count
(a head with a flat prior wants about 1, one that has learnt the hours with the rest about 0), the floor what no head
foresees. All three have the least negative log likelihood of the held-out times.

Arcs are split conformal. A photo's score is the least share from which on every shortest arc of its density holds the
true time. Of ``n`` held-out scores the ``ceil((n + 1) * share)``-th smallest is the share that an arc is drawn with; it
then holds the time of a new photo with a probability of at least ``share``, if that photo comes from where the held-out
ones do (is exchangeable with them), however wrong the head is. It is no promise for a photo of another camera or
season, and it is one for photos on the whole, not for each hour. Source: Vovk, Gammerman, Shafer, "Algorithmic Learning
in a Random World", 2005; Papadopoulos et al., ECML 2002.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from telltime.metrics import circular

BINS = 96
FEWEST = 8
"""Held-out photos that anything is fitted on."""

_LEVELS = np.concatenate([np.linspace(0.05, 0.9, 18), [0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999]])
_MOST, _LEAST = 2000, 1e-30
_TEMPERATURES = np.geomspace(0.3, 20.0, 32)
_EXPONENTS = np.linspace(-0.5, 1.5, 17)
_FLOORS = np.array([0.002, 0.005, 0.01, 0.02, 0.04, 0.08])
_CAUTION = (2.0, 8.0)
"""How many nats a temperature of e, and an exponent one off what is expected, must be worth."""


@dataclass(frozen=True)
class Calibration:
    """What was fitted; with its defaults nothing is changed but the floor.

    Attributes:
        temperature: above 0.
        exponent: of the prior.
        floor: share of the day spread evenly, 0 to 1.
        prior: shares of the hours among the photos learnt from, :data:`BINS` of them, or ``None``.
        scores: conformal scores of the held-out photos, ascending, 0 to 1.
    """

    temperature: float = 1.0
    exponent: float = 0.0
    floor: float = 0.0
    prior: tuple[float, ...] | None = None
    scores: tuple[float, ...] = ()

    def apply(self, density: Any) -> np.ndarray:
        """Densities of :data:`BINS` bins ``[..., 96]``, calibrated, float64."""
        given = np.log(np.maximum(np.asarray(density, np.float64), _LEAST)) / self.temperature
        if self.prior is not None:
            given = given + self.exponent * np.log(np.asarray(self.prior))
        found = np.exp(given - given.max(-1, keepdims=True))
        found /= found.sum(-1, keepdims=True)
        return (1 - self.floor) * found + self.floor / found.shape[-1]

    def share(self, share: float) -> float:
        """The share of a density that an arc must hold, so that ``share`` of the arcs hold the time; at most 1."""
        count = len(self.scores)
        if count < FEWEST:
            return share
        place = math.ceil((count + 1) * share)
        return 1.0 if place > count else min(1.0, max(self.scores[place - 1], 1e-3))

    def arc(self, density: Any, share: float) -> circular.Arc:
        """Arcs of calibrated densities that hold the time with a probability of ``share``."""
        return circular.arc(density, self.share(share))

    def p_value(self, density: Any, hours: Any) -> np.ndarray:
        """How often a true time would fit a calibrated density no better than ``hours``: conformal, above 0 up to 1.

        Without held-out scores the density itself is believed.
        """
        found = conformal_scores(density, hours)
        if len(self.scores) < FEWEST:
            return np.clip(1 - found, 1e-3, 1.0)
        held = np.asarray(self.scores)
        return (1 + len(held) - np.searchsorted(held, found - 1e-9)) / (len(held) + 1)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Self:
        """What :meth:`to_json` gave.

        Raises:
            ValueError: it did not.
        """
        try:
            prior = told["prior"]
            made = cls(
                float(told["temperature"]),
                float(told["exponent"]),
                float(told["floor"]),
                None if prior is None else tuple(map(float, prior)),
                tuple(sorted(map(float, told["scores"]))),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it is no calibration ({error})") from error
        right = made.prior is None or (len(made.prior) == BINS and min(made.prior) > 0)
        if not (made.temperature > 0 and 0 <= made.floor < 1 and right):
            raise ValueError("it is no calibration: its numbers are out of range")
        return made


def hours_prior(hours: Any, width: float = 1.0) -> tuple[float, ...]:
    """Shares of the hours of a collection over :data:`BINS` bins, blurred and never 0."""
    count = np.bincount(circular.classes_of(hours, BINS), minlength=BINS).astype(np.float64)
    blurred = circular.smooth(count, width) + 0.25 * max(1.0, count.sum()) / 100 / BINS
    return tuple((blurred / blurred.sum()).tolist())


def conformal_scores(density: Any, hours: Any) -> np.ndarray:
    """For each row the least share from which on every shortest arc holds the row's hour, ``[N]`` (or one number)."""
    given = np.asarray(density, np.float64)
    rows = given[None] if given.ndim == 1 else given
    told = np.broadcast_to(np.asarray(hours, np.float64), rows.shape[:1])
    inside = np.stack([circular.arc(rows, level).holds(told) for level in _LEVELS])
    misses = len(_LEVELS) - 1 - (~inside[::-1]).argmax(0)
    last = np.where(inside.all(0), -1, misses)
    ends = np.append(_LEVELS, 1.0)
    found = np.where(last < 0, _LEVELS[0] * _inner(rows, told), ends[last + 1])
    return found[0] if given.ndim == 1 else found


def fit_calibration(
    density: Any,
    hours: Any,
    prior: Sequence[float] | None = None,
    groups: Sequence[Any] | None = None,
    exponent: float = 0.0,
) -> Calibration:
    """Fit everything on held-out photos.

    With few photos temperature and exponent are held near what changes nothing. The scores for the arcs are of the same
    photos: three numbers fitted on them bend these little; where there are groups, each photo's score comes from a fit
    to the other groups.

    Args:
        density: what the head says of them, ``[N, 96]``, not calibrated.
        hours: their true times ``[N]``.
        prior: as :func:`hours_prior` gives it, of the photos learnt from.
        groups: what belongs together, such as photos of one day.
        exponent: what is expected of it: 1 of a head with a flat prior, 0 of one that knows the hours.

    Raises:
        ValueError: fewer than :data:`FEWEST` photos.
    """
    given, told = np.asarray(density, np.float64), np.asarray(hours, np.float64)
    if len(given) < FEWEST:
        raise ValueError(f"calibration takes at least {FEWEST} held-out photos, there are {len(given)}")
    start = None if prior is None else tuple(map(float, prior))
    fitted = _fitted(given, told, start, exponent)
    kept = np.random.default_rng(0).permutation(len(given))[:_MOST]
    scores = np.empty(len(kept))
    for part in _parts(kept, groups):
        rest = np.setdiff1d(np.arange(len(given)), kept[part])
        own = fitted if len(rest) < FEWEST or groups is None else _fitted(given[rest], told[rest], start, exponent)
        scores[part] = conformal_scores(own.apply(given[kept[part]]), told[kept[part]])
    held = tuple(np.sort(scores).round(4).tolist())
    return Calibration(fitted.temperature, fitted.exponent, fitted.floor, start, held)


def _parts(kept: np.ndarray, groups: Sequence[Any] | None, most: int = 5) -> list[np.ndarray]:
    """Places in ``kept``, parted by groups."""
    if groups is None:
        return [np.arange(len(kept))]
    names = [str(groups[row]) for row in kept]
    number = {name: place % most for place, name in enumerate(dict.fromkeys(sorted(names)))}
    owner = np.array([number[name] for name in names])
    return [np.flatnonzero(owner == part) for part in np.unique(owner)]


def _fitted(given: np.ndarray, told: np.ndarray, prior: tuple[float, ...] | None, usual: float) -> Calibration:
    """The three numbers on a grid, then on a finer one around the best."""
    rows = np.random.default_rng(0).permutation(len(given))[:_MOST]
    logs = np.log(np.maximum(given[rows], _LEAST))
    place = circular.classes_of(told[rows], BINS)
    weights = np.zeros(BINS) if prior is None else np.log(np.asarray(prior))

    def cost(temperature: float, exponent: float, floor: Any) -> np.ndarray:
        held = _CAUTION[0] * math.log(temperature) ** 2 + _CAUTION[1] * (exponent - usual) ** 2
        power = logs / temperature + exponent * weights
        power = power - power.max(1, keepdims=True)
        right = np.exp(power[np.arange(len(power)), place]) / np.exp(power).sum(1)
        mixed = (1 - floor[:, None]) * right + floor[:, None] / BINS
        return -np.log(mixed).sum(1) + held

    exponents = _EXPONENTS if prior is not None else np.zeros(1)
    best = (math.inf, 1.0, usual, 0.01)
    temperatures = _TEMPERATURES
    for _ in range(2):
        for temperature in temperatures:
            for exponent in exponents:
                found = cost(temperature, exponent, _FLOORS)
                least = int(found.argmin())
                best = min(best, (float(found[least]), float(temperature), float(exponent), float(_FLOORS[least])))
        temperatures = best[1] * np.geomspace(0.88, 1.14, 7)
        exponents = best[2] + (np.linspace(-0.1, 0.1, 5) if prior is not None else np.zeros(1))
    return Calibration(best[1], best[2], best[3], prior)


def _inner(rows: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """Where within the smallest arc a time lies, 0 to 1, from its middle out."""
    arcs = circular.arc(rows, _LEVELS[0])
    middle = arcs.start + arcs.length / 2
    return np.clip(2 * circular.distance(hours, middle) / arcs.length, 0, 1)
