"""A photo as it might have been taken a moment later: reframed a little, exposed and balanced a little otherwise."""

import numpy as np
import torch
from torch import Tensor

LEAST_SIDE = 0.85
"""Share of each side that is left at least."""

_EXPOSURE, _GAMMA, _BALANCE = 0.12, 0.12, 0.05


def altered(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """One altered version of a picture; it is never mirrored, which would put the sun on the other side.

    Exposure, gamma and each colour are scaled by factors whose logarithms are normal with small deviations.

    Args:
        picture: uint8 ``[3, H, W]``.

    Returns:
        uint8 ``[3, h, w]``, sides of at least :data:`LEAST_SIDE` of those given.
    """
    _, height, width = picture.shape
    share = rng.uniform(LEAST_SIDE, 1)
    sides = max(1, round(height * share)), max(1, round(width * share))
    top, left = (int(rng.integers(0, whole - side + 1)) for whole, side in zip((height, width), sides, strict=True))
    cut = picture[:, top : top + sides[0], left : left + sides[1]]
    gain = np.exp(rng.normal(0, _EXPOSURE) + rng.normal(0, _BALANCE, 3))
    power = np.exp(rng.normal(0, _GAMMA))
    levels = 255 * np.clip(gain[:, None] * (np.arange(256) / 255) ** power, 0, 1)
    tables = torch.from_numpy(levels.round().astype(np.uint8))
    return torch.stack([table[plane.long()] for table, plane in zip(tables, cut, strict=True)])
