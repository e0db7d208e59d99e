"""How an open video becomes a clip of TIME, or all its test clips: few frames, small pixels out."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.clips.item import Item
from telltime.clips.segments import even_frames, random_frames
from telltime.media.errors import TooShort
from telltime.media.video import Video
from telltime.views.dense import resized
from telltime.views.geometry import Window, crop, empty_clips
from telltime.views.time import CROPS, PRESETS, Values, augment, draw, draw_window, even_windows, scaled_shape
from telltime.views.time_published import transform
from telltime.views.timet_reader import _standing_in, _whole

PIPELINES = ("crop-first", "published")


@dataclass(frozen=True)
class TimeReader:
    """One clip of a video: a frame of each of ``T`` segments, one crop for all.

    An item holds ``clips`` uint8 ``[T, 3, S, S]``, RGB, already cropped; ``frames`` int64 ``[T]``, which of the video
    they are; and what :func:`telltime.views.time.augment` has still to do: ``operations``, ``arguments``, ``flip``,
    ``erase`` and, with mixup, ``mix``. With ``flow`` all that is done here already, so that ``flow`` int64
    ``[T - 1, h * w]`` tells the directions of the clip as it is seen.

    Attributes:
        size: height and width of a clip, ``S``.
        frames: frames of a clip, ``T``.
        values: what is drawn and how often, or the name of a preset: ``"paper"``, ``"clean"`` with a milder
            RandAugment, ``"none"`` without.
        crop: ``"full"``, or ``"reference"`` where the last row and column are never seen, as published.
        flow: give directions of patches too. They cost more than the rest together; without, a method that wants them
            estimates them on its device.
        patch: side of a patch in pixels, for ``flow``.
        flow_floor: pixels a patch must move not to count as still, for ``flow``.
        antialias: filter frames that are made smaller, unlike the published code.
        short: a video of fewer frames than the clip gives some of them twice with ``"repeat"``, as published; with
            ``"drop"`` it is refused.
        pipeline: ``"crop-first"`` cuts the crop out of the decoded frame, the rest follows on the device;
            ``"published"`` does everything here, in the published order, on Pillow's filters, other operations on the
            first frame than on the rest included.
    """

    size: int = 224
    frames: int = 8
    values: Values | str = "clean"
    crop: Literal["full", "reference"] = "full"
    flow: bool = False
    patch: int = 16
    flow_floor: float = 0.0
    antialias: bool = True
    short: Literal["repeat", "drop"] = "repeat"
    pipeline: Literal["crop-first", "published"] = "crop-first"

    def __post_init__(self) -> None:
        if min(self.size, self.frames, self.patch) < 1:
            raise ValueError(f"size, frames and patch are at least 1, not {self.size}, {self.frames} and {self.patch}")
        for name, value, allowed in (
            ("crop", self.crop, CROPS),
            ("short", self.short, ("repeat", "drop")),
            ("pipeline", self.pipeline, PIPELINES),
            ("values", self.values if isinstance(self.values, str) else "paper", tuple(PRESETS)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        if isinstance(self.values, str):
            object.__setattr__(self, "values", PRESETS[self.values])
        values: Any = self.values
        if self.flow and (values.p_flip or values.mixup):
            raise ValueError(
                "directions are told before clips are mirrored or mixed: with flow, p_flip and mixup are 0"
            )
        if self.flow and (self.size % self.patch or self.frames < 2):
            raise ValueError(
                f"flow takes 2 frames or more and whole patches, not {self.frames} and {self.size} / {self.patch}"
            )

    def __call__(self, video: Video, rng: RandomState) -> Item:
        """Read and cut one clip; a frame that does not decode is replaced by the nearest before it that does.

        Raises:
            TooShort: the video has fewer frames than the clip, and ``short="drop"``.
            Unreadable: none of the clip's frames decodes.
            MediaError: the file cannot be read.
        """
        values: Any = self.values
        probe = video.probe()
        _long_enough(video, probe.frames, self.frames, self.short)
        dice = Random(rng.bytes(16))
        wanted = random_frames(probe.frames, self.frames, dice)
        drawn = draw(rng, values, self.size)
        if self.pipeline == "published":
            whole = _whole(video, wanted)
            exact = transform(whole, dice, rng, values, self.size, self.crop)
            clips = exact.add(0.5).floor_().to(torch.uint8)
            drawn = {name: number for name, number in drawn.items() if name not in ("operations", "arguments")}
        else:
            view = draw_window(rng, values.jitter, probe.height, probe.width, self.size, self.crop)
            clips = _cropped(video, wanted[None], view[0], [view[1:]], self.size, self.antialias)[0]
            exact = clips
        told = {name: torch.from_numpy(number) for name, number in drawn.items()}
        item = {"clips": clips, "frames": torch.from_numpy(wanted)}
        if self.flow:
            if self.pipeline == "crop-first":
                changed = augment(clips[None], {name: number[None] for name, number in told.items()})[0]
                exact = changed.transpose(0, 1).mul_(255)
                item["clips"] = empty_clips(*clips.shape).copy_(exact.round())
                told = {}
            item["flow"] = self._directions(exact)
        return item | told

    def _directions(self, clip: Tensor) -> Tensor:
        from telltime.views.farneback import flow_labels

        side = self.size // self.patch
        return flow_labels(clip[None].float() / 255, (side, side), self.flow_floor)[0]


@dataclass(frozen=True)
class TimeTestReader:
    """All test clips of a video from one decode: views in time, crops along the longer side, nothing random.

    An item holds ``clips`` uint8 ``[P, T, 3, S, S]`` with ``P = views * crops``, the crops of the first view first, and
    ``present`` bool ``[P]``, all true.

    Attributes:
        views: how often frames are taken from the segments; the published test takes one.
        crops: squares along the longer side, 1 (the middle) or more; the published test takes 3.
        scale: the frame's shorter side in units of the clip's, 1 as published.
        antialias, short: as in :class:`TimeReader`.
    """

    size: int = 224
    frames: int = 8
    views: int = 1
    crops: int = 3
    scale: float = 1.0
    antialias: bool = True
    short: Literal["repeat", "drop"] = "repeat"

    def __post_init__(self) -> None:
        if min(self.size, self.frames, self.views, self.crops) < 1 or self.scale < 1:
            raise ValueError(
                "size, frames, views, crops and scale are at least 1, not "
                f"{self.size}, {self.frames}, {self.views}, {self.crops} and {self.scale}"
            )
        if self.short not in ("repeat", "drop"):
            raise ValueError(f"short is one of repeat, drop, not {self.short!r}")

    def __call__(self, video: Video, rng: RandomState | None = None) -> Item:
        """Read and cut every clip; errors as for :class:`TimeReader`."""
        probe = video.probe()
        _long_enough(video, probe.frames, self.frames, self.short)
        wanted = even_frames(probe.frames, self.frames, self.views)
        shape = scaled_shape(probe.height, probe.width, round(self.scale * self.size))
        corners = even_windows(*shape, self.size, self.crops)
        clips = _cropped(video, wanted, shape, corners, self.size, self.antialias)
        return {"clips": clips, "present": torch.ones(len(clips), dtype=torch.bool)}


def _long_enough(video: Video, frames: int, needed: int, short: str) -> None:
    if frames < needed and short == "drop":
        raise TooShort(video.path, f"holds {frames} frames, a clip has {needed}; short='repeat' would take some twice")


def _cropped(
    video: Video, wanted: ndarray, shape: tuple[int, int], corners: list[tuple[int, int]], size: int, antialias: bool
) -> Tensor:
    """Frames ``[V, T]`` scaled to ``shape``, cut at each of ``K`` corners: uint8 ``[V * K, T, 3, size, size]``."""
    clips = empty_clips(len(wanted), len(corners), wanted.shape[1], 3, size, size)
    came = np.zeros(wanted.shape, dtype=bool)
    probe = video.probe()
    cuts = [_cutter(probe.height, probe.width, shape, top, left, size, antialias) for top, left in corners]
    for indices, pixels in video.passing(wanted.ravel()):
        views, places = np.nonzero(wanted == indices[0])
        for number, cut in enumerate(cuts):
            square = cut(pixels[0])
            for view, place in zip(views, places, strict=True):
                clips[view, number, place].copy_(square)
        came[views, places] = True
    for view in np.flatnonzero(~came.all(1)):
        clips[view] = clips[view][:, _standing_in(video, came[view])]
    return clips.flatten(0, 1)


def _cutter(
    height: int, width: int, shape: tuple[int, int], top: int, left: int, size: int, antialias: bool
) -> Callable[[Tensor], Tensor]:
    """Makes of uint8 ``[3, H, W]`` a square of it scaled to ``shape``, to be cut to whole numbers."""
    if not antialias or shape[0] >= height:
        cut = Window((height, width), shape, top, left, size)
        return lambda picture: cut(picture).add_(0.5)
    first, last = (round(edge * height / shape[0]) for edge in (top, top + size))
    start, stop = (round(edge * width / shape[1]) for edge in (left, left + size))
    box = first, start, max(1, last - first), max(1, stop - start)
    return lambda picture: resized(crop(picture[None], *box), (size, size))[0]
