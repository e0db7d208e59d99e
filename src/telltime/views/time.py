"""TIME's augmentation: its values, its random numbers, and what is done to whole batches of clips on the device.

As published, RandAugment changes the full frames, which are then scaled and cropped. Here the reader cuts the crop out
of the decoded frame first, and :func:`augment` changes ``S x S`` pixels alone; all frames of a clip change alike.
:mod:`telltime.views.time_published` keeps the published order, with its mistake.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.views import colour
from telltime.views.rand_augment import FILL, draw_operations, rand_augment_

Range = tuple[float, float]
CROPS = ("full", "reference")
_TRIES = 10


@dataclass(frozen=True)
class Values:
    """Ranges and probabilities; the defaults are those of TIME (ICML 2022).

    Attributes:
        operations: how many of RandAugment follow one another.
        p: probability of each of them.
        magnitude: how strong they are, with a normal ``spread``, cut to 0..10; as published always the strongest, which
            makes a clip black now and then.
        jitter: the frame's shorter side is scaled to a length in this range, in units of the clip's side; drawn such
            that one over it is uniform.
        p_flip: probability of a mirror image; a clip whose label knows left from right is never mirrored.
        p_erase: probability that a box of the clip turns grey.
        erase: area of the box as a share of the clip.
        erase_ratio: height over width of the box; its logarithm is drawn.
        mixup: clips are mixed with another of their batch, by shares drawn from a beta distribution whose two numbers
            are this; 0 for no mixing. A method has to mix the labels too (:func:`partners`).
    """

    operations: int = 2
    p: float = 0.5
    magnitude: float = 20.0
    spread: float = 0.5
    jitter: Range = (256 / 224, 320 / 224)
    p_flip: float = 0.0
    p_erase: float = 0.0
    erase: Range = (0.02, 1 / 3)
    erase_ratio: Range = (0.3, 10 / 3)
    mixup: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name in ("p", "p_flip", "p_erase") and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1, not {value}")
            if name in ("operations", "magnitude", "spread", "mixup") and value < 0:
                raise ValueError(f"{name} is at least 0, not {value}")
            if name in ("jitter", "erase", "erase_ratio"):
                object.__setattr__(self, name, tuple(value))
                if not 0 < value[0] <= value[1]:
                    raise ValueError(f"{name} is a range (low, high) above 0, not {value}")
        if self.jitter[0] < 1:
            raise ValueError(f"jitter is a range from 1 on, or the clip would be larger than the frame: {self.jitter}")
        if self.erase[1] > 1:
            raise ValueError(f"erase is a range within (0, 1], not {self.erase}")


PRESETS = {"paper": Values(), "clean": Values(magnitude=9.0), "none": Values(operations=0)}


def scaled_shape(height: int, width: int, short: int) -> tuple[int, int]:
    """Height and width once the shorter side is ``short`` pixels; the longer one is rounded down."""
    if min(height, width) == short:
        return height, width
    return (
        (math.floor(height / width * short), short) if width < height else (short, math.floor(width / height * short))
    )


def draw_window(
    rng: RandomState, jitter: Range, height: int, width: int, size: int, crop: Literal["full", "reference"] = "full"
) -> tuple[tuple[int, int], int, int]:
    """Shape a frame is scaled to, and top and left of the clip in it, drawn as published.

    With ``crop="reference"`` the last place is never drawn, as published.
    """
    short, long = (round(share * size) for share in jitter)
    shape = scaled_shape(height, width, round(1 / rng.uniform(1 / long, 1 / short)))
    spare = [length - size + (crop == "full") for length in shape]
    top, left = (int(rng.randint(0, room)) if room > 0 else 0 for room in spare)
    return shape, top, left


def even_windows(height: int, width: int, size: int, crops: int) -> list[tuple[int, int]]:
    """Top and left of ``crops`` test crops along the longer side of a scaled frame; a single one lies in the middle.

    Two lie at the ends, three at both ends and in the middle, as published.
    """
    middle = [math.ceil((length - size) / 2) for length in (height, width)]
    if crops == 1:
        return [(middle[0], middle[1])]
    spare = max(height, width) - size
    along = [middle[height <= width] if 2 * c == crops - 1 else round(c * spare / (crops - 1)) for c in range(crops)]
    return [(place, middle[1]) if height > width else (middle[0], place) for place in along]


def draw(rng: RandomState, values: Values, size: int) -> dict[str, ndarray]:
    """What :func:`augment` does to a clip; every number but ``mix`` is drawn whether used or not.

    Returns:
        ``operations`` int64 ``[K]``, places in :data:`telltime.views.rand_augment.OPERATIONS`, -1 for none, and their
        ``arguments`` float64 ``[K]``; ``flip`` bool ``[]``; ``erase`` int64 ``[4]``, top, left, height and width of the
        box, all 0 for none; with mixup ``mix`` float64 ``[]``, the clip's own share of what is seen, 0.5 at least.
    """
    numbers, told = draw_operations(rng, values.operations, values.p, values.magnitude, values.spread)
    flip = rng.uniform() < values.p_flip
    erased = rng.uniform() < values.p_erase
    box = _draw_box(rng, values, size)
    drawn = {
        "operations": np.array(numbers, dtype=np.int64),
        "arguments": np.array(told, dtype=np.float64),
        "flip": np.array(flip),
        "erase": np.array(box if erased else (0, 0, 0, 0), dtype=np.int64),
    }
    if values.mixup:
        share = rng.beta(values.mixup, values.mixup)
        drawn["mix"] = np.array(max(share, 1 - share))
    return drawn


def _draw_box(rng: RandomState, values: Values, size: int) -> tuple[int, int, int, int]:
    for _ in range(_TRIES):
        area = rng.uniform(*values.erase) * size * size
        ratio = math.exp(rng.uniform(math.log(values.erase_ratio[0]), math.log(values.erase_ratio[1])))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < height <= size and 0 < width <= size:
            return int(rng.randint(0, size - height + 1)), int(rng.randint(0, size - width + 1)), height, width
    return 0, 0, 0, 0


def augment(clips: Tensor, draws: dict[str, Tensor], chunk: int | None = None) -> Tensor:
    """RandAugment, mirror image, grey boxes, mixing and conversion to float, of clips already cropped.

    Args:
        clips: uint8 ``[B, T, 3, S, S]``, on any device.
        draws: of :func:`draw`, stacked along ``B``, **on the host**: which clips an operation touches is decided there.
            A key left out is an operation left out; others are passed over.
        chunk: clips worked on at once; by default 1 on the CPU, where a clip then stays in the cache, and 64 elsewhere.

    Returns:
        float32 ``[B, 3, T, S, S]`` in 0..1, no mean taken off; unless mixed, whole numbers over 255.
    """
    clips_count, frames, _, height, width = clips.shape
    out = torch.empty(clips_count, 3, frames, height, width, device=clips.device)
    step = chunk or (1 if clips.device.type == "cpu" else 64)
    for first in range(0, clips_count, step):
        rows = slice(first, first + step)
        planes = out[rows].transpose(0, 1)
        planes.copy_(clips[rows].movedim(2, 0))
        if "operations" in draws:
            rand_augment_(planes, draws["operations"][rows], draws["arguments"][rows])
        if "flip" in draws:
            colour.on_views_(planes, draws["flip"][rows], _mirror_, draws["flip"][rows])
        if "erase" in draws:
            for clip, (top, left, tall, wide) in enumerate(draws["erase"][rows].tolist()):
                if tall and wide:
                    planes[:, clip, :, top : top + tall, left : left + wide] = FILL
    out.div_(255)
    if "mix" in draws:
        share = draws["mix"].to(out).view(-1, 1, 1, 1, 1)
        out = torch.lerp(partners(out), out, share)
    return out


def partners(rows: Tensor) -> Tensor:
    """What each row of a batch is mixed with, of the same shape: the first with the last, and so on."""
    return rows.flip(0)


def _mirror_(planes: Tensor, _: Tensor) -> Tensor:
    return planes.copy_(planes.flip(-1))
