"""Average precision by counting ranks: only the places of the relevant items are worked out, nothing is sorted.

The order of a ranking is by score, highest first; equal scores stand in the order of the gallery (its columns), as a
stable sort leaves them. Where that order means nothing, ``ties="average"`` gives the mean over all orders of the tied.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

Indices = Sequence[int] | np.ndarray
Ties = Literal["order", "average"]
_FEW = 128


class Places(NamedTuple):
    """Where the relevant items of one query stand.

    Attributes:
        ranks: int64 ``[P]``, ascending from 1; equal scores in gallery order.
        above, tied: int64 ``[P]``, in the same order: how many items score higher than each, and how many the same,
            itself counted.
    """

    ranks: np.ndarray
    above: np.ndarray
    tied: np.ndarray


def places(scores: np.ndarray, relevant: Indices, ignored: Indices = ()) -> Places:
    """The ranks of ``relevant`` items, by counting.

    Args:
        scores: float ``[G]``.
        relevant: indices of the items asked for; those that are ignored too are left out.
        ignored: indices of items that are not part of the ranking.

    Raises:
        ValueError: a score is not a number.
    """
    left_out = np.unique(np.asarray(ignored, dtype=np.int64))
    wanted = np.setdiff1d(np.asarray(relevant, dtype=np.int64), left_out)
    if not len(wanted):
        return Places(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    levels, own = np.unique(scores[wanted], return_inverse=True)
    if np.isnan(levels).any():
        raise ValueError("a relevant item's score is not a number")
    close = np.flatnonzero(scores >= levels[0])  # nothing else can stand before one of them
    near = scores[close]
    above, tied = _counts(near, levels)
    standing = np.zeros(len(wanted), dtype=np.int64)
    for level in np.flatnonzero(tied > 1):
        mine = own == level
        standing[mine] = np.searchsorted(close[near == levels[level]], wanted[mine])
    above, tied = above[own], tied[own]
    ranks = above + standing + 1
    if len(left_out):
        value, mine = scores[left_out][:, None], scores[wanted]
        higher, same = value > mine, value == mine
        ranks = ranks - (higher | (same & (left_out[:, None] < wanted))).sum(0)
        above, tied = above - higher.sum(0), tied - same.sum(0)
    order = ranks.argsort(kind="stable")
    return Places(ranks[order], above[order], tied[order])


def average_precision(found: Places, total: int | None = None, ties: Ties = "order") -> float:
    """Mean over ``total`` relevant items of the precision at each; those that were never ranked count 0.

    Args:
        total: how many are relevant; by default those that were ranked.
        ties: ``"order"`` or ``"average"``, see the module.

    Returns:
        The average precision, NaN when nothing is relevant.
    """
    total = len(found.ranks) if total is None else total
    if not total:
        return float("nan")
    if ties == "average":
        return float(_expected(found) / total)
    if ties != "order":
        raise ValueError(f'ties is "order" or "average", not {ties!r}')
    hits = np.arange(1, len(found.ranks) + 1)
    return float((hits / found.ranks).sum() / total)


def average_precisions(
    scores: np.ndarray,
    relevant: Sequence[Indices],
    ignored: Sequence[Indices] | None = None,
    totals: Sequence[int] | None = None,
    ties: Ties = "order",
) -> np.ndarray:
    """:func:`average_precision` of every query: float64 ``[Q]`` of scores ``[Q, G]``."""
    if len(scores) != len(relevant):
        raise ValueError(f"{len(scores)} rows of scores, but relevant items of {len(relevant)} queries")
    each = ignored if ignored is not None else [()] * len(scores)
    found = [places(row, wanted, out) for row, wanted, out in zip(scores, relevant, each, strict=True)]
    counts = totals if totals is not None else [len(one.ranks) for one in found]
    return np.array([average_precision(one, count, ties) for one, count in zip(found, counts, strict=True)])


def trapezoid_average_precision(found: Places, total: int) -> float:
    """Area under the precision-recall curve by trapezoids, as EVVE measures it; 0 when nothing is relevant.

    Hit number ``k`` (from 0) at rank ``r`` (from 0) adds the mean of the precision before it, ``k / r``, and with it,
    ``(k + 1) / (r + 1)``. Source: Revaud et al., "Event retrieval in large video collections with circulant temporal
    encoding", CVPR 2013.
    """
    if not total:
        return 0.0
    hit, rank = np.arange(len(found.ranks)), found.ranks - 1
    before = np.where(rank > 0, hit / np.maximum(rank, 1), 1.0)
    return float(((before + (hit + 1) / (rank + 1)) / 2).sum() / total)


def interpolated_precision(found: Places, total: int, levels: int = 21) -> np.ndarray:
    """The best precision at each of ``levels`` evenly spaced recalls or beyond, float64; 0 where it is not reached."""
    recalls = np.linspace(0, 1, levels)
    if not total or not len(found.ranks):
        return np.zeros(levels)
    hits = np.arange(1, len(found.ranks) + 1)
    best = np.maximum.accumulate((hits / found.ranks)[::-1])[::-1]
    first = np.searchsorted(hits / total, recalls - 1e-12)
    return np.where(first < len(best), best[np.minimum(first, len(best) - 1)], 0.0)


def micro_average_precision(scores: np.ndarray, relevant: np.ndarray, total: int | None = None) -> float:
    """Average precision of all pairs in one list, as copy detection is measured: it rewards scores that compare.

    Precision is taken at every distinct score, so equal scores have no order.

    Args:
        scores: float, of any shape.
        relevant: bool of the same shape.
        total: how many pairs are relevant, with those that have no score; by default the relevant ones here.

    Returns:
        The sum over scores of precision times the gain in recall; NaN when nothing is relevant.
    """
    total = int(relevant.sum()) if total is None else total
    if not total:
        return float("nan")
    values, hit = scores.ravel(), relevant.ravel()
    wanted = values[hit]
    if not len(wanted):
        return 0.0
    others = np.sort(values[~hit & (values >= wanted.min())])
    levels, counts = np.unique(wanted, return_counts=True)
    hits = counts[::-1].cumsum()[::-1]
    ahead = len(others) - np.searchsorted(others, levels, side="left")
    return float((hits / (hits + ahead) * counts).sum() / total)


def _counts(values: np.ndarray, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many ``values`` lie above and at each of the rising ``levels``; the values include every level."""
    if len(levels) <= _FEW:  # passes over the values that the processor does eight at a time beat a search for each
        above = np.array([np.count_nonzero(values > level) for level in levels])
        return above, np.array([np.count_nonzero(values >= level) for level in levels]) - above
    place = np.searchsorted(levels, values)
    above = np.bincount(place, minlength=len(levels) + 1)[::-1].cumsum()[::-1][1:]
    inside = place < len(levels)
    equal = place[inside][levels[place[inside]] == values[inside]]
    return above, np.bincount(equal, minlength=len(levels))


def _expected(found: Places) -> float:
    """Sum of precisions at the relevant items, in the mean over all orders of equal scores.

    In a group of ``n`` equal scores with ``r`` relevant ones, behind ``N`` items of which ``R`` are relevant, place
    ``i`` holds a relevant item with chance ``r / n``; then ``(i - 1)(r - 1) / (n - 1)`` others of the group are
    expected before it.
    """
    from scipy.special import digamma

    above, first, relevant = np.unique(found.above, return_index=True, return_counts=True)
    tied = found.tied[first]
    before = relevant.cumsum() - relevant
    share = (relevant - 1) / np.maximum(tied - 1, 1)
    harmonic = digamma(above + tied + 1) - digamma(above + 1)
    each = (before + 1 - share * (above + 1)) * harmonic + share * tied
    return float((relevant / tied * each).sum())
