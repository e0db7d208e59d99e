"""Nearest neighbours and recall at k, in blocks: never the whole matrix of similarities.

Feature of a video in TCLR's retrieval: the clip features of its test positions, summed and divided by the number of
positions, whether or not all of them could be read; see :func:`published_mean`. Cosine similarity is blind to that
factor, so the honest :func:`available_mean` gives the same ranking.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_LAST = 0xFFFFFFFF


class Neighbours(NamedTuple):
    """The nearest gallery items of every query, best first.

    Attributes:
        indices: int64 ``[Q, k]``, rows of the gallery; equal scores in the order of the gallery.
        scores: float32 ``[Q, k]``, cosine similarities.
    """

    indices: Tensor
    scores: Tensor


def published_mean(features: Tensor, present: Tensor) -> Tensor:
    """Sum over the positions that are there, divided by all: float ``[N, D]`` of ``[N, P, D]`` and bool ``[N, P]``."""
    return features.masked_fill(~present[..., None], 0).sum(1) / features.shape[1]


def available_mean(features: Tensor, present: Tensor) -> Tensor:
    """Mean over the positions that are there, zero where none: as :func:`published_mean` but for the divisor."""
    return features.masked_fill(~present[..., None], 0).sum(1) / present.sum(1, keepdim=True).clamp_min(1)


def nearest(
    query: Tensor, gallery: Tensor, k: int, *, block: int = 4096, skip_same: bool = False, query_block: int = 1024
) -> Neighbours:
    """The ``k`` gallery items most similar to every query by cosine.

    Args:
        query, gallery: float ``[Q, D]`` and ``[G, D]``, normalised here.
        k: how many; all of the gallery when it holds fewer.
        block: gallery rows compared at a time.
        skip_same: leave out item ``i`` for query ``i`` (searching a set in itself).

    Returns:
        :class:`Neighbours` with ``min(k, G)`` columns (``G - 1`` at most with ``skip_same``).

    Raises:
        ValueError: shapes do not fit, ``k`` is not positive, or a feature is not finite.
    """
    _check(query, gallery, k)
    most = len(gallery) - 1 if skip_same else len(gallery)
    k = min(k, max(most, 0))
    gallery = F.normalize(gallery.float(), dim=1)
    found = [
        _nearest(F.normalize(part.float(), dim=1), gallery, k, block, first if skip_same else None)
        for first, part in zip(range(0, len(query), query_block), query.split(query_block), strict=False)
    ]
    return Neighbours(torch.cat([f.indices for f in found]), torch.cat([f.scores for f in found]))


def recall_at(
    query: Tensor,
    query_labels: np.ndarray | Tensor,
    gallery: Tensor,
    gallery_labels: np.ndarray | Tensor,
    ks: Sequence[int] = (1, 5, 10, 20, 50),
    *,
    block: int = 4096,
) -> dict[int, float]:
    """Share of queries with an item of their class among the ``k`` nearest, for each ``k``.

    A ``k`` beyond the gallery means all of it; a query whose class the gallery lacks is never right.

    Args:
        query, gallery: float ``[Q, D]`` and ``[G, D]``.
        query_labels, gallery_labels: int64 ``[Q]`` and ``[G]``.
    """
    found = nearest(query, gallery, max(ks), block=block)
    return recall_of(found, query_labels, gallery_labels, ks)


def recall_of(
    found: Neighbours, query_labels: np.ndarray | Tensor, gallery_labels: np.ndarray | Tensor, ks: Sequence[int]
) -> dict[int, float]:
    """:func:`recall_at` of neighbours already found."""
    indices = found.indices.cpu()
    right = torch.as_tensor(gallery_labels)[indices] == torch.as_tensor(query_labels)[:, None]
    return {k: float(right[:, :k].any(1).double().mean()) for k in ks}


def _check(query: Tensor, gallery: Tensor, k: int) -> None:
    if query.ndim != 2 or gallery.ndim != 2 or query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query {tuple(query.shape)} and gallery {tuple(gallery.shape)} must be [Q, D] and [G, D]")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    if not len(query) or not len(gallery):
        raise ValueError(f"nothing to compare: {len(query)} queries, {len(gallery)} gallery items")
    for name, value in (("query", query), ("gallery", gallery)):
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} features hold values that are not finite")


def _nearest(query: Tensor, gallery: Tensor, k: int, block: int, own: int | None) -> Neighbours:
    """Running top-k over blocks of the gallery; ``own`` is the gallery row of the first query, to be left out."""
    best = torch.empty(len(query), 0, dtype=torch.int64, device=query.device)
    for first in range(0, len(gallery), block):
        keys = _keys(query @ gallery[first : first + block].T, first)
        if own is not None:
            at = torch.arange(own, own + len(query), device=query.device) - first
            here = (at >= 0) & (at < keys.shape[1])
            keys[here, at[here]] = torch.iinfo(torch.int64).min
        best = torch.cat([best, keys], 1)
        best = best.topk(min(k, best.shape[1]), dim=1).values
    indices = _LAST - (best & _LAST)
    bits = (best >> 32).to(torch.int32)
    scores = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).view(torch.float32)
    return Neighbours(indices, scores)


def _keys(scores: Tensor, first: int) -> Tensor:
    """Float scores ``[Q, b]`` to int64 that sort as (score, then lower gallery index first): no two are equal."""
    bits = (scores + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).to(torch.int64)
    index = torch.arange(first, first + scores.shape[1], device=scores.device)
    return (ordered << 32) | (_LAST - index)
