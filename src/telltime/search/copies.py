"""Groups of copies in a collection, with a threshold that the collection itself gives."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from telltime.search.align import Alignment, Span, align_many
from telltime.search.collection import Collection
from telltime.search.scoring import both_ways, combined, span_json

FALSE_PAIRS = 0.1
"""False pairs that are aimed at in the whole collection unless a rate is given."""

_MOST_RATE = 1e-3
_FRAMES = 2_000  # of the videos that are compared with all others at a time

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Pair:
    """Two videos that are taken for copies; ``spans`` are seconds of the first and of the second."""

    first: str
    second: str
    score: float
    probability: float
    spans: tuple[Span, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "first": self.first,
            "second": self.second,
            "score": round(self.score, 4),
            "probability": round(self.probability, 4),
            "spans": [span_json(span) for span in self.spans],
        }


@dataclass(frozen=True)
class Group:
    """Videos that are copies of each other, directly or by way of one another; the longest first."""

    paths: tuple[str, ...]
    seconds: tuple[float, ...]
    pairs: tuple[Pair, ...]

    def to_json(self) -> dict[str, Any]:
        videos = [{"path": p, "seconds": round(s, 2)} for p, s in zip(self.paths, self.seconds, strict=True)]
        return {"videos": videos, "pairs": [pair.to_json() for pair in self.pairs]}


@dataclass(frozen=True)
class Copies:
    """What was found in a collection.

    Attributes:
        groups: largest first.
        threshold: score from which a pair counts as copies.
        rate: largest share of unrelated pairs that is expected at or above it: what was aimed at, or the least that the
            pairs it was calibrated on can speak for.
        expected: the same as a number of pairs of this collection.
        videos: in the collection.
    """

    groups: tuple[Group, ...]
    threshold: float
    rate: float
    expected: float
    videos: int

    def to_json(self) -> dict[str, Any]:
        return {
            "threshold": round(self.threshold, 4),
            "expected_false_positive_rate": self.rate,
            "expected_false_pairs": self.expected,
            "videos": self.videos,
            "groups": [group.to_json() for group in self.groups],
        }


def find(collection: Collection, rate: float | None = None, progress: Progress | None = None) -> Copies:
    """Groups of copies.

    Args:
        rate: share of unrelated pairs that may be taken for copies, above 0; by default so small that
            :data:`FALSE_PAIRS` of them are expected in the whole collection, if scores thin out as far as seen.
        progress: called with videos done and videos to do.
    """
    count = collection.videos
    pairs = max(1, count * (count - 1) // 2)
    rate = min(_MOST_RATE, FALSE_PAIRS / pairs) if rate is None else rate
    calibration = collection.about.calibration
    if count < 2 or calibration is None:
        return Copies((), 1.0, rate, rate * pairs, count)
    threshold = min(calibration.whole.threshold(rate / 2), 0.9999)  # two ways of being alike, half the rate each
    rate = max(rate, min(1.0, 2 * calibration.whole.rate(threshold)))
    how = replace(Alignment(), threshold=calibration.frame)
    found: list[Pair] = []
    for block in collection.blocks(_FRAMES, progress):
        forward, back = (scores.numpy() for scores in both_ways(block.rows, block.gallery))
        whole = (forward + back) / 2
        score = combined(whole, forward, back, calibration, "copies")
        later = np.array(block.gallery_paths)[None] > np.array(block.paths)[:, None]
        likely = (score >= threshold) & later
        numbers = {*block.numbers[likely.any(1)].tolist(), *block.gallery_numbers[likely.any(0)].tolist()}
        times = collection.times(sorted(numbers))
        for row in np.flatnonzero(likely.any(1)).tolist():
            places = np.flatnonzero(likely[row]).tolist()
            asked = times[int(block.numbers[row])]
            held = [times[int(block.gallery_numbers[place])] for place in places]
            spans = align_many(block.rows[row], block.gallery.take(places), asked, held, how)
            for place, where in zip(places, spans, strict=True):
                worth = float(score[row, place] if where else whole[row, place])
                if worth >= threshold:
                    sure = calibration.whole.probability(worth, count)
                    names = block.paths[row], block.gallery_paths[place]
                    found.append(Pair(*names, min(1.0, worth), sure, tuple(where)))
    return Copies(_groups(found, collection), threshold, rate, rate * pairs, count)


def _groups(pairs: Sequence[Pair], collection: Collection) -> tuple[Group, ...]:
    """Pairs joined to groups."""
    leader: dict[str, str] = {}

    def lead(path: str) -> str:
        leader.setdefault(path, path)
        while leader[path] != path:
            leader[path] = leader[leader[path]]
            path = leader[path]
        return path

    for pair in pairs:
        leader[lead(pair.second)] = lead(pair.first)
    members: dict[str, list[str]] = {}
    for path in sorted(leader):
        members.setdefault(lead(path), []).append(path)
    groups = []
    for first, paths in members.items():
        paths.sort(key=lambda path: (-collection.known[path].seconds, path))
        inside = sorted((p for p in pairs if lead(p.first) == first), key=lambda p: (-p.score, p.first, p.second))
        groups.append(Group(tuple(paths), tuple(collection.known[p].seconds for p in paths), tuple(inside)))
    return tuple(sorted(groups, key=lambda group: (-len(group.paths), group.paths[0])))
