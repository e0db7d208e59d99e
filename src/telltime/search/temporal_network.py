"""The temporal network score as published: how much similarity a path through the best matches of frames collects.

Kept for comparison with published figures; :mod:`telltime.search.align` finds spans. Source: Tan et al., "Scalable
detection of partial near-duplicate videos by visual-temporal consistency", ACM MM 2009, in the form TCA's code gave it.
"""

import numpy as np
import torch
from torch import Tensor

from telltime.clips.ragged import Ragged

_NONE = -np.inf


def tn(queries: Ragged, gallery: Ragged, top: int = 5, least: float = 0.8, reach: int = 10) -> Tensor:
    """Score of every pair: float64 ``[Q, G]``, a sum that grows with the length of the match.

    Nodes are the ``top`` target frames of each query frame whose similarity is at least ``least``. A node leads to
    those 1 to ``reach`` frames later in both videos; the path with the largest sum of similarities is taken, where the
    first node counts in the choice only if it lies within ``reach`` of both beginnings (as published), and always in
    the score.
    """
    out = np.zeros((len(queries), len(gallery)))
    order = gallery.lengths.argsort(stable=True).tolist()
    for row, query in enumerate(queries):
        for some in [order[at : at + 64] for at in range(0, len(order), 64)]:
            seen = [(query.float() @ gallery[i].to(query.device).float().T).cpu().numpy() for i in some]
            out[row, some] = _longest(_nodes(seen, top, least), reach)
    return torch.from_numpy(out)


def _nodes(matrices: list[np.ndarray], top: int, least: float) -> np.ndarray:
    """``[B, m, n]``: similarity where there is a node, else minus infinity."""
    nodes = np.full((len(matrices), len(matrices[0]), max(m.shape[1] for m in matrices)), _NONE)
    for place, matrix in enumerate(matrices):
        kept = np.argsort(-matrix, axis=1, kind="stable")[:, :top]
        values = np.take_along_axis(matrix, kept, 1).astype(np.float64)
        np.put_along_axis(nodes[place], kept, np.where(values >= least, values, _NONE), 1)
    return nodes


def _longest(nodes: np.ndarray, reach: int) -> np.ndarray:
    """Sum of similarities along the longest path of each matrix: ``[B]``."""
    count, rows, columns = nodes.shape
    length = np.full((count, rows, columns), _NONE)  # as chosen by
    extra = np.zeros((count, rows, columns))  # what the first node adds to the score
    best, score = np.zeros(count), np.zeros(count)
    for row in range(rows):
        before = np.full((count, columns), _NONE)
        carried = np.zeros((count, columns))
        if row < reach:
            before[:, :reach] = 0
        for earlier in range(max(0, row - reach), row):
            value, add = _widened(length[:, earlier], extra[:, earlier], reach)
            better = value > before
            before, carried = np.where(better, value, before), np.where(better, add, carried)
        here, there = nodes[:, row], nodes[:, row] > _NONE
        onward = there & (before > _NONE)
        onward &= np.where(onward, before + np.where(there, here, 0), -1) >= 0
        length[:, row] = np.where(onward, before + here, np.where(there, 0, _NONE))
        extra[:, row] = np.where(onward, carried, np.where(there, here, 0))
        at = length[:, row].argmax(1)
        longest = np.take_along_axis(length[:, row], at[:, None], 1)[:, 0]
        improved = longest > best
        best = np.where(improved, longest, best)
        score = np.where(improved, longest + np.take_along_axis(extra[:, row], at[:, None], 1)[:, 0], score)
    return score


def _widened(length: np.ndarray, extra: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """The best of the ``reach`` columns before each, ``[B, n]``; of equal ones the first node most alike."""
    value, add = np.full_like(length, _NONE), np.zeros_like(extra)
    for step in range(1, min(reach, length.shape[1] - 1) + 1):
        near, more = length[:, :-step], extra[:, :-step]
        better = (near > value[:, step:]) | ((near == value[:, step:]) & (more > add[:, step:]))
        np.copyto(value[:, step:], near, where=better)
        np.copyto(add[:, step:], more, where=better)
    return value, add
