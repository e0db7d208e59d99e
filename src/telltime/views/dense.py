"""Frames at the sizes that dense features are computed at."""

import torch
import torch.nn.functional as F
from torch import Tensor


def squared(frames: Tensor, size: int) -> Tensor:
    """uint8 ``[N, 3, H, W]`` squashed to ``[N, 3, size, size]``, bilinear, antialiased."""
    return resized(frames, (size, size))


def resized(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 ``[N, 3, H, W]`` to height and width ``size``, bilinear, antialiased."""
    if tuple(frames.shape[-2:]) == tuple(size):
        return frames
    return F.interpolate(frames, size, mode="bilinear", antialias=True, align_corners=False)


def upsampled(scores: Tensor, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Float grids ``[N, K, h, w]`` to ``[N, K, H, W]``, bilinear, corners not aligned."""
    return F.interpolate(scores.to(dtype), size, mode="bilinear", align_corners=False)
