"""Assignments of rows to prototypes such that every prototype gets its share.

Source: Cuturi, "Sinkhorn Distances", NeurIPS 2013, as Caron et al. (SwAV, NeurIPS 2020) cluster with it and Salehi et
al., "Time Does Tell", ICCV 2023, cluster places.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@torch.no_grad()
def sinkhorn(
    scores: Tensor, epsilon: float = 0.05, iterations: int = 10, group: Any = None, valid: Tensor | None = None
) -> Tensor:
    r"""Soft assignments of rows to prototypes.

    :math:`q = e^{s / \epsilon}` is scaled in turn to equal sums for all prototypes and to sum 1 for each row. Only the
    two vectors of scales are kept, so that an iteration is two products of a matrix with a vector. Where several
    processes train together the rows of all are assigned as one batch.

    Args:
        scores: ``[B, K]``, rows by prototypes, any range. The processes may hold different numbers of rows.
        epsilon: above 0; the smaller, the harder the assignments.
        iterations: at least 1.
        group: the processes that share a batch; all of them by default.
        valid: bool ``[B]``, rows that take part; the others are assigned without a say. By default all do.

    Returns:
        ``[B, K]``, float32 (float64 of float64 scores), each row at least 0 with sum 1.
    """
    if epsilon <= 0 or iterations < 1:
        raise ValueError(f"epsilon is above 0 and iterations at least 1, not {epsilon} and {iterations}")
    exponents = (scores if scores.dtype == torch.float64 else scores.float()) / epsilon
    least = torch.finfo(exponents.dtype).tiny ** 0.8
    high = exponents.amax(1)
    highest = torch.cat([high, high.new_full((1,), -torch.inf)]).max()
    _together(highest, dist.ReduceOp.MAX, group)
    kernel = (exponents - high[:, None]).exp()
    say = torch.ones_like(high) if valid is None else valid.to(high)
    share = say.sum() / scores.shape[1]
    _together(share, dist.ReduceOp.SUM, group)
    of_row = (high - highest).exp()
    of_prototype = kernel.new_ones(kernel.shape[1])
    for _ in range(iterations):
        sums = kernel.mT @ (of_row * say)
        _together(sums, dist.ReduceOp.SUM, group)
        of_prototype = share / sums.clamp_min(least)
        of_row = 1 / (kernel @ of_prototype).clamp_min(least)
    q = kernel * of_prototype
    return q / q.sum(1, keepdim=True).clamp_min(least)


def _together(values: Tensor, how: Any, group: Any) -> None:
    """``values`` of all processes, in place; nothing to do where there is one."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size(group) > 1:
        dist.all_reduce(values, how, group=group)
