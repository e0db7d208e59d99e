"""Labels carried through a video by the likeness of its places: the feature forwarder, or label propagation.

Source: Jabri, Owens, Efros, "Space-Time Correspondence as a Contrastive Random Walk", NeurIPS 2020, in the form that
Caron et al. (DINO, ICCV 2021) measure with and Salehi et al., "Time Does Tell", ICCV 2023, train with.

A place of the next frame asks the places near it in the frames before: it takes the mean of the labels of the ``topk``
most alike, weighted by ``exp(cosine / temperature)``. The frames asked are the first, which keeps its labels, and the
last few, with the labels that were carried to them.
"""

from collections import deque
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

_TILE = 8
_GROUPS = 16


class Forwarder:
    """Carries labels through videos frame by frame; it holds the first frame and the last few.

    The places of a frame are taken in square tiles, each compared with what its places can reach: memory and time grow
    with the window, not with the square of the grid. Computed in the features' type, float32 at least, without
    gradient.

    Args:
        features: float ``[B, C, h, w]`` of the first frame of each video.
        first: ``[B, K, h, w]``, how much each place of the first frame belongs to each of ``K`` labels.
        last_frames: how many frames before the next one are asked, beside the first; 0 asks the first alone.
        radius: how far away a place may be asked, in cells each way; 0 sets no limit.
        topk: how many places count, over all frames asked together. All those as alike as the last of them count too.
        temperature: divides the cosines, above 0.
        normalise: ``"minmax"`` stretches each label of each frame to 0..1 before it is carried on.
    """

    def __init__(
        self,
        features: Tensor,
        first: Tensor,
        last_frames: int = 7,
        radius: int = 6,
        topk: int = 5,
        temperature: float = 0.1,
        normalise: Literal["minmax"] | None = None,
    ) -> None:
        if features.ndim != 4 or first.ndim != 4 or features[:, 0].shape != first[:, 0].shape:
            raise ValueError(
                "features [B, C, h, w] and first labels [B, K, h, w] lie on one grid, "
                f"not {list(features.shape)} and {list(first.shape)}"
            )
        if last_frames < 0 or radius < 0 or topk < 1 or temperature <= 0:
            raise ValueError(
                "last_frames and radius are at least 0, topk at least 1 and temperature above 0, "
                f"not {last_frames}, {radius}, {topk} and {temperature}"
            )
        if normalise not in (None, "minmax"):
            raise ValueError(f'normalise is "minmax" or nothing, not {normalise!r}')
        self.radius = radius or max(features.shape[-2:])
        self.topk = topk
        self.temperature = temperature
        self.normalise = normalise
        self._first = (_unit(features), _rows(first, features))
        self._last: deque[tuple[Tensor, Tensor]] = deque(maxlen=last_frames)

    @torch.no_grad()
    def step(self, features: Tensor) -> Tensor:
        """Features ``[B, C, h, w]`` of the next frame to its labels ``[B, K, h, w]``; each sums to what its sources
        do, so shares of places stay shares."""
        queries = _unit(features)
        asked = [self._first, *self._last]
        if queries.shape != asked[0][0].shape:
            raise ValueError(f"features are {list(features.shape)}, of another shape than the first frame's")
        with torch.autocast(features.device.type, enabled=False):
            labels = self._carried(queries, asked)
        grid = labels.permute(0, 3, 1, 2)
        if self.normalise:
            grid = min_max(grid)
            labels = grid.permute(0, 2, 3, 1)
        self._last.append((queries, labels))
        return grid

    def _carried(self, queries: Tensor, asked: list[tuple[Tensor, Tensor]]) -> Tensor:
        batch, height, width, _ = queries.shape
        labels = queries.new_empty(batch, height, width, asked[0][1].shape[-1])
        for y, reach_y in _tiles(height, self.radius):
            for x, reach_x in _tiles(width, self.radius):
                near = [(f[:, reach_y, reach_x], m[:, reach_y, reach_x].flatten(1, 2)) for f, m in asked]
                tile = queries[:, y, x]
                far = _far(_offsets(y, reach_y), _offsets(x, reach_x), self.radius, str(queries.device))
                weights = self._weights(tile.flatten(1, 2), [f.flatten(1, 2) for f, _ in near], far)
                carried = weights @ torch.cat([m for _, m in near], dim=1)
                labels[:, y, x] = carried.unflatten(1, tile.shape[1:3])
        return labels

    def _weights(self, tile: Tensor, sources: list[Tensor], far: Tensor | None) -> Tensor:
        """Places ``[B, q, C]`` and those they may ask, ``[B, s, C]`` a frame, to weights ``[B, q, frames * s]``."""
        batch, count = tile.shape[:2]
        alike = tile.new_empty(batch, count, len(sources), sources[0].shape[1])
        for i, source in enumerate(sources):
            alike[:, :, i] = tile @ source.mT
        if far is not None:
            alike.masked_fill_(far[:, None], -torch.inf)
        alike = alike.flatten(2)
        best = largest(alike, self.topk)
        alike.masked_fill_(alike < best[..., -1:], -torch.inf)
        weights = alike.sub_(best[..., :1]).div_(self.temperature).exp_()
        return weights.div_(weights.sum(-1, keepdim=True))


