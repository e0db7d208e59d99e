"""TimeT's augmentation: its values, its random numbers, and its colour operations on whole batches of clips.

All frames of a clip are seen alike, but for the blur, which is drawn again for each. As published the frames are
changed in colour at their full size, then shrunk, cropped and shrunk again. Here the reader cuts the crop out of the
decoded frame first, which is several times faster, and :func:`augment` does the rest on the device, on ``S x S`` pixels
alone; :mod:`telltime.views.timet_published` keeps the published order.
"""

import math
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from torch import Tensor

from telltime.views import colour

JITTERS = ("brightness", "contrast", "saturation", "hue")
"""The operations of the colour jitter; :func:`draw` tells of them by their places here."""

_LISTED = (0, 2, 3, 1)
"""The order in which the published code lists them before it shuffles."""

_TRIES = 10
Range = tuple[float, float]


@dataclass(frozen=True)
class Values:
    """Ranges and probabilities; the defaults are those of TimeT (ICCV 2023).

    Attributes:
        p_jitter: probability that a clip's colours are jittered.
        brightness, contrast, saturation: a factor is drawn from 1 minus to 1 plus this, 0 at least.
        hue: a turn of the hue is drawn from minus to plus this, as a share of a full turn.
        jitter: ``"published"`` does only the last of the four shuffled operations, as the published code does by
            mistake; ``"all"`` does all four, one after the other.
        p_grey: probability that a clip turns grey.
        p_blur: probability that a clip is blurred.
        blur: standard deviation of the blur in pixels of the frame, drawn for each frame.
        scale: area of the crop as a share of the frame.
        ratio: width over height of the crop; its logarithm is drawn.
        p_flip: probability of a mirror image.
        drift: how far the crop wanders from the first frame to the last, at most, as a share of its own sides; for
            still pictures, which then pass by like a clip.
    """

    p_jitter: float = 0.8
    brightness: float = 0.8
    contrast: float = 0.8
    saturation: float = 0.8
    hue: float = 0.2
    jitter: Literal["published", "all"] = "published"
    p_grey: float = 0.2
    p_blur: float = 0.5
    blur: Range = (0.1, 2.0)
    scale: Range = (0.4, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    p_flip: float = 0.5
    drift: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.startswith("p_") and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1, not {value}")
            if name in (*JITTERS, "drift") and value < 0:
                raise ValueError(f"{name} is at least 0, not {value}")
            if name in ("blur", "scale", "ratio"):
                object.__setattr__(self, name, tuple(value))
                if value[0] > value[1] or value[0] < 0:
                    raise ValueError(f"{name} is a range (low, high) from 0 on, not {value}")
        if self.hue > 0.5:
            raise ValueError(f"hue is at most half a turn, not {self.hue}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1 or self.ratio[0] <= 0:
            raise ValueError(f"scale is a range within (0, 1] and ratio above 0, not {self.scale} and {self.ratio}")
        if self.jitter not in ("published", "all"):
            raise ValueError(f'jitter is "published" or "all", not {self.jitter!r}')


PRESETS = {"paper": Values(), "clean": Values(jitter="all"), "stills": Values(jitter="all", drift=0.5)}


def draw(rng: Random, values: Values, frames: int, height: int, width: int, size: int) -> dict[str, ndarray]:
    """What is done to a clip, in the published order of drawing; only whether it turns grey is drawn last.

    The published code asks another generator for that, and never mirrors a clip that has no masks.

    Args:
        frames: of the clip, ``T``.
        height, width: of its frames, in pixels.
        size: the side that the frames' shorter one is brought to, and that of the result, ``S``.

    Returns:
        ``order`` int64 ``[4]``, places in :data:`JITTERS` in the order of doing, -1 for none; ``factors`` float64
        ``[4]``, of each in :data:`JITTERS`, the hue's in whole 1/256 turns; ``grey`` and ``flip`` bool ``[]``; ``blur``
        float64 ``[T]``, deviations in pixels of the frame, 0 for none; ``box`` int64 ``[4]``, top, left, height and
        width of the crop in the frame scaled to :func:`short_side`'s shape; ``last`` int64 ``[4]``, the same for the
        last frame of a crop that wanders.
    """
    jittered = rng.random() < values.p_jitter
    order, factors = draw_jitter(rng, values) if jittered else (np.full(4, -1, dtype=np.int64), np.zeros(4))
    blurred = rng.random() < values.p_blur
    blur = np.array([rng.uniform(*values.blur) if blurred else 0.0 for _ in range(frames)])
    box = draw_box(rng, *short_side(height, width, size), values.scale, values.ratio)
    flip = rng.random() < values.p_flip
    grey = rng.random() < values.p_grey
    last = _wandered(rng, box, short_side(height, width, size), values.drift)
    return {
        "order": order,
        "factors": factors,
        "blur": blur,
        "box": np.array(box, dtype=np.int64),
        "last": np.array(last, dtype=np.int64),
        "flip": np.array(flip),
        "grey": np.array(grey),
    }


def draw_jitter(rng: Random, values: Values) -> tuple[ndarray, ndarray]:
    """``order`` and ``factors`` of a clip whose colours are jittered, as :func:`draw` gives them."""
    factors = np.zeros(len(JITTERS))
    for place, name in enumerate(JITTERS):
        reach = getattr(values, name)
        low, high = (-reach, reach) if name == "hue" else (max(0.0, 1 - reach), 1 + reach)
        factors[place] = rng.uniform(low, high)
    factors[3] = np.trunc(factors[3] * 255)
    order = list(_LISTED)
    rng.shuffle(order)
    if values.jitter == "published":
        order[:-1] = [-1] * (len(order) - 1)
    return np.array(order, dtype=np.int64), factors


def short_side(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width of a frame whose shorter side is brought to ``size``; the longer one is rounded down."""
    return (int(size * height / width), size) if width < height else (size, int(size * width / height))


def draw_box(rng: Random, height: int, width: int, scale: Range, ratio: Range) -> tuple[int, int, int, int]:
    """Top, left, height and width of a crop of a drawn share and shape; after ten that do not fit, the central one."""
    for _ in range(_TRIES):
        area = rng.uniform(*scale) * height * width
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        columns, rows = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < columns <= width and 0 < rows <= height:
            return rng.randint(0, height - rows), rng.randint(0, width - columns), rows, columns
    rows, columns = height, width
    if width / height < ratio[0]:
        rows = max(1, round(width / ratio[0]))
    elif width / height > ratio[1]:
        columns = max(1, round(height * ratio[1]))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


Box = tuple[int, int, int, int]


def _wandered(rng: Random, box: Box, shape: tuple[int, int], drift: float) -> Box:
    """A box of the same size, moved by a drawn share of it and kept within the frame; nothing is drawn for none."""
    if not drift:
        return box
    moved = [place + round(rng.uniform(-drift, drift) * side) for place, side in zip(box[:2], box[2:], strict=True)]
    top, left = (min(max(0, place), whole - side) for place, side, whole in zip(moved, box[2:], shape, strict=True))
    return top, left, *box[2:]


_OPERATIONS = (colour.brightness_, colour.contrast_, colour.saturation_, colour.hue_)


def augment(clips: Tensor, draws: dict[str, Tensor], chunk: int | None = None) -> Tensor:
    """Jitter, grey, blur and mirror image of clips already cropped.

    Args:
        clips: uint8 ``[B, T, 3, S, S]``, on any device.
        draws: of :func:`draw`, stacked along ``B``, **on the host**: which clips an operation touches is decided there.
            ``blur`` is in pixels of the clip. A key left out is an operation left out; others are passed over.
        chunk: clips worked on at once; by default 1 on the CPU, where a clip then stays in the cache, and 64 elsewhere.

    Returns:
        uint8 ``[B, T, 3, S, S]``; the input is left as it is.
    """
    out = torch.empty_like(clips)
    step = chunk or (1 if clips.device.type == "cpu" else 64)
    for first in range(0, len(clips), step):
        rows = slice(first, first + step)
        planes = clips[rows].movedim(2, 0).float()
        _coloured(planes, {key: value[rows] for key, value in draws.items()})
        if "flip" in draws:
            planes = torch.where(_facing(draws["flip"][rows], planes), planes.flip(-1), planes)
        out[rows] = planes.movedim(0, 2).to(torch.uint8)
    return out


def _coloured(planes: Tensor, draws: dict[str, Tensor]) -> None:
    """Jitter, grey and blur of planes ``[3, n, T, H, W]``, in place."""
    if "order" in draws:
        for place in range(len(JITTERS)):
            for number, operation in enumerate(_OPERATIONS):
                colour.on_views_(planes, draws["order"][:, place] == number, operation, draws["factors"][:, number])
    if "grey" in draws:
        colour.on_views_(planes, draws["grey"], lambda these, _: colour.grey_(these), draws["grey"])
    if "blur" in draws:
        colour.on_views_(planes, (draws["blur"] > 0).any(1), blur_, draws["blur"])


def blur_(planes: Tensor, deviations: Tensor) -> Tensor:
    """A Gaussian blur, in place, its edges held; float32 ``[3, N, T, H, W]`` by pixels ``[N, T]``, 0 for none.

    Pillow's ``GaussianBlur`` approximates the same by boxes; the two are within 3 of 255 up to a deviation of 2.
    """
    reach = max(1, math.ceil(3 * float(deviations.max())))
    places = torch.arange(-reach, reach + 1, device=planes.device)
    spread = deviations.flatten().clamp(min=1e-3).to(planes)
    weights = torch.exp(-0.5 * (places / spread[:, None]) ** 2)
    weights /= weights.sum(1, keepdim=True)
    frames = planes.movedim(0, 2).reshape(1, -1, *planes.shape[-2:])
    kernels = weights.repeat_interleave(len(planes), 0)[:, None]
    for kernel, sides in ((kernels[..., None], (0, 0, reach, reach)), (kernels[:, :, None], (reach, reach, 0, 0))):
        frames = F.conv2d(F.pad(frames, sides, mode="replicate"), kernel, groups=frames.shape[1])
    blurred = frames.add_(0.5).clamp_(0, 255).floor_().view(*planes.shape[1:3], len(planes), *planes.shape[-2:])
    return planes.copy_(blurred.movedim(2, 0))


def _facing(flip: Tensor, planes: Tensor) -> Tensor:
    return flip.to(planes.device, non_blocking=True)[:, None, None, None]
