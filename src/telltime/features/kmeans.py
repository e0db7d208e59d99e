"""k-means over the places of feature grids that are looked at finer than they are.

The grids are never brought to the finer size: k-means learns from places drawn at it, each interpolated by itself, and
as distances to centroids are linear in a feature once its own length is left out, the few distances are upsampled
instead of the features, with the same nearest centroid as a result.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.features.between import nearest_between, neighbours

FAISS_POINTS = 256
"""Points per cluster that faiss's k-means learns from unless told otherwise."""

_TOGETHER = 8
_PERMUTED = 1 << 26


def drawn_places(grids: Tensor, size: tuple[int, int], count: int, seed: int = 1, smooth: bool = True) -> Tensor:
    """Features at random places of upsampled grids: float32 ``[count, D]``, or of all places where there are no more.

    The places are those that faiss draws, with the same seed, from all of them: k-means on these is k-means on all,
    number for number.

    Args:
        grids: float ``[N, D, h, w]``.
        size: height and width that they stand for.
        smooth: bilinear, corners not aligned; otherwise the grid's own places are drawn from.
    """
    number, dim, h, w = grids.shape
    height, width = size if smooth else (h, w)
    flat = _drawn(number * height * width, count, seed).to(grids.device)
    image, y, x = flat // (height * width), flat // width % height, flat % width
    rows = grids.permute(0, 2, 3, 1).reshape(-1, dim)
    if (height, width) == (h, w):
        return rows[(image * h + y) * w + x].float()
    top, bottom, down = neighbours(y, h, height)
    left, right, across = neighbours(x, w, width)

    def at(row: Tensor, column: Tensor, weight: Tensor) -> Tensor:
        return rows[(image * h + row) * w + column].float() * weight[:, None]

    found = at(top, left, (1 - down) * (1 - across))
    found += at(top, right, (1 - down) * across)
    found += at(bottom, left, down * (1 - across))
    found += at(bottom, right, down * across)
    return found


def centroids(
    points: Tensor | np.ndarray, k: int, iterations: int = 50, restarts: int = 5, seed: int = 1, spherical: bool = False
) -> Tensor:
    """faiss's k-means on points float ``[n, D]``: float32 ``[k, D]`` on the CPU; of k points or fewer, the points."""
    import faiss

    rows = np.ascontiguousarray(points.cpu() if isinstance(points, Tensor) else points, dtype=np.float32)
    if len(rows) <= k:
        return torch.from_numpy(rows.copy())
    learned: Any = faiss.Kmeans(
        rows.shape[1],
        k,
        niter=iterations,
        nredo=restarts,
        seed=seed,
        spherical=spherical,
        min_points_per_centroid=1,
        max_points_per_centroid=-(-len(rows) // k),
    )
    learned.train(rows)
    return torch.from_numpy(learned.centroids.copy())


def nearest(grids: Tensor, means: Tensor, size: tuple[int, int], smooth: bool = True) -> np.ndarray:
    """The nearest centroid of every place of upsampled grids.

    Args:
        grids: float ``[N, D, h, w]``.
        means: centroids, float32 ``[K, D]``.
        size: height and width of the answer.
        smooth: as if features were upsampled, bilinear, corners not aligned; otherwise places of the grid are assigned
            and their clusters upsampled, nearest.

    Returns:
        uint8 ``[N, H, W]``, uint16 where there are more than 256 clusters.
    """
    means = means.to(grids.device, torch.float32)
    kind = np.uint8 if len(means) <= 256 else np.uint16
    answer = np.empty((len(grids), *size), dtype=kind)
    for start in range(0, len(grids), _TOGETHER):
        part = grids[start : start + _TOGETHER]
        far = _far(part.permute(0, 2, 3, 1).reshape(-1, part.shape[1]).float(), means)
        far = far.view(len(part), *part.shape[2:], len(means))
        if smooth:
            found = nearest_between(far, size)
        else:
            found = F.interpolate(far.argmin(3)[:, None].float(), size, mode="nearest-exact")[:, 0]
        answer[start : start + len(part)] = found.cpu().numpy()
    return answer


def proto_assign(grids: Tensor, prototypes: Tensor, size: tuple[int, int]) -> np.ndarray:
    """The prototype with the largest cosine at every place, int64 ``[N, H, W]``; cosines are upsampled, bilinear.

    Args:
        grids: float ``[N, D, h, w]``.
        prototypes: float ``[K, D]``.
    """
    cosines = torch.einsum("ndhw,kd->nkhw", F.normalize(grids, dim=1), F.normalize(prototypes.to(grids), dim=1))
    return np.stack(
        [F.interpolate(one[None], size, mode="bilinear", align_corners=False)[0].argmax(0).cpu() for one in cosines]
    )


def inertia(points: Tensor, means: Tensor) -> float:
    """Sum of squared distances of points ``[n, D]`` to their nearest centroid ``[K, D]``."""
    parts: Sequence[Tensor] = points.double().split(1 << 16)
    return float(sum(torch.cdist(part, means.double()).amin(1).square().sum() for part in parts))


def _drawn(total: int, count: int, seed: int) -> Tensor:
    """int64 ``[min(count, total)]``: the first of faiss's permutation, or of numpy's where that would fill memory."""
    if count >= total:
        return torch.arange(total)
    if total > _PERMUTED:
        return torch.from_numpy(np.random.default_rng(seed).choice(total, count, replace=False))
    order = np.empty(total, dtype=np.int32)
    faiss: Any = importlib.import_module("faiss")  # whose types lack what swig makes
    faiss.rand_perm(faiss.swig_ptr(order), total, seed)
    return torch.from_numpy(order[:count].astype(np.int64))


def _far(rows: Tensor, means: Tensor) -> Tensor:
    """Squared distances of rows ``[n, D]`` to centroids ``[K, D]``, less each row's own square: ``[n, K]``."""
    return torch.addmm(means.square().sum(1), rows, means.T, alpha=-2)
