"""One vector of a feature map: pure functions of maps ``[N, C, H, W]``, giving rows ``[N, C]`` of length 1.

In the formulas x is a map, p runs over its places, c over its channels.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, normalize

_LEAST = 1e-6


def mean(maps: Tensor) -> Tensor:
    """mean_p x[c, p]."""
    return normalize(maps.mean((2, 3)))


def mac(maps: Tensor) -> Tensor:
    """max_p x[c, p]: maximum activations of convolutions (Tolias et al., ICLR 2016)."""
    return normalize(maps.amax((2, 3)))


def imac(maps: Tensor) -> Tensor:
    """:func:`mac` of a map whose every place has length 1 (Kordopatis-Zilos et al., ICCV 2019)."""
    return mac(normalize(maps))


def rmac(maps: Tensor) -> Tensor:
    """L3-iRMAC of TCA (WACV 2021): the sum of the regions' maxima at level 3 only, each of length 1.

    Regions are squares of ``int(1.5 p)`` places, ``p = int(2 min(H, W) / 7)`` apart: 3 x 3 of them on a square map,
    more on a wide one. A map of fewer than 4 places a side is one region.
    """
    step = int(min(maps.shape[2:]) * 2 / 7)
    if step < 1:
        return imac(maps)
    regions = max_pool2d(normalize(maps), int(1.5 * step), step)
    return normalize(normalize(regions).sum((2, 3)))


def gem(maps: Tensor, p: float = 3.0) -> Tensor:
    """(mean_p max(x[c, p], 1e-6)^p)^(1/p): generalised mean (Radenovic et al., TPAMI 2019); 1 is the mean.

    Negative activations count as nothing.
    """
    powers = maps.clamp(min=_LEAST)
    powers = powers * powers * powers if p == 3 else powers.pow(p)
    return normalize(powers.mean((2, 3), dtype=torch.float32).pow(1 / p))


POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {"mac": mac, "imac": imac, "rmac": rmac, "gem": gem, "mean": mean}
"""By name, with their usual parameters."""