def forward_labels(
    features: Tensor,
    first: Tensor,
    last_frames: int = 7,
    radius: int = 6,
    topk: int = 5,
    temperature: float = 0.1,
    normalise: Literal["minmax"] | None = None,
) -> Tensor:
    """Labels of the first frames carried through whole clips.

    Args:
        features: float ``[B, T, C, h, w]``.
        first: ``[B, K, h, w]``, the labels of frame 0.
        last_frames, radius, topk, temperature, normalise: as :class:`Forwarder` takes them.

    Returns:
        ``[B, T - 1, K, h, w]``, the labels of frames 1 and on, float32 (float64 of float64 features).
    """
    if features.ndim != 5:
        raise ValueError(f"features of clips are [B, T, C, h, w], not {list(features.shape)}")
    forwarder = Forwarder(features[:, 0], first, last_frames, radius, topk, temperature, normalise)
    maps = [forwarder.step(frame) for frame in features[:, 1:].unbind(1)]
    if not maps:
        return forwarder._first[1].permute(0, 3, 1, 2)[:, None][:, :0]
    return torch.stack(maps, dim=1)


def min_max(maps: Tensor) -> Tensor:
    """Maps ``[..., h, w]``, each stretched to 0..1; one without a value above 0 is left as it is, and so is a flat one.

    Source: the mask normalisation of DINO's video segmentation.
    """
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    flat = (high <= 0) | (high == low)
    return torch.where(flat, maps, (maps - low) / (high - low).masked_fill(flat, 1))


def largest(values: Tensor, count: int) -> Tensor:
    """The ``count`` largest of the last axis (all of them where it is shorter), in falling order.

    A long axis is first cut into groups: the largest values lie in the groups of largest maxima.
    """
    size = values.shape[-1]
    inner = size // _GROUPS
    if inner < 4 * count:
        return values.topk(min(count, size), dim=-1).values
    head, rest = values[..., : _GROUPS * inner].unflatten(-1, (_GROUPS, inner)), values[..., _GROUPS * inner :]
    of_group = head.amax(-2).topk(count, dim=-1).indices
    chosen = head.gather(-1, of_group[..., None, :].expand(*head.shape[:-1], count)).flatten(-2)
    return torch.cat([chosen, rest], dim=-1).topk(count, dim=-1).values


def _unit(features: Tensor) -> Tensor:
    """``[B, C, h, w]`` to unit vectors ``[B, h, w, C]``."""
    features = features.detach()
    rows = features.permute(0, 2, 3, 1).to(_float(features))
    return F.normalize(rows, dim=-1).contiguous()


def _rows(maps: Tensor, features: Tensor) -> Tensor:
    return maps.detach().permute(0, 2, 3, 1).to(features.device, _float(features)).contiguous()


def _float(features: Tensor) -> torch.dtype:
    return torch.float64 if features.dtype == torch.float64 else torch.float32


def _tiles(size: int, radius: int) -> list[tuple[slice, slice]]:
    """Stretches of an axis, each with what its places may reach; one stretch where a tile reaches nearly all."""
    if size <= 2 * radius + 1:
        return [(slice(0, size), slice(0, size))]
    count = -(-size // _TILE)
    edges = [size * i // count for i in range(count + 1)]
    return [
        (slice(start, stop), slice(max(0, start - radius), min(size, stop + radius))) for start, stop in pairwise(edges)
    ]


def _offsets(places: slice, reach: slice) -> tuple[int, int, int]:
    """Places of a stretch, places it reaches, and where in the latter it starts."""
    return places.stop - places.start, reach.stop - reach.start, places.start - reach.start


@lru_cache(maxsize=256)
def _far(y: tuple[int, int, int], x: tuple[int, int, int], radius: int, device: str) -> Tensor | None:
    """bool ``[q, s]``, which places of a tile's reach are too far for each place of it; None when none is."""
    rows, columns = (
        (torch.arange(count)[:, None] + start - torch.arange(reach)).abs() > radius for count, reach, start in (y, x)
    )
    far = rows[:, None, :, None] | columns[None, :, None, :]
    return far.flatten(2).flatten(0, 1).to(device) if far.any() else None
