"""TimeT's training transforms in the published order, on Pillow's own filters: exact, and several times slower.

Colours are changed and frames blurred at full size; then the shorter side is brought to the size, the crop is cut and
brought to the size too. The fast form (:mod:`telltime.views.timet`) cuts first and resizes once.
"""

import numpy as np
import torch
from numpy import ndarray
from PIL import Image, ImageFilter
from torch import Tensor

from telltime.views import colour
from telltime.views.timet import _OPERATIONS, short_side

MEAN = (0.485, 0.456, 0.406)
STD = (0.228, 0.224, 0.225)
"""What the published code takes off and divides by; the first deviation is a slip for 0.229, kept for parity."""

_NEAREST, _LINEAR = Image.Resampling.NEAREST, Image.Resampling.BILINEAR


def resize_short(frames: ndarray, size: int, nearest: bool = False) -> ndarray:
    """uint8 ``[T, H, W, 3]`` or labels ``[T, H, W]`` with the shorter side brought to ``size`` pixels."""
    height, width = frames.shape[1:3]
    return resize(frames, short_side(height, width, size), nearest)


def resize(frames: ndarray, shape: tuple[int, int], nearest: bool = False) -> ndarray:
    """uint8 ``[T, H, W, 3]`` or labels ``[T, H, W]`` brought to height and width ``shape``."""
    if frames.shape[1:3] == tuple(shape):
        return frames
    method = _NEAREST if nearest else _LINEAR
    return np.stack([np.asarray(Image.fromarray(f).resize((shape[1], shape[0]), method)) for f in frames])


def transform(frames: ndarray, draws: dict[str, ndarray], size: int) -> ndarray:
    """A clip as the published training sees it.

    Args:
        frames: uint8 ``[T, H, W, 3]``.
        draws: of :func:`telltime.views.timet.draw`, made for frames of this size.

    Returns:
        uint8 ``[T, size, size, 3]``.
    """
    return _cut(blurred(coloured(frames, draws), draws["blur"]), draws, size, nearest=False)


def transform_labels(labels: ndarray, draws: dict[str, ndarray], size: int) -> ndarray:
    """Labels uint8 ``[T, H, W]`` cut and mirrored as :func:`transform` does its frames: ``[T, size, size]``."""
    return _cut(labels, draws, size, nearest=True)


def coloured(frames: ndarray, draws: dict[str, ndarray]) -> ndarray:
    """Jitter and grey of uint8 ``[T, H, W, 3]``."""
    planes = torch.from_numpy(frames).movedim(-1, 0)[:, None].float()
    for number in draws["order"]:
        if number >= 0:
            _OPERATIONS[number](planes, torch.tensor([draws["factors"][number]], dtype=torch.float32))
    if draws["grey"]:
        colour.grey_(planes)
    return _pixels(planes)


def blurred(frames: ndarray, radii: ndarray) -> ndarray:
    """Each frame of uint8 ``[T, H, W, 3]`` under Pillow's Gaussian blur of its radius, where that is above 0."""
    filters = [ImageFilter.GaussianBlur(float(radius)) if radius > 0 else None for radius in radii]
    return np.stack(
        [np.asarray(Image.fromarray(f).filter(g)) if g else f for f, g in zip(frames, filters, strict=True)]
    )


def normalised(frames: ndarray) -> Tensor:
    """uint8 ``[T, H, W, 3]`` to float32 ``[T, 3, H, W]`` with :data:`MEAN` taken off, over :data:`STD`."""
    values = torch.from_numpy(frames).movedim(-1, 1).float() / 255
    return (values - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def _cut(frames: ndarray, draws: dict[str, ndarray], size: int, nearest: bool) -> ndarray:
    top, left, height, width = (int(number) for number in draws["box"])
    cut = resize_short(frames, size, nearest)[:, top : top + height, left : left + width]
    cut = resize(cut, (size, size), nearest)
    return np.ascontiguousarray(cut[:, :, ::-1]) if draws["flip"] else cut


def _pixels(planes: Tensor) -> ndarray:
    return planes[:, 0].movedim(0, -1).to(torch.uint8).numpy()
