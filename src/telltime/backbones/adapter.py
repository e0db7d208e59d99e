"""A small network on top of a frozen image encoder."""

from torch import Tensor, nn


class Adapter(nn.Module):
    """Two linear layers without bias, a ReLU after each: features that are never below 0.

    The names of its parameters are the published ones. Source: Lin, Hu, Jiao, "What Time Tells Us?", TMLR 2025.

    Args:
        dim: numbers of a feature, in and out.
        hidden: numbers between.
    """

    def __init__(self, dim: int = 768, hidden: int = 192) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.adapter = nn.Sequential(
            nn.Linear(dim, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, dim, bias=False), nn.ReLU()
        )

    def forward(self, features: Tensor) -> Tensor:
        """Float ``[N, dim]`` to ``[N, dim]``, not normalised."""
        return self.adapter(features)
