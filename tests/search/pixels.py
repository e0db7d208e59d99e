"""A describer that needs no network: a frame is its pixels, made small."""

from typing import Any

import torch
from torch import Tensor, nn

from telltime.backbones.whitening import Whitening
from telltime.checkpoints.describer import Describer


class Pixels(nn.Module):
    """Frames uint8 ``[N, 3, H, W]`` to the means of their 8 x 8 parts, the mean of all taken off."""

    def __init__(self, size: int = 32, crop: float = 1.0, grey: bool = False) -> None:
        super().__init__()
        self.size, self.crop, self.grey, self.scaling = size, crop, grey, "antialiased"
        self.dim = 64 if grey else 192
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, frames: Tensor) -> Tensor:
        small = nn.functional.adaptive_avg_pool2d(frames.float() / 255, 8)
        small = small.mean(1, keepdim=True) if self.grey else small
        return (small - small.mean((2, 3), keepdim=True)).flatten(1)


def pixels(**arguments: Any) -> Describer:
    """The describer; other arguments make another one."""
    return Describer(Pixels(**arguments), meta={"source": "pixels"})  # type: ignore[arg-type]


def whitened(dim: int = 16) -> Describer:
    """One that brings its own whitening."""
    rows = torch.randn(400, 192, generator=torch.Generator().manual_seed(0))
    return Describer(Pixels(), Whitening.fit([rows], dim), meta={"source": "whitened"})  # type: ignore[arg-type]


def main(where: str, *paths: str) -> None:
    """Index ``paths``, a commit for each video, and tell of every one."""
    from telltime.search import writing
    from telltime.search.index import Index

    writing.COMMIT_VIDEOS = 1
    torch.set_num_threads(1)
    Index(where, pixels()).add(paths, progress=lambda what, done, total: print(done, total, flush=True))
