"""What a method that clusters places is made of: an encoder with head and prototypes, and a queue of earlier places."""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.dense import DenseEncoder
from telltime.methods.gather import all_rows


def projection(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers of these sizes with GELU between; of one size alone nothing is done."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.GELU()]
    return nn.Sequential(*layers[:-1])


class Branch(nn.Module):
    """An encoder of places, a projection head, and prototypes to compare places with.

    Args:
        encoder: pictures to grids of features.
        head: features of a place ``[n, channels]`` to ``[n, D]``.
        prototypes: ``[K, D]``, of length 1.
    """

    def __init__(self, encoder: DenseEncoder, head: nn.Module, prototypes: nn.Parameter) -> None:
        super().__init__()
        self.prototypes = prototypes
        self.encoder, self.head = encoder, head

    def copied(self) -> "Branch":
        """Another with the same weights."""
        return Branch(copy.deepcopy(self.encoder), copy.deepcopy(self.head), copy.deepcopy(self.prototypes))

    def still(self) -> Self:
        """Itself, needing no gradient."""
        return self.requires_grad_(False).eval()

    def projected(self, grids: Tensor) -> Tensor:
        """Grids ``[N, C, h, w]`` to rows ``[N * h * w, D]`` of the head, place by place."""
        return self.head(grids.permute(0, 2, 3, 1).flatten(0, 2))

    def scores_of(self, rows: Tensor) -> Tensor:
        """Rows of the head ``[n, D]`` to their cosines with the prototypes, as these are: float32 ``[n, K]``."""
        with torch.autocast(rows.device.type, enabled=False):
            wide = rows if rows.dtype == torch.float64 else rows.float()
            return F.normalize(wide, dim=-1) @ self.prototypes.to(wide.dtype).T

    def scores(self, grids: Tensor) -> Tensor:
        """Grids ``[N, C, h, w]`` to ``[N * h * w, K]``."""
        return self.scores_of(self.projected(grids))

    @torch.no_grad()
    def unit_prototypes(self) -> None:
        """Bring the prototypes to length 1."""
        self.prototypes.copy_(F.normalize(self.prototypes, dim=-1))


class PlaceQueue(nn.Module):
    """Rows of the head of places of earlier steps, the newest in front; saved with the state.

    It counts only once it is full. Every process holds all of it and lends its own share to the assignments.

    Args:
        size: how many rows are kept.
        dim: their length.
    """

    rows: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("rows", torch.zeros(size, dim))

    @torch.no_grad()
    def push(self, rows: Tensor, count: int) -> None:
        """Put ``count`` of ``rows`` ``[n, dim]``, drawn without replacement, in front; the oldest go."""
        _, world = _processes()
        count = min(count, self.size // world, len(rows))
        chosen = torch.randperm(len(rows))[:count].to(rows.device, non_blocking=True)
        new = all_rows(rows[chosen].to(self.rows))
        self.rows.copy_(torch.cat([new, self.rows])[: self.size])

    def mine(self) -> tuple[Tensor, Tensor]:
        """This process's share of the rows ``[n, dim]``, and whether the queue is full, bool ``[1]``."""
        rank, world = _processes()
        return self.rows[rank::world], (self.rows[-1:] != 0).any(1)


def _processes() -> tuple[int, int]:
    """Which process this is, and of how many."""
    if not (dist.is_available() and dist.is_initialized()):
        return 0, 1
    return dist.get_rank(), dist.get_world_size()
