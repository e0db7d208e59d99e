"""A projection that keeps what tells videos apart and drops what edits change."""

from collections.abc import Iterable

import torch
from torch import Tensor

from telltime.backbones.whitening import Whitening, WhiteningError

_RIDGE = 0.05


def fit_matched(batches: Iterable[tuple[Tensor, Tensor]], dim: int, power: float = 0.5) -> Whitening:
    r"""Directions with the largest variance in all rows, relative to that between rows of the same moment.

    With :math:`S` the covariance of rows and :math:`D` half the mean square of differences between matched rows,
    solve :math:`S v = \lambda (D + \epsilon I) v`, take the largest :math:`\lambda`, and scale
    :math:`v^\top (D + \epsilon I) v = \lambda^{-\alpha}`. The idea is that of learned whitening (Mikolajczyk and Matas,
    ICCV 2007; Radenovic, Tolias, Chum, TPAMI 2018).

    Args:
        batches: pairs of matched rows ``[n_i, D]``, read once.
        dim: directions to keep.
        power: :math:`\alpha`: 0 leaves variances as they are, 1 makes them all the same.

    Raises:
        WhiteningError: there are not more rows than directions.
    """
    count, shift = 0, torch.zeros(0)
    total = moment = between = torch.zeros(0)
    for first, second in batches:
        rows, other = first.double(), second.double()
        if not count:
            shift = rows.mean(0)
            total, moment, between = (rows.new_zeros(s) for s in ((len(shift),), (len(shift),) * 2, (len(shift),) * 2))
        between.addmm_((rows - other).T, rows - other)
        both = torch.cat([rows, other]) - shift
        total += both.sum(0)
        moment.addmm_(both.T, both)
        count += len(both)
    if count <= dim:
        raise WhiteningError(f"{count} rows cannot give {dim} directions; give more videos or ask for fewer directions")
    covariance = (moment - torch.outer(total, total / count)) / (count - 1)
    within = between / count
    within += _RIDGE * covariance.diagonal().mean() * torch.eye(len(shift), dtype=within.dtype)
    half = torch.linalg.inv(torch.linalg.cholesky(within))
    values, vectors = torch.linalg.eigh(half @ covariance @ half.T)
    values, vectors = values.flip(0)[:dim].clamp(min=1e-9), vectors.flip(1)[:, :dim]
    components = half.T @ vectors * values ** (-power / 2)
    return Whitening.of(shift + total / count, components, torch.ones(dim), whiten=False)
