"""Rows of all processes, with gradient: a loss over the batch then does not depend on how many processes share it."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def all_rows(rows: Tensor) -> Tensor:
    """``rows`` ``[n, ...]`` of all processes, in rank order, as ``[sum of n, ...]``; ``n`` may differ among them.

    Backward sums every process's gradient of a row onto the process the row came from. When each process computes the
    loss of the whole batch and gradients are averaged over processes (as DistributedDataParallel and FSDP do), the
    parameters get the gradient of one process with that batch. Without a process group ``rows`` itself is returned.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    return _AllRows.apply(rows)


class _AllRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        world, rank = dist.get_world_size(), dist.get_rank()
        counts = torch.zeros(world, dtype=torch.int64, device=rows.device)
        counts[rank] = len(rows)
        dist.all_reduce(counts)
        sizes = counts.tolist()
        padded = rows.new_zeros(max(sizes), *rows.shape[1:])
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(world)]
        dist.all_gather(parts, padded)
        ctx.mine = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        return grad[ctx.mine]
