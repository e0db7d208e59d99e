"""Which places stand in the foreground, by a transformer's attention.

Source: Caron et al. (DINO, ICCV 2021) for the share of attention kept; Ziegler and Asano (Leopart, CVPR 2022) and
Salehi et al., "Time Does Tell", ICCV 2023, for the blur and the size of what is dropped.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_REACH = 3


@torch.no_grad()
def attention_mask(attention: Tensor, keep: float = 0.65, blur: float = 0.6) -> Tensor:
    """The places that hold the largest attentions, without the smallest islands.

    Attention is averaged over heads and blurred (7 x 7, mirrored at the edge); the places with the largest values that
    together hold a share ``keep`` are kept, and islands of one or two places, corners touching, are dropped. Nothing
    waits for the device.

    Args:
        attention: ``[N, heads, h, w]``, of the class token to the patches, at least 0.
        keep: share of the attention, 0 to 1.
        blur: standard deviation in places, above 0.

    Returns:
        bool ``[N, 1, h, w]``.
    """
    mean = _blurred(attention.float().mean(1, keepdim=True), blur)
    values, order = mean.flatten(1).sort(1)
    mass = (values / values.sum(1, keepdim=True)).cumsum(1)
    kept = torch.zeros_like(mass, dtype=torch.bool).scatter_(1, order, mass > 1 - keep)
    return without_islands(kept.view_as(mean))


def without_islands(mask: Tensor) -> Tensor:
    """bool ``[N, 1, h, w]`` without parts of one or two places; places that touch at a corner are of one part."""
    window = torch.ones(1, 1, 3, 3, device=mask.device)
    window[..., 1, 1] = 0
    here = mask.float()
    neighbours = F.conv2d(here, window, padding=1)
    ends = here * (neighbours == 1)
    pairs = (ends > 0) & (F.conv2d(ends, window, padding=1) == 1)
    return mask & (neighbours > 0) & ~pairs


def _blurred(maps: Tensor, deviation: float) -> Tensor:
    height, width = maps.shape[-2:]
    places = torch.arange(-_REACH, _REACH + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (places / deviation) ** 2)
    kernel = kernel / kernel.sum()
    down, right = (min(_REACH, side - 1) for side in (height, width))
    maps = F.pad(F.pad(maps, (right, right, down, down), mode="reflect"), (_REACH - right,) * 2 + (_REACH - down,) * 2)
    return F.conv2d(F.conv2d(maps, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
