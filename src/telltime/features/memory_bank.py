"""A memory of labelled places, and the telling of new ones by their nearest neighbours in it.

The dense retrieval of Balazevic et al., "Towards in-context scene understanding", NeurIPS 2023, as its open
reproduction (open-hummingbird-eval) computes it, but with exact search.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.datasets.masks import VOID

_TOGETHER = 1 << 24
"""Similarities held at a time."""

_GROUP = 64
"""Neighbours of which only the best is compared at first."""


class MemoryBank:
    """Features of places and the shares of classes in each.

    Args:
        channels: numbers of a feature.
        classes: shares of a place.
        capacity: places there is room for: ``4 channels + 2 classes`` bytes each.
        device: where it is kept and searched.
    """

    def __init__(self, channels: int, classes: int, capacity: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._features = torch.empty(capacity, channels, device=self.device)
        self._shares = torch.empty(capacity, classes, dtype=torch.float16, device=self.device)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, features: Tensor, shares: Tensor) -> None:
        """Keep places: features ``[n, channels]``, of any length, and shares ``[n, classes]``.

        Raises:
            ValueError: they do not fit.
        """
        last = self._count + len(features)
        wanted = [(len(features), each.shape[1]) for each in (self._features, self._shares)]
        if [tuple(features.shape), tuple(shares.shape)] != wanted or last > len(self._features):
            raise ValueError(
                f"features {list(features.shape)} and shares {list(shares.shape)} do not fit into a memory of "
                f"{list(self._features.shape)} and {list(self._shares.shape)} with {self._count} places taken"
            )
        self._features[self._count : last] = F.normalize(features.to(self.device).float(), dim=1)
        self._shares[self._count : last] = shares.to(self.device)
        self._count = last

    def nearest(self, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The ``k`` most similar places of each query, or all there are when they are fewer.

        Exact, in blocks: similarities of a block are first compared in groups by their largest. The ``k`` best lie in
        the ``k`` best groups, so only those are gone through one by one.

        Args:
            queries: ``[Q, channels]``, of any length.

        Returns:
            Cosines float32 ``[Q, k]``, descending, and row numbers int64 ``[Q, k]``, on the memory's device.
        """
        if not self._count:
            raise ValueError("the memory is empty")
        memory = self._features[: self._count]
        k = min(k, len(memory))
        asked = F.normalize(queries.to(self.device).float(), dim=1)
        block = max(_GROUP * k, _TOGETHER // max(1, len(asked)) // _GROUP * _GROUP)
        cosines = torch.empty(len(asked), 0, device=self.device)
        rows = torch.empty(len(asked), 0, dtype=torch.int64, device=self.device)
        for start in range(0, len(memory), block):
            found, at = _best(asked @ memory[start : start + block].T, k)
            cosines, rows = torch.cat([cosines, found], 1), torch.cat([rows, at + start], 1)
            cosines, order = cosines.topk(min(k, cosines.shape[1]), dim=1)
            rows = rows.gather(1, order)
        return cosines, rows

    def shares(self, queries: Tensor, k: int = 30, temperature: float = 0.02) -> Tensor:
        """Shares of classes told of each query: those of its neighbours, weighed by ``softmax(cosine / temperature)``.

        Returns:
            float32 ``[Q, classes]``.
        """
        cosines, rows = self.nearest(queries, k)
        weights = (cosines / temperature).softmax(1)
        return torch.einsum("qk,qkc->qc", weights, self._shares[rows].float())


def _best(similarities: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row (all, if there are no more) and their columns, unsorted."""
    count = similarities.shape[1]
    groups = count // _GROUP
    if groups <= k:
        return similarities.topk(min(k, count), dim=1)
    whole = groups * _GROUP
    grouped = similarities[:, :whole].unflatten(1, (groups, _GROUP))
    chosen = grouped.amax(2).topk(k, dim=1).indices
    among = grouped.gather(1, chosen[..., None].expand(-1, -1, _GROUP)).flatten(1)
    columns = (chosen[..., None] * _GROUP + torch.arange(_GROUP, device=chosen.device)).flatten(1)
    if whole < count:
        rest = torch.arange(whole, count, device=columns.device).expand(len(columns), -1)
        among, columns = torch.cat([among, similarities[:, whole:]], 1), torch.cat([columns, rest], 1)
    found, at = among.topk(k, dim=1)
    return found, columns.gather(1, at)


def shares_of(labels: Tensor, grid: tuple[int, int], classes: int) -> Tensor:
    """What share of each place's pixels has which class; void pixels have none.

    Args:
        labels: uint8 ``[N, H, W]`` below ``classes``, or 255; ``H`` and ``W`` are multiples of the grid's.

    Returns:
        float32 ``[N, h, w, classes]``.
    """
    number, height, width = labels.shape
    h, w = grid
    if height % h or width % w:
        raise ValueError(f"labels {height}x{width} do not divide into {h}x{w} places")
    cells = labels.view(number, h, height // h, w, width // w).transpose(2, 3).reshape(number * h * w, -1).long()
    beyond = cells[(cells != VOID) & (cells >= classes)]
    if len(beyond):
        raise ValueError(f"labels are 0 to {classes - 1} or {VOID}, found {int(beyond[0])}")
    codes = cells.clamp_max(classes)
    counts = torch.zeros(len(cells), classes + 1, device=labels.device)
    counts.scatter_add_(1, codes, torch.ones_like(codes, dtype=counts.dtype))
    return (counts[:, :classes] / cells.shape[1]).view(number, h, w, classes)


def varied_places(shares: Tensor, count: int, generator: torch.Generator) -> list[Tensor]:
    """Places of each picture to remember, rare classes first.

    A place's score is the sum, over the classes in it, of how many places of the picture hold the class, times a random
    number between 0 and 1. The ``count`` lowest are taken; places without any class never are.

    Args:
        shares: ``[N, P, classes]``.
        generator: on the CPU.

    Returns:
        For each picture int64 ``[n]``, ``n <= count``.
    """
    there = (shares > 0).float()
    scores = torch.einsum("npc,nc->np", there, there.sum(1))
    scores = scores * torch.rand(scores.shape, generator=generator).to(scores.device)
    labelled = there.any(2)
    scores = scores.masked_fill(~labelled, torch.inf)
    taken = scores.topk(min(count, scores.shape[1]), dim=1, largest=False).indices
    return [places[known[places]] for places, known in zip(taken, labelled, strict=True)]
