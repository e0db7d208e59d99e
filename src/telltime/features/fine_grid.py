"""Grids of features finer than an encoder's own.

A convolutional network has finer maps in front of the one it is named by: each is brought to unit length at its places,
they are brought to one grid and put side by side. A transformer has none; the picture is enlarged for it instead.
"""

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.views.dense import resized, upsampled

if TYPE_CHECKING:
    from telltime.backbones.dense import DenseEncoder


def stages_between(encoder: "DenseEncoder", cell: int) -> list[int]:
    """Feature maps of a convolutional network from ``cell`` pixels a place to the encoder's own, finest first."""
    last = {int(each["reduction"]): i for i, each in enumerate(getattr(encoder.network, "feature_info", ()))}
    return [last[pixels] for pixels in sorted(last) if cell <= pixels <= encoder.stride]


def is_fine(encoder: "DenseEncoder", cell: int) -> bool:
    """Whether the network has a map of ``cell`` pixels a place of its own."""
    if encoder.stride == cell:
        return True
    reductions = {int(each["reduction"]) for each in getattr(encoder.network, "feature_info", ())}
    return len(reductions) > 1 and cell in reductions


def looked_at(encoder: "DenseEncoder", size: tuple[int, int], cell: int | None) -> tuple[int, int]:
    """Height and width to give a picture of ``size`` so that a place of its grid is ``cell`` of its pixels."""
    if cell is None or is_fine(encoder, cell):
        return size
    height, width = (max(1, round(side / cell)) * encoder.stride for side in size)
    return height, width


def fine_grid(encoder: "DenseEncoder", frames: Tensor, cell: int | None = None, images: Tensor | None = None) -> Tensor:
    """Frames to grids of unit vectors.

    Args:
        encoder: that looks at them.
        frames: uint8 ``[N, 3, H, W]``.
        cell: pixels of these frames that a place stands for; ``None``: the encoder's stride.
        images: the frames as already prepared for the encoder, where that was done otherwise than usual.

    Returns:
        float32 ``[N, C, H / cell, W / cell]``.
    """
    size = (int(frames.shape[-2]), int(frames.shape[-1]))
    if images is None:
        images = encoder.prepare(resized(frames, looked_at(encoder, size, cell)))
    if cell is None or cell == encoder.stride or not is_fine(encoder, cell):
        return F.normalize(encoder(images).float(), dim=1)
    maps = encoder.network.forward_intermediates(
        images,
        indices=stages_between(encoder, cell),
        stop_early=True,
        output_fmt="NCHW",
        intermediates_only=True,
    )
    finest = (int(maps[0].shape[-2]), int(maps[0].shape[-1]))
    parts = [F.normalize(upsampled(each, finest), dim=1) for each in maps]
    return torch.cat(parts, dim=1) / len(parts) ** 0.5
