"""How alike two videos are, for all pairs of some queries and a gallery at once.

Videos are vectors ``[V, D]`` or sequences of frame descriptors (:class:`~telltime.clips.ragged.Ragged` of L2-normalised
rows). Frames are compared in tiles: one matrix product of many queries' frames with many gallery videos' frames, then
the largest value of every segment of its columns (and of its rows), so that no more than a tile is ever held.

Chamfer similarity of a query with a video: the mean over query frames of the similarity to the most similar frame of
the video. It asks whether the query is contained, not the reverse; the symmetric one is the mean of both directions.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.backbones.products import linear
from telltime.clips.ragged import Ragged

CPU_TILE = (1024, 4096)
GPU_TILE = (8192, 65536)
_BLOCK = 65536  # vectors compared at a time
_MANY_ROWS = 512  # query frames from which ordering a block by length costs nothing to speak of

Module = Callable[[Tensor], Tensor]


def cosine(queries: Tensor, gallery: Tensor, *, block: int = _BLOCK) -> Tensor:
    """Cosine of vectors: ``[Q, D]`` and ``[G, D]`` to float32 ``[Q, G]``; 0 where a vector is zero."""
    _check_vectors(queries, gallery)
    unit = F.normalize(queries.float(), dim=1)
    return _over_gallery(queries, gallery, block, lambda part: unit @ F.normalize(part, dim=1).T)


def cosine_legacy(queries: Tensor, gallery: Tensor, *, block: int = _BLOCK) -> Tensor:
    """:func:`cosine` as published: 1, not 0, where a vector is zero."""
    _check_vectors(queries, gallery)
    zero = ~queries.any(1)[:, None] | ~gallery.any(1).to(queries.device)
    return cosine(queries, gallery, block=block).masked_fill_(zero, 1.0)


def euclidean(queries: Tensor, gallery: Tensor, *, block: int = _BLOCK) -> Tensor:
    """``1 - d / 2`` with the distance ``d`` of the vectors made unit length; float32 ``[Q, G]`` in 0 to 1.

    The order is that of :func:`cosine`, and a score depends on its pair alone.
    """
    return 1 - (2 - 2 * cosine(queries, gallery, block=block)).clamp_min_(0).sqrt_() / 2


def euclidean_legacy(queries: Tensor, gallery: Tensor) -> Tensor:
    """As published: distances as they are, divided by the farthest query's from each gallery video; float64 ``[Q, G]``.

    So the score of a pair depends on which other queries are asked, and the farthest one gets 0 from every video.
    Rounded to six decimals, as published.
    """
    _check_vectors(queries, gallery)
    ours, theirs = queries.double(), gallery.to(queries.device).double()
    distance = torch.cdist(ours, theirs, compute_mode="donot_use_mm_for_euclid_dist")
    farthest = distance.amax(0, keepdim=True)
    return (1 - distance / torch.where(farthest > 0, farthest, 1.0)).round(decimals=6)


def chamfer(
    queries: Ragged, gallery: Ragged, *, dtype: torch.dtype = torch.float32, tile: tuple[int, int] | None = None
) -> Tensor:
    """Mean over query frames of the similarity to the nearest frame of a gallery video.

    Args:
        queries, gallery: rows ``[N, D]``, L2-normalised, of any float type; none may be empty. Computed where the
            queries' rows are; gallery rows are brought there block by block, so they may lie on disk or on the host.
        dtype: of the products; bfloat16 is faster on hardware made for it and errs by up to 0.004.
        tile: query and gallery frames compared at a time.

    Returns:
        float32 ``[Q, G]``.

    Raises:
        ValueError: descriptors of different lengths, or a video without frames.
    """
    return _frame_similarity(queries, gallery, False, dtype, tile)


def symmetric_chamfer(
    queries: Ragged, gallery: Ragged, *, dtype: torch.dtype = torch.float32, tile: tuple[int, int] | None = None
) -> Tensor:
    """Mean of :func:`chamfer` in both directions, from one product: float32 ``[Q, G]``; arguments are the same."""
    return _frame_similarity(queries, gallery, True, dtype, tile)


def comparator_chamfer(
    queries: Ragged, gallery: Ragged, comparator: Module, *, symmetric: bool = False, cells: int = 1 << 20
) -> Tensor:
    """Chamfer similarity of what a comparator network makes of each pair's matrix of frame similarities.

    Pairs of equal lengths go through the network together.

    Args:
        queries, gallery: see :func:`chamfer`.
        comparator: ``[N, m, n]`` to ``[N, m', n']``, such as
            :class:`~telltime.backbones.comparator.VideoComparator`.
        symmetric: the mean of both directions; the transposed matrices go through the network too.
        cells: numbers in the matrices of one batch.

    Returns:
        float32 ``[Q, G]``.
    """
    _check_frames(queries, gallery)
    device = queries.rows.device
    out = torch.empty(len(queries), len(gallery), device=device)
    with torch.inference_mode():
        for ours in _by_length(queries.lengths):
            ask = torch.stack([queries[int(i)] for i in ours]).float()
            for theirs in _by_length(gallery.lengths):
                each = max(1, cells // (ask.shape[1] * int(gallery.lengths[theirs[0]])))
                for some in theirs.split(max(1, each // len(ours))):
                    held = torch.stack([gallery[int(i)] for i in some]).to(device).float()
                    pairs = torch.einsum("amd,bnd->abmn", ask, held).flatten(0, 1)
                    scores = torch.cat([_matrix_chamfer(part, comparator, symmetric) for part in pairs.split(each)])
                    out[ours[:, None], some] = scores.view(len(ours), len(some))
    return out


def _matrix_chamfer(matrices: Tensor, comparator: Module, symmetric: bool) -> Tensor:
    """``[N]`` of ``[N, m, n]``."""
    forward = comparator(matrices).amax(2).mean(1)
    return (forward + comparator(matrices.mT).amax(2).mean(1)) / 2 if symmetric else forward


def _over_gallery(queries: Tensor, gallery: Tensor, block: int, compare: Module) -> Tensor:
    out = torch.empty(len(queries), len(gallery), device=queries.device)
    for first in range(0, len(gallery), block):
        part = gallery[first : first + block].to(queries.device).float()
        out[:, first : first + len(part)] = compare(part)
    return out


class _Piece(NamedTuple):
    """Rows that go into one product: ``rows`` first to last, in runs of ``(first, last, length)`` equal segments."""

    first: int
    last: int
    runs: list[tuple[int, int, int]]


def _frame_similarity(
    queries: Ragged, gallery: Ragged, both: bool, dtype: torch.dtype, tile: tuple[int, int] | None
) -> Tensor:
    _check_frames(queries, gallery)
    device = queries.rows.device
    tall, wide = tile or (CPU_TILE if device.type == "cpu" else GPU_TILE)
    ask = queries.to(dtype)
    asked = [(first, last, ask.slice(first, last)) for first, last in _blocks(ask.lengths, tall)]
    ordered = device.type != "cpu" or len(ask.rows) >= _MANY_ROWS
    out = torch.empty(len(queries), len(gallery), device=device)
    for first, last in _blocks(gallery.lengths, wide):
        held = gallery.slice(first, last).to(device=device, dtype=dtype)
        columns = torch.arange(first, last)
        if ordered and len(held.lengths.unique_consecutive()) > len(held.lengths.unique()):
            order = held.lengths.argsort(stable=True)
            held, columns = held.take(order), columns[order]
        pieces = _pieces(held.lengths, wide)
        for a, b, part in asked:
            own = _pieces(part.lengths, tall)
            out[a:b, columns.to(device)] = _compare(part, own, held, pieces, both)
    return out


def _compare(queries: Ragged, tall: list[_Piece], gallery: Ragged, wide: list[_Piece], both: bool) -> Tensor:
    """Scores ``[Q, G]`` of whole videos that make one tile, or of one video too long for it that comes in pieces."""
    forward = queries.rows.new_empty(len(queries.rows), len(gallery))
    back = queries.rows.new_empty(len(queries), len(gallery.rows)) if both else None
    for rows in tall:
        for columns in wide:
            product = linear(queries.rows[rows.first : rows.last], gallery.rows[columns.first : columns.last])
            seen, at = forward[rows.first : rows.last], 0
            for first, last, length in columns.runs:
                count = last - first
                segments = product[:, at : at + count * length].unflatten(1, (count, length))
                _keep(seen[:, first:last], _largest(segments), columns.first == 0)
                at += count * length
            if back is None:
                continue
            seen, at = back[:, columns.first : columns.last], 0
            for first, last, length in rows.runs:
                count = last - first
                segments = product[at : at + count * length].unflatten(0, (count, length))
                _keep(seen[first:last], segments.amax(1), rows.first == 0)
                at += count * length
    score = queries.like(forward.float()).mean()
    if back is not None:
        score = (score + gallery.like(back.float().T).mean().T) / 2
    return score


def _keep(seen: Tensor, found: Tensor, first: bool) -> None:
    """Put what was found first into ``seen``, and later what is larger."""
    if first:
        seen.copy_(found)
    else:
        torch.maximum(seen, found, out=seen)


def _largest(values: Tensor) -> Tensor:
    """Largest of the last axis, by halves: several times faster than ``amax`` over a short contiguous axis."""
    if values.device.type != "cpu":
        return values.amax(-1)
    while (size := values.shape[-1]) > 1:
        half = (size + 1) // 2
        values = torch.maximum(values[..., :half], values[..., size - half :])
    return values[..., 0]


def _blocks(lengths: Tensor, most: int) -> Iterator[tuple[int, int]]:
    """First and last of consecutive videos with at most ``most`` frames together; a longer video comes alone."""
    first, total = 0, 0
    for index, length in enumerate(lengths.tolist()):
        if total and total + length > most:
            yield first, index
            first, total = index, 0
        total += length
    if len(lengths):
        yield first, len(lengths)


def _pieces(lengths: Tensor, most: int) -> list[_Piece]:
    """The whole videos of a block as one piece; a single one that is too long for it as several."""
    total = int(lengths.sum())
    if total > most:
        cuts = range(0, total, most)
        return [_Piece(at, min(at + most, total), [(0, 1, min(at + most, total) - at)]) for at in cuts]
    values, counts = lengths.unique_consecutive(return_counts=True)
    ends = counts.cumsum(0)
    runs = zip((ends - counts).tolist(), ends.tolist(), values.tolist(), strict=True)
    return [_Piece(0, total, list(runs))]


def _by_length(lengths: Tensor) -> list[Tensor]:
    """Indices of the videos of each length there is."""
    order = lengths.argsort(stable=True)
    _, counts = lengths[order].unique_consecutive(return_counts=True)
    return list(order.split(counts.tolist()))


def _check_vectors(queries: Tensor, gallery: Tensor) -> None:
    if queries.ndim != 2 or gallery.ndim != 2 or queries.shape[1] != gallery.shape[1]:
        raise ValueError(
            f"vectors must be [Q, D] and [G, D], not {list(queries.shape)} and {list(gallery.shape)}; frame "
            "descriptors are compared by chamfer"
        )


def _check_frames(queries: Ragged, gallery: Ragged) -> None:
    ours, theirs = queries.rows.shape, gallery.rows.shape
    if len(ours) != 2 or len(theirs) != 2 or ours[1] != theirs[1]:
        raise ValueError(f"frame descriptors must be rows [N, D] of one D, not {list(ours)} and {list(theirs)}")
    for name, videos in (("query", queries), ("gallery video", gallery)):
        if not videos.lengths.all():
            raise ValueError(f"{name} {int((videos.lengths == 0).nonzero()[0])} has no frames to compare")
