"""TICL's encoder of times: classes of the day to vectors that photos are compared with.

Source: Lin, Hu, Jiao, "What Time Tells Us?", TMLR 2025. The names of its parameters are the published ones.
"""

from typing import cast

import torch
from torch import Tensor, nn

_WIDTHS = ((512, 0.1), (1024, 0.3), (1024, 0.3), (1024, 0.1))


class TimeEncoder(nn.Module):
    """One-hot classes through four layers with batch norm and dropout, and a linear one.

    Args:
        classes: equal parts of the day.
        dim: numbers of a vector.
        dropout: scales the published shares of dropout (0.1 to 0.3); 0 leaves it out.
    """

    def __init__(self, classes: int = 24, dim: int = 768, dropout: float = 1.0) -> None:
        super().__init__()
        self.classes, self.dim, self.dropout = classes, dim, dropout
        self.TimeEnc = _Capsule(classes, dim, dropout)

    def forward(self, rows: Tensor, counts: Tensor | None = None) -> Tensor:
        """Float ``[M, classes]`` to vectors ``[M, dim]``, not normalised.

        Args:
            counts: how often each row stands for itself ``[M]``: batch norm in training mode takes its moments as if
                the rows were repeated so often. A row of count 0 has no say.
        """
        return self.TimeEnc(rows, counts)

    def gallery(self, counts: Tensor | None = None) -> Tensor:
        """The vectors of all classes, ``[classes, dim]``."""
        weight = cast(Tensor, self.TimeEnc.head[0].weight)
        return self(torch.eye(self.classes, device=weight.device, dtype=weight.dtype), counts)


class _Capsule(nn.Module):
    def __init__(self, classes: int, dim: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = classes
        for width, share in _WIDTHS:
            layers += [nn.Linear(before, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(share * dropout)]
            before = width
        self.capsule = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.Linear(before, dim))

    def forward(self, rows: Tensor, counts: Tensor | None) -> Tensor:
        for layer in self.capsule:
            weighted = counts is not None and isinstance(layer, nn.BatchNorm1d) and layer.training
            rows = _weighted_norm(layer, rows, counts) if weighted else layer(rows)  # type: ignore[arg-type]
        return self.head(rows)


def _weighted_norm(norm: nn.BatchNorm1d, rows: Tensor, counts: Tensor) -> Tensor:
    """Batch norm in training mode of rows that are repeated ``counts`` times each, running statistics included."""
    counts = counts.to(rows.dtype)
    total = counts.sum()
    share = (counts / total)[:, None]
    mean = (share * rows).sum(0)
    spread = (share * (rows - mean) ** 2).sum(0)
    with torch.no_grad():
        tracked, average, variance = (
            cast(Tensor, getattr(norm, name)) for name in ("num_batches_tracked", "running_mean", "running_var")
        )
        tracked.add_(1)
        average.lerp_(mean.to(average.dtype), cast(float, norm.momentum))
        variance.lerp_((spread * total / (total - 1).clamp_min(1)).to(variance.dtype), cast(float, norm.momentum))
    return (rows - mean) * torch.rsqrt(spread + norm.eps) * norm.weight + norm.bias
