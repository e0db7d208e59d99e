"""Scaling to unit variance and principal components, from sums that rows are added to block by block.

Equal to scikit-learn's ``StandardScaler`` followed by faiss's ``PCAMatrix`` on all rows at once, up to the sign of
each component, with nothing kept but one matrix of the channels.
"""

import numpy as np
import torch
from torch import Tensor

_FLAT = 1e-12


class ScaledComponents:
    """Learns where rows lie, then turns rows into their leading components.

    Args:
        components: how many to keep; all where there are fewer channels.
    """

    def __init__(self, components: int = 50) -> None:
        if components < 1:
            raise ValueError(f"at least one component is kept, not {components}")
        self.components = components
        self.count = 0
        self._shift: Tensor | None = None
        self._sum: Tensor | None = None
        self._outer: Tensor | None = None
        self._found: tuple[Tensor, Tensor] | None = None

    def add(self, rows: Tensor) -> None:
        """Learn from float rows ``[n, C]``, on any device."""
        if not len(rows):
            return
        rows = rows.float()
        if self._shift is None or self._sum is None or self._outer is None:
            self._shift = rows.mean(0)
            self._sum = torch.zeros_like(self._shift, dtype=torch.float64)
            self._outer = self._sum.new_zeros(rows.shape[1], rows.shape[1])
        moved = rows - self._shift  # near zero, so that products keep their digits in float32
        self._sum += moved.sum(0, dtype=torch.float64)
        self._outer += (moved.T @ moved).double()
        self.count += len(rows)
        self._found = None

    def apply(self, rows: Tensor) -> Tensor:
        """Components float32 ``[..., D]`` of float rows ``[..., C]``.

        Raises:
            ValueError: nothing was learned yet.
        """
        matrix, centre = self._solved()
        return rows.to(matrix) @ matrix - centre

    def grid(self, grids: Tensor) -> Tensor:
        """The same of grids float ``[N, C, h, w]``: float32 ``[N, D, h, w]``, contiguous."""
        return self.apply(grids.permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()

    def _solved(self) -> tuple[Tensor, Tensor]:
        """Matrix ``[C, D]`` and what is taken off after it, ``[D]``."""
        if self._found is None:
            if self._shift is None or self._sum is None or self._outer is None:
                raise ValueError("no row was added that components could be learned from")
            away = self._sum / self.count
            covariance = (self._outer / self.count - away[:, None] * away[None]).cpu().numpy()
            mean = (self._shift.double() + away).cpu().numpy()
            variance = np.clip(np.diag(covariance), 0, None)
            spread = np.sqrt(variance)
            spread[variance <= _FLAT * max(float(variance.max()), np.finfo(float).tiny)] = 1.0  # constant channels stay
            _, vectors = np.linalg.eigh(covariance / np.outer(spread, spread))
            matrix = vectors[:, ::-1][:, : self.components] / spread[:, None]
            place = self._shift.device
            self._found = (
                torch.from_numpy(np.ascontiguousarray(matrix)).float().to(place),
                torch.from_numpy(mean @ matrix).float().to(place),
            )
        return self._found
