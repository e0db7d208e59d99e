"""From scores to probabilities, by what the scores of videos that have nothing to do with each other look like.

Nearly all pairs of a collection are no copies of each other, so the collection itself shows how high a score comes by
chance. How often unrelated pairs come nearer to 1 than a distance d is taken as a power of d, as it is for points
strewn in a space of some dimension: the upper tail of ``-log(1 - score)`` is exponential. It is fitted to quantiles
below the few pairs that are copies; those that stand out are set aside and the fit is repeated. Collections in which
some kinds of video resemble each other have heavier tails: the slope is the flattest that any quantile asks for, out to
where a few pairs are left. Beyond all pairs that were seen nothing is known, so no rate is said to be lower than that
of one pair more than there were.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_LEAST_PAIRS = 20
_OUTLYING = 0.05  # pairs expected beyond the value from which one counts as a copy
_START, _SHARE = 75, 0.25  # the tail starts at this percentile, with this share above it
_NEAREST = 1e-4  # distances from 1 below this are rounding
_ROOM = -math.log(_NEAREST)
_NARROWEST = 0.005
_SHARES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
_SEEN = 10  # pairs beyond a quantile that make it worth asking


@dataclass(frozen=True)
class Tail:
    """How likely a pair of unrelated videos reaches a score; all but the methods' arguments as ``-log(1 - score)``.

    Attributes:
        middle: median of unrelated pairs.
        start: value from which the tail is exponential.
        scale: by which the value must rise to be reached e times less often.
        pairs: how many unrelated pairs it was fitted to.
    """

    middle: float
    start: float
    scale: float
    pairs: int

    @classmethod
    def fit(cls, scores: np.ndarray, far: bool = True) -> "Tail":
        """Of the scores of pairs most of which are unrelated, any shape; without enough of them a cautious guess.

        Args:
            far: follow the tail beyond its 95th percentile, where related pairs flatten it if there are many.
        """
        kept = np.asarray(scores, dtype=np.float64).ravel()
        kept = np.sort(nearness(kept[np.isfinite(kept)]))
        if len(kept) < _LEAST_PAIRS:
            middle = float(np.median(kept)) if len(kept) else 0.5
            return cls(middle, middle + 0.2, 0.4, len(kept))
        middle, start = np.percentile(kept, [50, _START])
        scale = (start - middle) / math.log(2)
        for _ in range(8):
            cut = start + max(scale, _NARROWEST) * math.log(max(1.0, _SHARE * len(kept) / _OUTLYING))
            inside = kept[kept <= cut]
            middle, start = np.percentile(inside, [50, _START])
            scale = _flattest(inside, start, _SHARES[:2])
            if len(inside) == len(kept):
                break
            kept = inside
        seen = [share for share in _SHARES if share * len(kept) >= _SEEN]
        scale = max(scale, _flattest(kept, start, seen if far else ()), _NARROWEST)
        return cls(float(middle), float(start), float(scale), len(kept))

    @property
    def least(self) -> float:
        """The lowest rate that so many pairs can speak for."""
        return 1 / (self.pairs + 1)

    def rate(self, score: float) -> float:
        """Share of unrelated pairs that score at least this much, never below :attr:`least`."""
        value = float(nearness(score))
        if value >= self.start:
            rate = _SHARE * math.exp(-(value - self.start) / self.scale)
        elif value <= self.middle:
            rate = 0.5
        else:
            rate = 0.5 - (0.5 - _SHARE) * (value - self.middle) / (self.start - self.middle)
        return max(rate, self.least)

    def threshold(self, rate: float) -> float:
        """The score that unrelated pairs reach with this rate, above 0 and at most 0.25.

        Below :attr:`least` the tail is taken to go on as it was seen to, which :meth:`rate` does not vouch for.
        """
        if not 0 < rate <= _SHARE:
            raise ValueError(f"a rate is above 0 and at most {_SHARE}, not {rate}")
        return 1 - math.exp(-(self.start + self.scale * math.log(_SHARE / rate)))

    def probability(self, score: float, videos: int) -> float:
        """That a pair with this score is related, when one of ``videos`` is expected to be.

        Bayes' rule with the tail for unrelated pairs, and for related ones any nearness above the median alike.
        """
        steps = max(0.0, float(nearness(score)) - self.start) / self.scale
        density = math.log(_SHARE / self.scale * max(1, videos)) - steps
        odds = -math.log(max(_ROOM - self.middle, 1.0)) - density
        return 1 / (1 + math.exp(min(-odds, 700.0)))

    def steps(self, score: np.ndarray) -> np.ndarray:
        """Scores as steps of the tail beyond its start, so that scores of two kinds can be compared."""
        return (nearness(score) - self.start) / self.scale

    def score(self, steps: np.ndarray) -> np.ndarray:
        """The scores that lie so many steps beyond the start."""
        return 1 - np.exp(-(self.start + self.scale * steps))


def _flattest(values: np.ndarray, start: float, shares: Sequence[float]) -> float:
    """The largest scale with which the tail from ``start`` on has a given share of the values beyond their quantile."""
    if not shares:
        return 0.0
    quantiles = np.quantile(values, 1 - np.array(shares))
    return float(((quantiles - start) / np.log(_SHARE / np.array(shares))).max())


def nearness(score: np.ndarray | float) -> np.ndarray:
    """``-log(1 - score)``, for scores up to 1."""
    return -np.log(np.maximum(1 - np.asarray(score, dtype=np.float64), _NEAREST))


@dataclass(frozen=True)
class Calibration:
    """What unrelated videos of one collection look like to each other.

    Attributes:
        whole: scores of whole videos, symmetric Chamfer.
        part: the larger of the two one-sided Chamfer scores: is one video contained in the other?
        frame: similarity of two frames above which they speak for a match.
        videos: how many videos were there.
    """

    whole: Tail
    part: Tail
    frame: float
    videos: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> "Calibration":
        return cls(Tail(**held["whole"]), Tail(**held["part"]), float(held["frame"]), int(held["videos"]))
