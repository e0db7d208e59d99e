"""A small TCA in double precision, and batches that several processes can share."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from telltime.backbones.tca_encoder import TCAEncoder
from telltime.clips.ragged import Ragged, offsets_of
from telltime.methods.tca import TCA, Views

NEGATIVES = 2


def small(**options: Any) -> TCA:
    torch.manual_seed(0)
    options = {"bank": 11, "gamma": 16.0} | options
    return TCA(TCAEncoder(8, heads=2, feedforward=16, dropout=0.0), **options).double()


def optimiser_of(method: TCA) -> Optimizer:
    return torch.optim.SGD(method.encoder.parameters(), lr=0.05, momentum=0.9)


def batch_of(step: int, sizes: list[int], rank: int | None) -> Views:
    """The batch of a step, or a process's share of it."""
    generator = torch.Generator().manual_seed(step)
    total = sum(sizes)

    def sequences(count: int) -> Ragged:
        lengths = torch.randint(1, 6, (count,), generator=generator)
        rows = torch.randn(int(lengths.sum()), 8, generator=generator, dtype=torch.float64)
        return Ragged(rows, offsets_of(lengths))

    whole = [sequences(total), sequences(total), sequences(total * NEGATIVES)]
    owners = torch.arange(total)[:, None]
    others: Tensor = torch.randint(0, 2 * total, (total * NEGATIVES,), generator=generator)
    if rank is None:
        return Views(*whole, owners, others)
    first, last = sum(sizes[:rank]), sum(sizes[: rank + 1])
    anchors, positives = (part.slice(first, last) for part in whole[:2])
    mine = slice(first * NEGATIVES, last * NEGATIVES)
    return Views(anchors, positives, whole[2].slice(mine.start, mine.stop), owners[first:last], others[mine])
