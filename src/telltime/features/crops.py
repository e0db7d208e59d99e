"""Random parts of annotated frames, turned and recoloured, with their labels: what probes learn from."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor

from telltime.clips.item import item_rng
from telltime.datasets.record import Record
from telltime.features.dense import Alter
from telltime.views import colour
from telltime.views.dense import resized
from telltime.views.geometry import crop, random_box


@dataclass(frozen=True)
class Crops:
    """What is drawn anew for every frame.

    Attributes:
        scale: least and largest share of the picture's area; above 1 a part cannot fit, and the picture is taken whole
            as far as its sides allow.
        flip: chance of a mirror image.
        jitter: brightness, contrast, saturation (times 1 - j to 1 + j) and hue (-j to j turns) change by at most this,
            each with a chance of a half, in this order.
    """

    scale: tuple[float, float]
    flip: float = 0.0
    jitter: float = 0.0

    def of(self, seed: int, epoch: int, size: int | tuple[int, int], labels: int | tuple[int, int] | None) -> Alter:
        """For :func:`telltime.features.dense.see`; what is drawn depends on seed, epoch and the record's id alone.

        Args:
            size: height and width of the frames it gives, or one number.
            labels: the same of labels, taken by nearest pixel.
        """
        side = _pair(size)
        small = None if labels is None else _pair(labels)

        def alter(record: Record, frames: Tensor, truth: np.ndarray | None) -> tuple[Tensor, np.ndarray | None]:
            rng = item_rng(seed, epoch, record.id)
            made = torch.empty(len(frames), 3, *side, dtype=torch.uint8)
            height, width = frames.shape[-2:]
            masks = None if small is None else np.empty((len(frames), *small), dtype=np.uint8)
            for i in range(len(frames)):
                box = random_box(rng, height, width, self.scale)
                turned = rng.random_sample() < self.flip
                one = resized(crop(frames[i : i + 1], *box), side)
                one = recoloured(one, rng, self.jitter) if self.jitter else one
                made[i] = (one.flip(-1) if turned else one)[0]
                if masks is not None and small is not None and truth is not None:
                    part = nearest(truth[i, box[0] : box[0] + box[2], box[1] : box[1] + box[3]], small)
                    masks[i] = part[:, ::-1] if turned else part
            return made, masks

        return alter


def recoloured(frame: Tensor, rng: RandomState, most: float) -> Tensor:
    """One frame uint8 ``[1, 3, H, W]`` with colours changed by at most ``most``, as :class:`Crops` says."""
    planes = frame.movedim(1, 0)[:, :, None].float()
    for change in (colour.brightness_, colour.contrast_, colour.saturation_):
        applied, factor = rng.random_sample() < 0.5, rng.uniform(1 - most, 1 + most)
        planes = change(planes, planes.new_tensor([factor])) if applied else planes
    applied, turn = rng.random_sample() < 0.5, rng.uniform(-most, most)
    planes = colour.hue_(planes, planes.new_tensor([math.trunc(turn * 255)])) if applied else planes
    return planes[:, :, 0].movedim(0, 1).to(torch.uint8)


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels ``[..., H, W]`` brought to another size, each new pixel by the old one at its top left corner."""
    rows, columns = (nearest_places(old, new) for old, new in zip(labels.shape[-2:], size, strict=True))
    return labels[..., rows[:, None], columns]


def nearest_places(old: int, new: int) -> np.ndarray:
    """Which of ``old`` pixels each of ``new`` ones is taken from: int64 ``[new]``."""
    return np.arange(new) * old // new


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size
