"""Finding photos of the same time of day: neighbours, which of them are right, and recall.

A photo of the database is right for a query when it was taken within half an hour on the clock, and, where that is
asked, within a distance on the map. As published (TICL, TMLR 2025) neighbours are the nearest by squared distance of
features as they are, 100 a query; recall at k is what :func:`published_recall` makes of their hits, and average
precision is taken of the first hits alone, with far pairs before near ones. :func:`recall` and
:func:`first_hit_precision` are what these are meant to be.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

KS = (1, 3, 5, 10, 20)
DEPTH = 100
SIMILARITIES = ("l2", "cosine")


class Found(NamedTuple):
    """The nearest photos of every query, best first.

    Attributes:
        indices: int64 ``[Q, k]``, rows of the database; -1 where it has no more.
        distances: float32 ``[Q, k]``: squared distances, of unit vectors for ``"cosine"``; infinite where none is.
    """

    indices: np.ndarray
    distances: np.ndarray


def neighbours(
    query: Any, database: Any, k: int = DEPTH, similarity: str = "l2", excluded: Any = None, block: int = 256
) -> Found:
    """The ``k`` nearest of ``database`` ``[N, D]`` for each row of ``query`` ``[Q, D]``.

    Args:
        similarity: ``"l2"`` (as published) or ``"cosine"``.
        excluded: bool ``[Q, N]``, pairs that are not to be found; or a function from a slice of queries to their rows.
        block: queries compared at a time.

    Raises:
        ValueError: shapes do not fit, or a feature is not finite.
    """
    (asked, query_norms), (held, norms) = _ready(query, similarity), _ready(database, similarity)
    if asked.shape[1] != held.shape[1]:
        raise ValueError(f"queries have {asked.shape[1]} numbers and the database {held.shape[1]}")
    count = min(k, len(held))
    indices = np.full((len(asked), count), -1, np.int64)
    distances = np.full((len(asked), count), np.inf, np.float32)
    squares = norms.square()
    for start in range(0, len(asked), block):
        part = slice(start, min(start + block, len(asked)))
        rows, own = asked[part], query_norms[part, None]
        if similarity == "cosine":
            away = 2 - 2 * (rows @ held.T) / (own * norms)
        else:
            away = torch.addmm(squares[None], rows, held.T, alpha=-2.0)  # less the query's square, the same for all
        if excluded is not None:
            out = excluded(part) if callable(excluded) else excluded[part]
            away = away.masked_fill(torch.as_tensor(out), torch.inf)
        best, at = away.topk(count, dim=1, largest=False)
        known = torch.isfinite(best)
        at = _in_order(best, at)
        found = (best if similarity == "cosine" else best + own.square()).clamp_min(0)
        indices[part] = at.masked_fill(~known, -1).numpy()
        distances[part] = found.masked_fill(~known, torch.inf).numpy()
    return Found(indices, distances)


def time_difference(query_hours: Any, database_hours: Any) -> np.ndarray:
    """Hours between two times on the clock, the shorter way round, float64 ``[Q, N]``; whole minutes stay exact."""
    first, second = (np.round(np.asarray(hours, np.float64) * 60, 6) for hours in (query_hours, database_hours))
    away = np.abs(first[:, None] - second[None])
    return np.minimum(away, 1440 - away) / 60


def place_difference(query_places: Any, database_places: Any, wrap: bool = True) -> np.ndarray:
    """Euclidean distance of latitude and longitude in degrees, float64 ``[Q, N]``.

    Args:
        query_places: ``[Q, 2]``, latitude first.
        wrap: go the shorter way round the globe; the published code goes over longitude 0.
    """
    first, second = np.asarray(query_places, np.float64), np.asarray(database_places, np.float64)
    north = first[:, None, 0] - second[None, :, 0]
    east = np.abs(first[:, None, 1] - second[None, :, 1])
    if wrap:
        east = np.minimum(east, 360 - east)
    return np.sqrt(north * north + east * east)


def hits_of(found: Found, right: Any) -> np.ndarray:
    """bool ``[Q, k]``: which neighbours are right, of ``right`` bool ``[Q, N]``."""
    given = np.asarray(right)
    hits = np.take_along_axis(given, np.maximum(found.indices, 0), 1)
    return hits & (found.indices >= 0)


def first_places(hits: Any) -> np.ndarray:
    """Rank of each query's first hit, from 1; ``k + 1`` where there is none."""
    given = np.asarray(hits, bool)
    return np.where(given.any(1), given.argmax(1), given.shape[1]) + 1


