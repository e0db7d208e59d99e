"""PCA whitening of descriptors: fitted in one pass over batches, kept as safetensors.

Published: y = W^T (x - mean) with W = U diag(lambda)^(-1/2), then every row to length 1 (Jegou and Chum, ECCV 2012).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from telltime.media.files import whole

_LEAST = 1e-9
_VISIL_ADDS = 1e-7


class WhiteningError(Exception):
    """A file holds no whitening, or the rows do not allow the one asked for; the message is one sentence."""


class Whitening(nn.Module):
    """The projection on the directions of largest variance, each scaled to variance 1.

    Args:
        size: numbers of a row, ``D``.
        dim: numbers kept, ``n``.
        whiten: scale the directions; otherwise this is plain PCA.

    Buffers, float32: ``mean`` ``[D]``, ``components`` ``[D, n]`` (columns of length 1), ``eigenvalues`` ``[n]``
    (descending).
    """

    mean: Tensor
    components: Tensor
    eigenvalues: Tensor

    def __init__(self, size: int, dim: int, whiten: bool = True) -> None:
        super().__init__()
        if not 1 <= dim <= size:
            raise ValueError(f"between 1 and {size} directions can be kept, not {dim}")
        self.size, self.dim, self.whiten = size, dim, whiten
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("components", torch.eye(size, dim))
        self.register_buffer("eigenvalues", torch.ones(dim))

    def forward(self, rows: Tensor) -> Tensor:
        """Rows ``[..., D]`` to rows of length 1, float32 ``[..., n]``."""
        return normalize(self.project(rows), dim=-1)

    def project(self, rows: Tensor) -> Tensor:
        """The same, their length left as it is."""
        if rows.shape[-1] != self.size:
            raise ValueError(f"rows are [..., {self.size}], not {list(rows.shape)}")
        weight, bias = self.affine()
        return rows.to(weight.dtype) @ weight.T + bias

    def affine(self) -> tuple[Tensor, Tensor]:
        """Weight ``[n, D]`` and bias ``[n]`` of the projection."""
        weight = self.components.T
        if self.whiten:
            weight = weight / self.eigenvalues.clamp(min=_LEAST).sqrt()[:, None]
        return weight, -(weight @ self.mean)

    def to_dim(self, dim: int) -> "Whitening":
        """Only the first ``dim`` directions."""
        return Whitening.of(self.mean, self.components[:, :dim], self.eigenvalues[:dim], self.whiten)

    @classmethod
    def of(cls, mean: Tensor, components: Tensor, eigenvalues: Tensor, whiten: bool = True) -> "Whitening":
        """From mean ``[D]``, components ``[D, n]`` and eigenvalues ``[n]`` in any order; sorted here."""
        made = cls(components.shape[0], components.shape[1], whiten)
        order = torch.argsort(eigenvalues, descending=True, stable=True)
        made.mean = mean.detach().float().cpu().clone()
        made.components = components.detach()[:, order].float().cpu().contiguous()
        made.eigenvalues = eigenvalues.detach()[order].float().cpu().clone()
        return made

    @classmethod
    def fit(cls, batches: Iterable[Tensor], dim: int, whiten: bool = True) -> "Whitening":
        """From rows that pass by once; only their count, mean and second moment are kept, in float64.

        Args:
            batches: tensors ``[n_i, D]``.
            dim: directions to keep.

        Raises:
            WhiteningError: fewer than ``dim + 1`` rows came, or a number in them is not finite.
            ValueError: ``dim`` is none of 1 to ``D``.
        """
        count, shift, total, moment = 0, torch.zeros(0), torch.zeros(0), torch.zeros(0)
        for batch in batches:
            rows = batch.detach().flatten(0, -2).double()
            if not len(rows):
                continue
            if not count:
                shift = rows.mean(0)
                total, moment = torch.zeros_like(shift), rows.new_zeros(rows.shape[1], rows.shape[1])
            rows = rows - shift
            count += len(rows)
            total += rows.sum(0)
            moment.addmm_(rows.T, rows)
        if count <= dim:
            raise WhiteningError(f"{count} rows cannot give {dim} directions; give more rows or ask for fewer")
        if dim > len(shift) or dim < 1:
            raise ValueError(f"between 1 and {len(shift)} directions can be kept, not {dim}")
        covariance = (moment - torch.outer(total, total / count)) / (count - 1)
        if not torch.isfinite(covariance).all():
            raise WhiteningError("the rows hold numbers that are not finite")
        values, vectors = torch.linalg.eigh(covariance)
        values, vectors = values.flip(0)[:dim].clamp(min=_LEAST), vectors.flip(1)[:, :dim]
        return cls.of(shift + total / count, vectors, values, whiten)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all."""
        held = {name: value.detach().cpu().contiguous() for name, value in self.state_dict().items()}
        with whole(path) as beside:
            save_file(held, beside, {"whiten": str(self.whiten).lower()})

    @classmethod
    def load(cls, path: str | Path, whiten: bool = True) -> "Whitening":
        """From our safetensors, TCA's npz (``U lams mu Utmu``) or ViSiL's and DnS's ``.pth`` (``mean d V``).

        Args:
            whiten: for the foreign two, which do not say.

        Raises:
            WhiteningError: the file is missing, damaged or of another layout.
        """
        path = Path(path)
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as file:
                    found: Any = {key: torch.from_numpy(file[key]) for key in ("U", "lams", "mu")}
                return cls.of(found["mu"].flatten(), found["U"], found["lams"].flatten(), whiten)
            if path.suffix in (".pth", ".pt"):
                found = torch.load(path, map_location="cpu", weights_only=True)
                mean, values, vectors = (torch.as_tensor(found[key]) for key in ("mean", "d", "V"))
                return cls.of(mean.flatten(), vectors, values.flatten() + _VISIL_ADDS, whiten)
            return cls._own(path)
        except FileNotFoundError as error:
            raise WhiteningError(f"{path}: there is no such file") from error
        except WhiteningError:
            raise
        except Exception as error:  # whatever a damaged file makes its reader raise
            reason = str(error).split("\n")[0][:120]
            raise WhiteningError(f"{path}: no whitening can be read from it ({reason})") from error

    @classmethod
    def _own(cls, path: Path) -> "Whitening":
        from safetensors import safe_open

        found = load_file(path)
        if set(found) != {"mean", "components", "eigenvalues"}:
            raise SafetensorError(f"it holds {', '.join(sorted(found))}")
        with safe_open(path, framework="pt") as file:
            whiten = (file.metadata() or {}).get("whiten") != "false"
        return cls.of(found["mean"], found["components"], found["eigenvalues"], whiten)
