"""Colour changes of whole clips, in place, with the 8-bit arithmetic of Pillow.

Every function takes ``planes``, float32 ``[3, N, T, H, W]``: the colour planes of ``N`` views of ``T`` frames, holding
whole numbers from 0 to 255, and gives them back holding such numbers again. Factors are one per view, ``[N]``, so that
all frames of a view change alike. Grey values weigh the planes as red, green and blue, whatever the planes hold.

Results equal Pillow's (and torchvision's on Pillow images).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

_GREY = (19595.0, 38470.0, 7471.0)


def _per_view(factor: Tensor) -> Tensor:
    """``[N]`` to ``[N, 1, 1, 1]``."""
    return factor[:, None, None, None]


def grey(planes: Tensor) -> Tensor:
    """Luma ``[N, T, H, W]`` of the planes: ``(19595 R + 38470 G + 7471 B + 32768) >> 16``, exact in float32."""
    luma = planes[0] * _GREY[0]
    luma.add_(planes[1], alpha=_GREY[1]).add_(planes[2], alpha=_GREY[2]).add_(32768.0)
    return luma.mul_(2.0**-16).floor_()


def _blend_(planes: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """``other + factor (planes - other)``, clipped and cut to whole numbers: ``Image.blend``."""
    return planes.sub_(other).mul_(_per_view(factor)).add_(other).clamp_(0, 255).floor_()


def brightness_(planes: Tensor, factor: Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 changes nothing."""
    return planes.mul_(_per_view(factor)).clamp_(0, 255).floor_()


def contrast_(planes: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean grey of each frame (rounded): 0 is flat grey, 1 changes nothing."""
    mean = grey(planes).flatten(2).sum(2, dtype=torch.float64) / planes[0, 0, 0].numel()
    return _blend_(planes, (mean + 0.5).floor().to(planes.dtype)[:, :, None, None], factor)


def saturation_(planes: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey of each pixel: 0 is grey, 1 changes nothing."""
    return _blend_(planes, grey(planes), factor)


def grey_(planes: Tensor, gamma: Tensor | None = None) -> Tensor:
    """All planes grey; then, where ``gamma [N]`` is given, ``floor(255.999 (grey / 255)^gamma)``."""
    luma = grey(planes)
    if gamma is not None:
        levels = torch.arange(256, dtype=torch.float64, device=luma.device) / 255
        table = (levels ** gamma.double()[:, None]).mul_(255.999).floor_().to(luma.dtype)
        luma.add_(_per_view(256.0 * torch.arange(len(gamma), device=luma.device)))
        luma = table.flatten().index_select(0, luma.flatten().int()).view_as(luma)
    return planes.copy_(luma)


def drop_channel_(planes: Tensor, channel: Tensor) -> Tensor:
    """The plane ``channel [N]`` (int64) of each view set to 0."""
    kept = channel != torch.arange(3, device=channel.device)[:, None]
    return planes.mul_(kept.to(planes.dtype)[:, :, None, None, None])


def hue_(planes: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by ``shift [N]``, whole numbers of 1/256 of a turn (so that -1 and 255 are one).

    Hue and saturation are cut to 8 bits and back, as Pillow's HSV images hold them, so a shift of 0 changes values too.
    """
    red, green, blue = planes
    value = torch.maximum(torch.maximum(red, green), blue)
    least = torch.minimum(torch.minimum(red, green), blue)
    place = red.mul(511).add_(511 * 255 + 255).sub_(green, alpha=510).sub_(blue)
    hue = _hues(planes.device).index_select(0, place.flatten().int()).view_as(value)
    hue.add_(_per_view(shift))
    hue.sub_(torch.mul(hue, 1 / 256, out=place).floor_(), alpha=256).mul_(6 / 255)
    saturation = torch.sub(value, least, out=place).div_(least.copy_(value).clamp_(min=1)).double().mul_(255).floor_()
    depth = least.copy_(saturation).mul_(1 / 255).mul_(value)
    value.add_(0.5)
    # each plane falls from `value` by `depth` times a trapezium of the hue: 0 near the plane's own hue, 1 opposite
    for plane, (centre, first, sign) in zip(planes, ((3, 2, -1), (2, -1, 1), (4, -1, 1)), strict=True):
        share = torch.sub(hue, centre, out=plane).abs_().mul_(sign).add_(first).clamp_(0, 1)
        torch.sub(value, share.mul_(depth), out=plane).floor_()
    return planes


def on_views_(planes: Tensor, touched: Tensor, operation: Callable[..., Tensor], numbers: Tensor) -> None:
    """``operation``, in place, on the views that ``touched`` (bool ``[N]``, on the host) names, and on no other.

    Args:
        numbers: ``[N, ...]``, on the host; the operation gets those of its views, on the planes' device.
    """
    rows = touched.nonzero()[:, 0]
    if len(rows) == 0:
        return
    kind = torch.float32 if numbers.is_floating_point() else torch.int64
    numbers = numbers[rows].to(kind).to(planes.device, non_blocking=True)
    if len(rows) == planes.shape[1]:
        operation(planes, numbers)
    else:
        index = rows.to(planes.device, non_blocking=True)
        planes.index_copy_(1, index, operation(planes.index_select(1, index), numbers))


@cache
def _hues(device: torch.device) -> Tensor:
    """Pillow's 8-bit hue at ``511 (R - G + 255) + G - B + 255``, float32 ``[511 * 511]``: it depends on no more.

    Rounded to float32 exactly where Pillow's C code rounds: a bound missed would be a step of hue.
    """
    red_green, green_blue = np.ogrid[-255:256, -255:256]
    colours = np.stack(np.broadcast_arrays(red_green + green_blue, green_blue, 0)).astype(np.int64)
    away = colours.max(0) - colours
    red, green, blue = (away / np.maximum(away.max(0), 1)).astype(np.float32)
    two, four = 2.0 + red.astype(np.float64) - blue, 4.0 + green.astype(np.float64) - red
    sixth = np.select([away[0] == 0, away[1] == 0], [blue - green, two], four).astype(np.float32)
    turn = np.fmod(sixth / np.float64(6) + 1, 1).astype(np.float32)
    return torch.from_numpy(np.floor(turn * np.float64(255)).astype(np.float32).ravel()).to(device)