def recall(hits: Any, ks: Sequence[int] = KS) -> dict[int, float]:
    """Share of queries with a hit among the first ``k``."""
    places = first_places(hits)
    return {k: float((places <= k).mean()) for k in ks}


def published_recall(hits: Any, ks: Sequence[int] = KS) -> dict[int, float]:
    """What the published code reports as recall at ``k``.

    It counts the running flag "hit among the first k" once for every rank, while the flag still grows: the sum of the
    flags of all ranks before ``k``, and that of ``k`` for the others. Too low for every ``k`` above 1.
    """
    flags = np.maximum.accumulate(np.asarray(hits, np.float64), 1)
    depth = flags.shape[1]
    found = {}
    for k in ks:
        at = min(k, depth)
        found[k] = float(((flags[:, : at - 1].sum(1) + (depth - at + 1) * flags[:, at - 1]) / depth).mean())
    return found


def chance_recall(right: Any, ks: Sequence[int] = KS, available: Any = None) -> dict[int, float]:
    """Recall of neighbours drawn at random, the mean over queries that have a right one; NaN when none has.

    Args:
        right: bool ``[Q, N]``, or the number of right photos of each query, int ``[Q]``, with ``available``.
        available: how many photos each query is looked up in; by default all.
    """
    given = np.asarray(right)
    counts = given.sum(1) if given.ndim == 2 else given
    sizes = np.broadcast_to(given.shape[1] if available is None else available, counts.shape)
    share = counts[counts > 0] / sizes[counts > 0]
    return {k: float((1 - (1 - share) ** k).mean()) if len(share) else float("nan") for k in ks}


def first_hit_precision(found: Found, hits: Any, published: bool = False) -> float:
    """Average precision of the pairs of a query and its nearest photo, ordered by their distance; NaN without a hit.

    Args:
        published: the farthest pair first, as the published code has it.
    """
    from sklearn.metrics import average_precision_score

    right = np.asarray(hits, bool)[:, 0]
    if not right.any():
        return float("nan")
    away = found.distances[:, 0].astype(np.float64)
    return float(average_precision_score(right, away if published else -away))


def average_precisions(distances: Any, right: Any) -> np.ndarray:
    """Average precision of each query's whole ranking, float64 ``[Q]``; NaN without a right photo.

    Equal distances rank right photos last. Pairs at an infinite distance are not there.
    """
    away, wanted = np.asarray(distances), np.asarray(right, bool)
    found = np.full(len(away), np.nan)
    for row, (values, hits) in enumerate(zip(away, wanted, strict=True)):
        mine = np.sort(values[hits & np.isfinite(values)])
        if len(mine):
            ranks = np.searchsorted(np.sort(values), mine, "right")
            behind = np.searchsorted(mine, mine, "right")
            places = ranks - behind + np.arange(1, len(mine) + 1)
            found[row] = float((np.arange(1, len(mine) + 1) / places).mean())
    return found


def interval(values: Any, draws: int = 1000, seed: int = 0, share: float = 0.95) -> tuple[float, float]:
    """Between which two values the mean over queries drawn anew lies in ``share`` of the draws."""
    given = np.asarray(values, np.float64)
    given = given[~np.isnan(given)]
    if not len(given):
        return float("nan"), float("nan")
    picked = np.random.default_rng(seed).integers(0, len(given), (draws, len(given)))
    low, high = np.quantile(given[picked].mean(1), [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def _ready(features: Any, similarity: str) -> tuple[Tensor, Tensor]:
    """Features float32 ``[N, D]`` and their lengths ``[N]``; a length of 0 divides by next to nothing."""
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity is one of {', '.join(SIMILARITIES)}, not {similarity!r}")
    given = torch.as_tensor(features).detach().float().cpu()
    if given.ndim != 2:
        raise ValueError(f"features are [N, D], not {list(given.shape)}")
    norms = torch.linalg.vector_norm(given, dim=1)
    if not torch.isfinite(norms).all():
        raise ValueError("a feature is not finite")
    return given, norms.clamp_min(1e-12) if similarity == "cosine" else norms


def _in_order(values: Tensor, indices: Tensor) -> Tensor:
    """``indices`` with equal ``values``, which follow each other, in rising order."""
    ties = (values[:, 1:] == values[:, :-1]).any(1).nonzero()[:, 0]
    for row in ties.tolist():
        order = np.lexsort((indices[row].numpy(), values[row].numpy()))
        indices[row] = indices[row][torch.from_numpy(order)]
    return indices
