"""Masks of a first frame carried through a video by the likeness of its places, a frame at a time.

>>> for labels in propagate(encoder, video, {0: first}, preset("dino")):        # uint8 [H, W], frame by frame
...     ...

Only the features of the last few frames are held, so that a video may be of any length. Source of the protocol: Caron
et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, after Jabri et al., NeurIPS 2020.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.backbones.dense import EMBEDDED, DenseEncoder
from telltime.clips.masks import labels_present, nearest
from telltime.features.dense import VIDEO_DEVIATION
from telltime.features.fine_grid import fine_grid, looked_at
from telltime.losses.forwarding import Forwarder, min_max
from telltime.views.dense import resized, upsampled

FIRST = ("nearest", "area")


@dataclass(frozen=True)
class Settings:
    """How masks are carried; the defaults are those of DINO's published protocol.

    Attributes:
        side: shorter side in pixels that frames are brought to.
        multiple: their longer side becomes a multiple of this, the next below.
        cell: pixels a place of the grid stands for; ``None``: the encoder's stride. See
            :mod:`telltime.features.fine_grid` for how grids are made finer.
        first: what a place of the first frame is told: ``"nearest"``, the label at its centre, or ``"area"``, the share
            of it that each label has.
        last_frames, radius, topk, temperature: see :class:`telltime.losses.forwarding.Forwarder`; the radius is in
            places of the grid.
        stretch: each label's scores are stretched to 0..1 in every frame before the largest is taken.
        video_deviation: divide by the deviations that published programs have for videos, where the encoder has those
            of ImageNet.
    """

    side: int = 480
    multiple: int = 64
    cell: int | None = None
    first: str = "nearest"
    last_frames: int = 7
    radius: int = 12
    topk: int = 5
    temperature: float = 0.1
    stretch: bool = True
    video_deviation: bool = True

    def __post_init__(self) -> None:
        if self.first not in FIRST:
            raise ValueError(f"first is one of {', '.join(FIRST)}, not {self.first!r}")
        if min(self.side, self.multiple, self.cell or 1) < 1:
            raise ValueError("side, multiple and cell are at least 1 pixel")
        if self.multiple > self.side:
            raise ValueError(f"a side of {self.side} pixels is shorter than the multiple of {self.multiple}")


_PRESETS = {"dino": Settings(), "fine": Settings(cell=8, first="area", topk=10)}
PRESETS = tuple(_PRESETS)
"""``dino``: as published. ``fine``: places of 8 pixels, of which 10 are asked as there are more to an object, and which
know how much of them an object has in the first frame."""


def preset(name: str, **changed: Any) -> Settings:
    """The settings of a preset, some of them changed.

    Raises:
        ValueError: there is no such preset, or a value is out of range.
    """
    if name not in _PRESETS:
        raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {name!r}")
    return replace(_PRESETS[name], **changed)


def usual_preset(encoder: DenseEncoder) -> str:
    """The preset that is recommended for an encoder: ``fine`` for the embedded one, else as published."""
    return "fine" if encoder.name == EMBEDDED else "dino"


def seen_size(size: tuple[int, int], settings: Settings) -> tuple[int, int]:
    """Height and width that frames of ``size`` are brought to, before a grid is made finer by enlarging them."""
    short, long = min(size), max(size)
    longer = max(settings.side * long // short // settings.multiple, 1) * settings.multiple
    return (settings.side, longer) if size[0] <= size[1] else (longer, settings.side)


def propagate(
    encoder: DenseEncoder,
    frames: Iterable[Tensor],
    given: Mapping[int, np.ndarray],
    settings: Settings | None = None,
    batch: int = 4,
) -> Iterator[np.ndarray]:
    """The labels of each frame of a video, as it passes.

    Args:
        encoder: on the device to compute on.
        frames: uint8 ``[3, H, W]`` RGB, all of one size.
        given: frame number, counted from the first of ``frames``, to the labels uint8 ``[H, W]`` that are told there:
            0 background, 255 unknown. That of frame 0 must be there. A later one tells of objects that come in then,
            which no earlier one may name.
        settings: by default those of :func:`usual_preset`.
        batch: frames encoded at a time.

    Yields:
        uint8 ``[H, W]``, one for every frame; that of frame 0 is as given.

    Raises:
        ValueError: no labels of the first frame, labels of another size than the frames', or an object told twice.
    """
    settings = settings or preset(usual_preset(encoder))
    if 0 not in given:
        raise ValueError("labels of frame 0 are needed to carry on")
    source, number, carrier = iter(frames), 0, None
    while some := list(islice(source, batch)):
        size = (int(some[0].shape[-2]), int(some[0].shape[-1]))
        carrier = carrier or Carrier(settings, size)
        for grid in _grids(encoder, torch.stack(some), settings):
            yield carrier.step(grid, given.get(number))
            number += 1


class Carrier:
    """Labels carried from frame to frame.

    Objects that are told in different frames are carried apart, each lot beside a background of its own; a pixel is
    background where all lots say so.

    Args:
        settings: how.
        size: height and width of the frames.
    """

    def __init__(self, settings: Settings, size: tuple[int, int]) -> None:
        self.settings, self.size = settings, size
        self._seen = seen_size(size, settings)
        self._lots: list[tuple[list[int], Forwarder]] = []

    @property
    def objects(self) -> list[int]:
        """Labels told so far."""
        return [label for objects, _ in self._lots for label in objects]

    def step(self, grid: Tensor, given: np.ndarray | None = None) -> np.ndarray:
        """Grid ``[C, h, w]`` of the next frame, and labels told in it, to its labels; both uint8 ``[H, W]``."""
        labels = self._carried(grid[None])
        if given is None:
            return labels
        if given.shape != self.size:
            raise ValueError(f"labels are {list(given.shape)} where the frames are {list(self.size)}")
        objects = labels_present(given)
        if known := [label for label in objects if label in self.objects]:
            raise ValueError(f"object {known[0]} is told a second time")
        if not objects:
            return labels
        first = first_map(given, objects, (int(grid.shape[-2]), int(grid.shape[-1])), self.settings.first)
        s = self.settings
        lot = Forwarder(grid[None], first[None].to(grid), s.last_frames, s.radius, s.topk, s.temperature)
        told = np.isin(given, objects)
        self._lots.append((objects, lot))
        return np.where(told, given, labels)

    def _carried(self, grid: Tensor) -> np.ndarray:
        if not self._lots:
            return np.zeros(self.size, dtype=np.uint8)
        backgrounds, fronts = [], []
        for _, lot in self._lots:
            scores = upsampled(lot.step(grid), self._seen)[0]
            scores = min_max(scores) if self.settings.stretch else scores
            backgrounds.append(scores[:1])
            fronts.append(scores[1:])
        background = torch.stack(backgrounds).amin(0)
        best = torch.cat([background, *fronts]).argmax(0)
        names = torch.tensor([0, *self.objects], dtype=torch.uint8, device=best.device)
        return nearest(names[best].cpu().numpy(), self.size)


def first_map(labels: np.ndarray, objects: list[int], grid: tuple[int, int], how: str = "nearest") -> Tensor:
    """How much each place belongs to the background and to each object: float32 ``[1 + objects, h, w]``.

    Args:
        labels: uint8 ``[H, W]``; what is neither 0 nor an object belongs to nothing.
        how: one of :data:`FIRST`.
    """
    wanted = np.array([0, *objects], dtype=np.uint8)
    if how == "nearest":
        return torch.from_numpy((nearest(labels, grid) == wanted[:, None, None]).astype(np.float32))
    maps = torch.from_numpy((labels == wanted[:, None, None]).astype(np.float32))
    return F.adaptive_avg_pool2d(maps, grid)


@torch.inference_mode()
def _grids(encoder: DenseEncoder, frames: Tensor, settings: Settings) -> Tensor:
    size = seen_size((int(frames.shape[-2]), int(frames.shape[-1])), settings)
    seen = resized(frames.to(encoder.std.device), size)
    images = encoder.prepare(resized(seen, looked_at(encoder, size, settings.cell)))
    if settings.video_deviation and has_imagenet_deviation(encoder):
        images = images * (encoder.std / encoder.std.new_tensor(VIDEO_DEVIATION).view(3, 1, 1))
    with torch.autocast("cuda", torch.bfloat16) if images.is_cuda else nullcontext():
        return fine_grid(encoder, seen, settings.cell, images)


def has_imagenet_deviation(encoder: DenseEncoder) -> bool:
    """Whether pictures are divided by the usual standard deviations of ImageNet."""
    return torch.allclose(encoder.std.flatten().cpu(), torch.tensor((0.229, 0.224, 0.225)), atol=1e-6)
