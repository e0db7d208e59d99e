"""The comparator of ViSiL: a small network that reads the frame-by-frame similarity of two videos.

Source: Kordopatis-Zilos, Papadopoulos, Patras, Kompatsiaris, "ViSiL: Fine-grained Spatio-Temporal Video Similarity
Learning", ICCV 2019.
"""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

SHORTEST = 4
"""Frames a video needs for two poolings to leave one."""


class VideoComparator(nn.Module):
    """Similarity matrices ``[N, m, n]`` to refined ones ``[N, m // 4, n // 4]``.

    A side shorter than four frames is filled up with its last frame, which leaves every maximum as it is. State-dict
    keys are those of the published files (``conv1``, ``conv2``, ``conv3``, ``fconv``).

    Args:
        output: ``"unit"`` clamps to -1..1 and moves that to 0..1, as TCA has it; ``"tanh"`` only clamps, as ViSiL does.
            Rankings by Chamfer similarity are the same.
    """

    def __init__(self, output: Literal["unit", "tanh"] = "unit") -> None:
        super().__init__()
        if output not in ("unit", "tanh"):
            raise ValueError(f'output is "unit" or "tanh", not {output!r}')
        self.output = output
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.conv3 = nn.Conv2d(64, 128, 3)
        self.fconv = nn.Conv2d(128, 1, 1)

    def forward(self, similarities: Tensor) -> Tensor:
        """Float ``[N, m, n]``, rows the query's frames and columns the target's, to ``[N, m', n']``."""
        if similarities.ndim != 3 or not all(similarities.shape[1:]):
            raise ValueError(f"similarities must be [N, m, n] with frames on both sides, not {similarities.shape}")
        x = similarities[:, None]
        short = [max(0, SHORTEST - side) for side in x.shape[-2:]]
        if any(short):
            x = F.pad(x, (0, short[1], 0, short[0]), mode="replicate")
        x = F.max_pool2d(F.relu(self.conv1(_pad(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(_pad(x))), 2)
        x = self.fconv(F.relu(self.conv3(_pad(x)))).squeeze(1).clamp(-1, 1)
        return x / 2 + 0.5 if self.output == "unit" else x

    def score(self, similarities: Tensor, symmetric: bool = False) -> Tensor:
        """Chamfer similarity ``[N]`` of the refined matrices, from rows to columns.

        Args:
            symmetric: the mean with that of the transposed matrices, which go through the network too: its kernels are
                not symmetric.
        """
        forth = self(similarities).amax(2).mean(1)
        return (forth + self(similarities.mT).amax(2).mean(1)) / 2 if symmetric else forth


def _pad(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="replicate")
