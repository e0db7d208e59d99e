"""TIME's training transforms in the published order, on Pillow's own filters: exact, and several times slower.

RandAugment works on the full frames, and by a slip takes other operations for the first frame than for the rest: every
operation sets the generators back to the clip's seed, but which operations come is drawn before that happens.
"""

from random import Random
from typing import Literal

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from telltime.views.geometry import window
from telltime.views.rand_augment import FILL, OPERATIONS, SIGNED, STRONGEST, argument
from telltime.views.time import Values, draw_window

_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
_GREY = (int(FILL),) * 3


def transform(
    frames: ndarray,
    dice: Random,
    rng: RandomState,
    values: Values,
    size: int,
    crop: Literal["full", "reference"] = "reference",
) -> Tensor:
    """A clip as the published training sees it, but for mean and deviation.

    Args:
        frames: uint8 ``[T, H, W, 3]``, RGB.
        dice, rng: Python's and NumPy's generators of the published code; RandAugment sets both to a seed of the clip.

    Returns:
        float32 ``[T, 3, size, size]`` in 0..255.
    """
    if values.operations:
        frames = rand_augmented(frames, dice, rng, values)
    shape, top, left = draw_window(rng, values.jitter, frames.shape[1], frames.shape[2], size, crop)
    return window(torch.from_numpy(frames).movedim(-1, 1), shape, top, left, size)


def rand_augmented(frames: ndarray, dice: Random, rng: RandomState, values: Values) -> ndarray:
    """uint8 ``[T, H, W, 3]`` under RandAugment as published."""
    seed = dice.randint(0, 100_000_000)
    changed = []
    for frame in frames:
        picture = Image.fromarray(frame)
        for number in rng.choice(len(OPERATIONS), values.operations):
            rng.seed(seed)
            dice.seed(seed)
            if dice.random() <= values.p:
                picture = _done(picture, OPERATIONS[number], dice, values)
        changed.append(np.asarray(picture))
    return np.stack(changed)


def _done(picture: Image.Image, name: str, dice: Random, values: Values) -> Image.Image:
    magnitude = dice.gauss(values.magnitude, values.spread) if values.spread else values.magnitude
    negative = name in SIGNED and dice.random() > 0.5
    told = argument(name, min(STRONGEST, max(0.0, magnitude)), negative)
    resample = dice.choice(_FILTERS) if name in _MATRIX or name == "rotate" else _FILTERS[0]
    if name == "rotate":
        return picture.rotate(told, resample, fillcolor=_GREY)
    if name in _MATRIX:
        width, height = picture.size
        matrix = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        matrix[_MATRIX[name]] = told * {"translate_x": width, "translate_y": height}.get(name, 1)
        return picture.transform(picture.size, Image.Transform.AFFINE, matrix, resample, fillcolor=_GREY)
    return pillow(picture, name, told)


_MATRIX = {"shear_x": 1, "shear_y": 3, "translate_x": 2, "translate_y": 5}
_ENHANCERS = {
    "saturation": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "brightness": ImageEnhance.Brightness,
    "sharpness": ImageEnhance.Sharpness,
}


def pillow(picture: Image.Image, name: str, told: float) -> Image.Image:
    """One operation that moves no pixel."""
    if name in _ENHANCERS:
        return _ENHANCERS[name](picture).enhance(told)
    if name == "posterize":
        return picture.point([value >> (8 - int(told)) << (8 - int(told)) for value in range(256)] * 3)
    if name == "solarize":
        return ImageOps.solarize(picture, int(told))
    if name == "solarize_add":
        return picture.point([min(255, value + int(told)) if value < 128 else value for value in range(256)] * 3)
    if name == "auto_contrast":
        return ImageOps.autocontrast(picture)
    return ImageOps.equalize(picture) if name == "equalize" else ImageOps.invert(picture)
