"""From scores to probabilities, by what the scores of videos that have nothing to do with each other look like.

Nearly all pairs of a collection are no copies of each other, so the collection itself shows how high a score comes by
chance. How often unrelated pairs come nearer to 1 than a distance d is taken as a power of d, as it is for points
strewn in a space of some dimension: the upper tail of ``-log(1 - score)`` is exponential. It is fitted to quantiles
below the few pairs that are copies; those that stand out are set aside and the fit is repeated.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_LEAST_PAIRS = 20
_OUTLYING = 0.05  # pairs expected beyond the value from which one counts as a copy
_START, _SHARE = 75, 0.25  # the tail starts at this percentile, with this share above it
_NEAREST = 1e-4  # distances from 1 below this are rounding
_ROOM = -math.log(_NEAREST)
_NARROWEST = 0.005


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
    def fit(cls, scores: np.ndarray) -> "Tail":
        """Of the scores of pairs most of which are unrelated, any shape; without enough of them a cautious guess."""
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
            middle, start, high, higher = np.percentile(inside, [50, _START, 90, 95])
            scale = max((high - start) / math.log(2.5), (higher - start) / math.log(5))
            if len(inside) == len(kept):
                break
            kept = inside
        return cls(float(middle), float(start), float(max(scale, _NARROWEST)), len(kept))

    def rate(self, score: float) -> float:
        """Share of unrelated pairs that score at least this much."""
        value = float(nearness(score))
        if value >= self.start:
            return _SHARE * math.exp(-(value - self.start) / self.scale)
        if value <= self.middle:
            return 0.5
        return 0.5 - (0.5 - _SHARE) * (value - self.middle) / (self.start - self.middle)

    def threshold(self, rate: float) -> float:
        """The score that unrelated pairs reach with this rate, above 0 and at most 0.25."""
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
