"""The second stage: exact scores of candidates, where they match, and how sure that is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from telltime.clips.ragged import Ragged
from telltime.search.align import Alignment, Span, align_many
from telltime.search.calibrate import Calibration
from telltime.search.similarity import chamfer

MODES = ("copies", "scenes")
_ALIGNED = 3  # times as many candidates are aligned as hits are asked for
_ALIGNED_LEAST = 30
_PART_COSTS = 2.0  # steps: a part is that much less likely what is looked for than the whole


@dataclass(frozen=True)
class Hit:
    """A video that was found.

    Attributes:
        path: of the file.
        score: similarity, 1 for the same video; the order of hits.
        probability: that it is no chance resemblance, when one video of the collection is expected to be related.
        spans: where it matches, in seconds of the query and of the hit; best first.
    """

    path: str
    score: float
    probability: float
    spans: tuple[Span, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Numbers and words only; seconds with two decimals."""
        return {
            "path": self.path,
            "score": round(self.score, 4),
            "probability": round(self.probability, 4),
            "spans": [span_json(span) for span in self.spans],
        }


@dataclass(frozen=True)
class Query:
    """A described video to search for: rows float32 ``[n, D]``, seconds ``[n]``, vector ``[D]``.

    ``insets`` are rows of how it would look as a picture in a picture, in some places; without them it is not searched
    for as one.
    """

    path: str
    rows: Tensor
    times: np.ndarray
    vector: Tensor
    insets: Ragged | None = None


def both_ways(queries: Ragged, gallery: Ragged) -> tuple[Tensor, Tensor]:
    """Chamfer similarity of queries in gallery videos, and of gallery videos in queries: ``[Q, G]`` each."""
    return chamfer(queries, gallery), chamfer(gallery, queries).T


def shown_small(whole: np.ndarray, insets: Ragged, gallery: Ragged) -> np.ndarray:
    """Scores ``[G]`` of a query, of which half is what it scores as a picture in a picture, where that is more."""
    forward, back = both_ways(insets, gallery)
    small = ((forward + back) / 2).amax(0).numpy()
    return (whole + np.maximum(whole, small)) / 2


def combined(
    whole: np.ndarray, forward: np.ndarray, back: np.ndarray, calibration: Calibration | None, mode: str
) -> np.ndarray:
    """One score of several.

    Args:
        whole: of whole videos, symmetric Chamfer similarity or more.
        forward, back: Chamfer similarity in either direction.

    ``scenes``: that of the whole videos. ``copies``: the larger of that and of what the better direction alone is
    worth, so that an excerpt finds the long video it comes from; both are measured by how seldom unrelated videos reach
    them.
    """
    if mode == "scenes" or calibration is None:
        return whole
    part = calibration.part.steps(np.maximum(forward, back)) - _PART_COSTS
    return np.maximum(whole, calibration.whole.score(part)).clip(max=1.0)


def rank(
    query: Query,
    rows: Ragged,
    paths: Sequence[str],
    times: Callable[[Sequence[int]], Sequence[np.ndarray]],
    calibration: Calibration | None,
    top: int,
    mode: str,
    videos: int,
) -> list[Hit]:
    """The best of some candidates.

    Args:
        rows: of the candidates.
        paths: theirs.
        times: gives the seconds of the frames of the candidates at some places.
        videos: in the whole collection.
    """
    if not len(paths):
        return []
    forward, back = (scores.numpy()[0] for scores in both_ways(Ragged.of([query.rows]), rows))
    whole = (forward + back) / 2
    if query.insets is not None and mode == "copies":
        whole = shown_small(whole, query.insets, rows)
    score = combined(whole, forward, back, calibration, mode)
    names = np.array(paths)
    order = np.lexsort((names, -score))[: max(_ALIGNED_LEAST, _ALIGNED * top)]
    how = Alignment() if calibration is None else replace(Alignment(), threshold=calibration.frame)
    spans = align_many(query.rows, rows.take(order.tolist()), query.times, times(order.tolist()), how)
    found = []
    for place, where in zip(order.tolist(), spans, strict=True):
        worth = float(score[place] if where else whole[place])
        sure = calibration.whole.probability(worth, videos) if calibration else 0.5
        found.append(Hit(paths[place], min(1.0, worth), sure, tuple(where)))
    return sorted(found, key=lambda hit: (-hit.score, hit.path))[:top]


def span_json(span: Span) -> dict[str, Any]:
    """A span with seconds, and as people write them."""
    return {
        "query": [round(span.query_start, 2), round(span.query_end, 2)],
        "target": [round(span.target_start, 2), round(span.target_end, 2)],
        "text": span_text(span),
        "score": round(span.score, 4),
    }


def span_text(span: Span) -> str:
    """``"0:05-0:12 = 1:00-1:07"``: query, then hit."""
    return f"{clock(span.query_start)}-{clock(span.query_end)} = {clock(span.target_start)}-{clock(span.target_end)}"


def clock(seconds: float) -> str:
    """``"01:05"``, minutes and seconds; hours before them where there are some."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
