"""Which of many distances is smallest at every pixel between the cells of a grid, without most of them there.

A pixel's distance to a cluster is a mean of those of four cells, with the same four weights for all clusters. A cluster
that is farther than some other one at all four cells is so everywhere between them: with 500 clusters some 6 to 40
are left to be compared at the pixels, with exactly the same result.
"""

from functools import lru_cache

import torch
from torch import Tensor

_BUCKETS = (4, 16, 64)


def nearest_between(far: Tensor, size: tuple[int, int]) -> Tensor:
    """The cluster with the smallest distance at every pixel, were distances upsampled, bilinear, corners not aligned.

    Args:
        far: distances float ``[N, h, w, K]``, each cell's up to a constant of its own features.
        size: height and width.

    Returns:
        int64 ``[N, H, W]``.
    """
    number, h, w, clusters = far.shape
    cells, weights, pixels = (each.to(far.device) for each in _layout(h, w, *size))
    corners = far.reshape(number, h * w, clusters)[:, cells].flatten(0, 1)  # [N * cells, 4, K]
    left = _left(corners)
    count = left.sum(1)
    found = torch.empty(number, size[0] * size[1] + 1, dtype=torch.int64, device=far.device)
    low = 0
    for most in (*(bucket for bucket in _BUCKETS if bucket < clusters), clusters):
        at = torch.nonzero((count > low) & (count <= most)).flatten()
        low = most
        if not len(at):
            continue
        some = left[at].to(torch.uint8).topk(most, dim=1).indices
        cell = at % len(cells)
        values = weights[cell] @ corners[at].gather(2, some[:, None].expand(-1, 4, -1))
        best = some.gather(1, values.argmin(2))
        found[(at // len(cells))[:, None], pixels[cell]] = best
    return found[:, :-1].view(number, *size)


def neighbours(place: Tensor, cells: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Cells before and after each place of ``length``, int64, and how far it is from the first, in cells."""
    at = ((place.float() + 0.5) * (cells / length) - 0.5).clamp_min(0)
    first = at.floor().long().clamp_max(cells - 1)
    return first, (first + 1).clamp_max(cells - 1), at - first


def _left(corners: Tensor) -> Tensor:
    """bool ``[n, K]``: clusters that are nowhere beaten at all four corners ``[n, 4, K]`` by one of a few good ones."""
    left = torch.ones(corners.shape[0], corners.shape[2], dtype=torch.bool, device=corners.device)
    good = torch.cat([corners.argmin(2), corners.mean(1).argmin(1, keepdim=True)], 1)
    for one in good.T:
        left &= (corners <= corners.gather(2, one[:, None, None].expand(-1, 4, 1))).any(1)
    return left


@lru_cache(maxsize=8)
def _layout(h: int, w: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Four cells around each gap, ``[gaps, 4]``, and of the pixels in it the weights ``[gaps, P, 4]`` and the places.

    Gaps have as many pixels as the fullest; what is too many lies one past the last pixel.
    """
    top, bottom, down, rows = _line(h, height)
    left, right, across, columns = _line(w, width)
    corner = torch.stack([top[:, None] * w + left, top[:, None] * w + right], 2)
    below = torch.stack([bottom[:, None] * w + left, bottom[:, None] * w + right], 2)
    cells = torch.cat([corner, below], 2).flatten(0, 1)
    one, other = down[:, None, :, None], across[None, :, None, :]
    parts = [(1 - one) * (1 - other), (1 - one) * other, one * (1 - other), one * other]
    weights = torch.stack(parts, 4).flatten(2, 3).flatten(0, 1)
    place = rows[:, None, :, None] * width + columns[None, :, None, :]
    there = (rows[:, None, :, None] >= 0) & (columns[None, :, None, :] >= 0)
    pixels = torch.where(there, place, height * width).flatten(2, 3).flatten(0, 1)
    used = (pixels < height * width).any(1)
    return cells[used], weights[used], pixels[used]


def _line(cells: int, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of one direction: the cells before and after each gap, and of the pixels in it how far and where; -1 is none."""
    pixel = torch.arange(length)
    first, _, far = neighbours(pixel, cells, length)
    gap = torch.arange(cells)
    most = int(torch.bincount(first, minlength=cells).max())
    where = torch.full((cells, most), -1)
    place = pixel - torch.searchsorted(first, first)
    where[first, place] = pixel
    how = torch.zeros(cells, most)
    how[first, place] = far
    return gap, (gap + 1).clamp_max(cells - 1), how, where
