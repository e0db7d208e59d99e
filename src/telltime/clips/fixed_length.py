"""Sequences brought to one length as TCA's published code does it; here nothing needs it but parity with that code."""

import numpy as np
import torch
from torch import Tensor


def fixed_length(
    rows: Tensor, size: int, rng: np.random.RandomState, generator: torch.Generator | None = None
) -> Tensor:
    """``rows`` ``[n, ...]`` as ``[size, ...]``: shorter ones are followed by zeros, longer ones cut.

    The cut starts at a place drawn from 0 to ``n - size - 1``: as published the last window never comes.

    Args:
        rng: draws the start, for longer sequences only.
        generator: given, a longer sequence's rows are drawn from it instead, with repetition and in no order; as
            published only where the start drawn before is not 0.
    """
    excess = len(rows) - size
    if excess <= 0:
        return torch.cat([rows, rows.new_zeros(-excess, *rows.shape[1:])]) if excess else rows
    start = int(rng.randint(excess))
    if generator is not None and start > 0:
        return rows[torch.randint(len(rows), (size,), generator=generator)]
    return rows[start : start + size]
