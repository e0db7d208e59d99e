"""How wrong a camera's clock is, told by all its photos together.

One photo tells its time within hours; N photos that share one mistake tell the mistake about sqrt(N) times as well. The
offset is the one that makes the claimed times likeliest:

    L(delta) = sum_i log((1 - e) p_i(t_i + delta) + e / bins),    best = argmax over delta

with ``p_i`` the density of photo i, ``t_i`` the time it claims, and ``e`` the share of photos allowed to be anything
(indoors, screens, a wrong model), so that no single photo decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_ANYTHING = 0.05
_DRAWS = 400
_PRIOR_WRONG = 0.1
_BIAS = 30
"""Minutes that a model may be wrong by for a scene it does not know, whatever the number of photos."""


@dataclass(frozen=True)
class Offset:
    """What must be added to the claimed times.

    Attributes:
        minutes: best offset, in (-720, 720].
        interval: 90 % interval in minutes around it, ``(least, most)``; least may be below -720 and most above 720.
        gain: log-likelihood over that of no offset, in nats, all photos together; never negative.
        photos: how many it was told from.
        probability: that the clock is wrong at all, if one in ten clocks is, by every offset alike.
        mending: minutes to mend by: mistakes of a zone or of AM and PM are whole hours, so the likeliest whole hour of
            the interval is preferred; without one it is ``minutes``.
    """

    minutes: int
    interval: tuple[int, int]
    gain: float
    photos: int
    probability: float
    mending: int

    @property
    def wrong(self) -> bool:
        """Whether to tell the user: chance is an unlikely explanation, and so is a model half an hour off."""
        return self.probability >= 0.95 and not (self.interval[0] < _BIAS and self.interval[1] > -_BIAS)

    def to_json(self) -> dict[str, object]:
        """Everything, with the mending."""
        return {
            "minutes": self.minutes,
            "interval": list(self.interval),
            "gain": round(self.gain, 3),
            "photos": self.photos,
            "probability": round(self.probability, 4),
            "wrong": self.wrong,
            "mending": self.mending,
        }


def likelihoods(densities: np.ndarray, claimed_hours: np.ndarray, step_minutes: int = 15) -> np.ndarray:
    """Log-likelihood of every offset for every photo, float64 ``[N, 1440 / step]``; the first column is no offset.

    Args:
        densities: ``[N, bins]``, rows sum to 1; read linearly between the middles of bins, over midnight too.
        claimed_hours: ``[N]``, in [0, 24).
        step_minutes: between offsets; divides the day.

    Raises:
        ValueError: shapes do not fit, an hour is missing, or the step does not divide the day.
    """
    densities = np.asarray(densities, dtype=np.float64)
    hours = np.asarray(claimed_hours, dtype=np.float64)
    if densities.ndim != 2 or hours.shape != densities.shape[:1] or not len(hours):
        raise ValueError(f"offsets need densities [N, bins] and as many hours, not {densities.shape} and {hours.shape}")
    if not np.isfinite(hours).all():
        raise ValueError("a photo without a claimed time tells nothing about its clock")
    if step_minutes < 1 or 1440 % step_minutes:
        raise ValueError(f"a step of {step_minutes} minutes does not divide the day")
    bins = densities.shape[1]
    offsets = np.arange(0, 1440, step_minutes) / 60
    place = ((hours[:, None] + offsets) / 24 * bins - 0.5) % bins
    low = np.floor(place).astype(int) % bins
    part = place - np.floor(place)
    rows = np.arange(len(hours))[:, None]
    read = (1 - part) * densities[rows, low] + part * densities[rows, (low + 1) % bins]
    return np.log((1 - _ANYTHING) * read + _ANYTHING / bins)


def best_offset(
    densities: np.ndarray,
    claimed_hours: np.ndarray,
    step_minutes: int = 15,
    groups: Sequence[object] | None = None,
    seed: int = 0,
) -> Offset:
    """The offset that best explains the photos of one clock (see the module for the formula).

    Args:
        densities: ``[N, bins]``, rows sum to 1.
        claimed_hours: ``[N]``, in [0, 24).
        step_minutes: between the offsets tried.
        groups: ``[N]`` what belongs together, e.g. day and place: photos of one moment err alike, so the interval is of
            drawing groups, not photos. ``None``: every photo stands for itself.
        seed: of those draws.

    Raises:
        ValueError: as :func:`likelihoods`.
    """
    table = likelihoods(densities, claimed_hours, step_minutes)
    total = table.sum(axis=0)
    best = int(total.argmax())
    count = table.shape[1]
    names = np.arange(len(table)) if groups is None else np.unique([str(g) for g in groups], return_inverse=True)[1]
    together = np.zeros((int(names.max()) + 1, count))
    np.add.at(together, names, table)
    # Photos of a group count as one witness each would be too few, and as many as they are too many.
    weight = _witnesses(names)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(together), np.full(len(together), 1 / len(together)), size=_DRAWS)
    away = _signed((draws @ together).argmax(axis=1) - best, count)
    least, most = (np.quantile(away, q) for q in (0.05, 0.95))
    minutes = _signed(np.array(best), count).item() * step_minutes
    edge = step_minutes / 2
    interval = (
        int(np.floor(minutes + least * step_minutes - edge)),
        int(np.ceil(minutes + most * step_minutes + edge)),
    )
    scaled = weight * (total - total[0])
    against = np.exp(np.clip(scaled[1:], -700, 700)).mean() if count > 1 else 0.0
    odds = _PRIOR_WRONG / (1 - _PRIOR_WRONG) * against
    gain = float(total[best] - total[0])
    return Offset(minutes, interval, gain, len(table), float(odds / (1 + odds)), _whole_hour(total, minutes, interval))


def _whole_hour(total: np.ndarray, minutes: int, interval: tuple[int, int]) -> int:
    """The likeliest whole hour of an interval in minutes, or ``minutes`` where it holds none, or is no news."""
    count = len(total)
    hours = [60 * hour for hour in range(-(-interval[0] // 60), interval[1] // 60 + 1)]
    hours = [hour for hour in hours if hour * count % 1440 == 0]
    if not hours:
        return minutes
    likeliest = max(hours, key=lambda hour: total[hour * count // 1440 % count])
    return (likeliest + 719) % 1440 - 719


def _witnesses(names: np.ndarray) -> float:
    """Share of the log-likelihood that counts: groups of n photos as sqrt(n) of them."""
    sizes = np.bincount(names)
    return float(np.sqrt(sizes).sum() / sizes.sum())


def _signed(steps: np.ndarray, count: int) -> np.ndarray:
    """Steps around the day as steps in (-count/2, count/2]."""
    wrapped = np.asarray(steps) % count
    return np.where(wrapped > count // 2, wrapped - count, wrapped)


def periods(table: np.ndarray, cost: float = 12.0) -> list[tuple[int, int]]:
    """Stretches of photos, in the order they were taken, over which one offset holds.

    The cheapest way through the offsets, where every change costs ``cost`` nats (Viterbi, one price for all changes):
    someone set the clock, came home, or summer time began.

    Args:
        table: of :func:`likelihoods`, ``[N, offsets]``, in order.
        cost: what a change must gain; 12 nats are odds of 160,000 to 1, as there are many places for a change to be.

    Returns:
        ``(start, end)`` of every stretch, end excluded; together they are all photos.
    """
    photos, offsets = table.shape
    if not photos:
        return []
    came = np.empty((photos, offsets), dtype=np.int64)
    score = table[0].copy()
    for photo in range(1, photos):
        best = int(score.argmax())
        changed = score[best] - cost
        came[photo] = np.where(score >= changed, np.arange(offsets), best)
        score = np.maximum(score, changed) + table[photo]
    path = np.empty(photos, dtype=np.int64)
    path[-1] = int(score.argmax())
    for photo in range(photos - 1, 0, -1):
        path[photo - 1] = came[photo, path[photo]]
    cuts = [0, *(np.flatnonzero(np.diff(path)) + 1).tolist(), photos]
    return list(pairwise(cuts))
