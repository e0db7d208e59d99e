"""Similarity of packed frames, with gradient."""

import torch
from torch import Tensor

from telltime.clips.ragged import Ragged


def chamfer_matrix(first: Ragged, second: Ragged) -> Tensor:
    r"""Symmetric Chamfer similarity ``[A, B]`` of videos by their unit frames.

    .. math:: \tfrac12 \Big(\tfrac1n \sum_i \max_j x_i \cdot y_j + \tfrac1m \sum_j \max_i x_i \cdot y_j\Big)

    All frames are compared in one product ``[N, M]``: for batches to train on, not for collections.
    """
    product = first.rows @ second.rows.T
    return (_one_sided(product, first, second) + _one_sided(product.T, second, first).T) / 2


def _one_sided(product: Tensor, rows: Ragged, columns: Ragged) -> Tensor:
    """Mean over each video's rows of the largest entry in each video's columns, ``[A, B]``."""
    owners = columns.owners.expand(len(product), -1)
    best = product.new_full((len(product), len(columns)), -torch.inf)
    best = best.scatter_reduce(1, owners, product, "amax", include_self=False)
    return rows.like(best).mean()
