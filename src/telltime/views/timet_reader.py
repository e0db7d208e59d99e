"""How an open video or frame folder becomes one clip of TimeT: few frames, one crop, small pixels out."""

from dataclasses import dataclass
from random import Random
from typing import Any, Literal

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.clips.frame_choice import CHOICES, choose_frames
from telltime.clips.item import Item
from telltime.media.errors import Unreadable
from telltime.media.video import Video
from telltime.views import timet_published
from telltime.views.dense import resized
from telltime.views.geometry import crop, empty_clips
from telltime.views.timet import PRESETS, Values, draw, short_side

PIPELINES = ("crop-first", "published")


@dataclass(frozen=True)
class TimeTReader:
    """One clip of a video for TimeT.

    An item holds ``clips`` uint8 ``[T, 3, S, S]``, RGB, already cropped; ``frames`` int64 ``[T]``, which of the video
    they are; and what :func:`telltime.views.timet.augment` has still to do: ``order``, ``factors``, ``grey``, ``blur``
    (in pixels of the clip) and ``flip``.

    Attributes:
        size: height and width of a clip, ``S``.
        frames: frames of a clip, ``T``.
        choice: which frames, see :func:`telltime.clips.frame_choice.choose_frames`; ``"full"`` cannot make batches.
        step: distance between frames, for ``choice="regular"`` alone.
        span: neighbouring frames that a clip is chosen from, at a random place; ``None`` for the whole video.
        values: what is drawn and how often, or the name of a preset (``"paper"``, ``"clean"``, and
            ``"stills"``: single pictures whose crop wanders).
        pipeline: ``"crop-first"`` cuts the crop out of the decoded frame and resizes once, colours follow on the
            device; ``"published"`` does everything here, in the published order, on Pillow's filters.
    """

    size: int = 224
    frames: int = 4
    choice: Literal["uniform", "dense", "regular"] = "uniform"
    step: int = 3
    span: int | None = None
    values: Values | str = "paper"
    pipeline: Literal["crop-first", "published"] = "crop-first"

    def __post_init__(self) -> None:
        if min(self.size, self.frames, self.step) < 1 or (self.span is not None and self.span < 1):
            raise ValueError(
                f"size, frames, step and span are at least 1, not {self.size}, {self.frames}, {self.step}, {self.span}"
            )
        drift = 0.0 if isinstance(self.values, str) else self.values.drift
        if self.pipeline == "published" and (drift or self.values == "stills"):
            raise ValueError("published crops do not wander: leave drift at 0, or take the pipeline crop-first")
        for name, value, allowed in (
            ("choice", self.choice, CHOICES[:-1]),
            ("pipeline", self.pipeline, PIPELINES),
            ("values", self.values if isinstance(self.values, str) else "paper", tuple(PRESETS)),
        ):
            if value not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")
        if isinstance(self.values, str):
            object.__setattr__(self, "values", PRESETS[self.values])

    def __call__(self, video: Video, rng: RandomState) -> Item:
        """Read and cut one clip; a frame that does not decode is replaced by the nearest before it that does.

        Raises:
            Unreadable: none of the clip's frames decodes.
            MediaError: the file cannot be read.
        """
        values: Any = self.values
        probe = video.probe()
        dice = Random(rng.bytes(16))
        wanted = self.wanted(probe.frames, dice)
        drawn = draw(dice, values, self.frames, probe.height, probe.width, self.size)
        if self.pipeline == "published":
            whole = _whole(video, wanted)
            seen = timet_published.transform(whole, drawn, self.size)
            clips = torch.from_numpy(np.ascontiguousarray(seen)).movedim(-1, -3)
            drawn |= {"order": np.full(4, -1), "grey": np.array(False), "flip": np.array(False)}
            drawn["blur"] = np.zeros(self.frames)
        else:
            first, last = (frame_box(drawn[name], probe.height, probe.width, self.size) for name in ("box", "last"))
            boxes = np.linspace(first, last, self.frames).round().astype(int)
            clips = _cropped(video, wanted, boxes, self.size)
            drawn["blur"] = drawn["blur"] * self.size / first[2]
        del drawn["box"], drawn["last"]
        return {
            "clips": clips,
            "frames": torch.from_numpy(wanted),
            **{name: torch.from_numpy(number) for name, number in drawn.items()},
        }

    def wanted(self, count: int, dice: Random) -> ndarray:
        """int64 ``[T]``: the frames of a clip of a video that has ``count``."""
        within = count if self.span is None else min(count, max(self.span, self.frames))
        first = dice.randint(0, count - within) if within < count else 0
        return first + choose_frames(self.choice, within, self.frames, self.step, dice)


def frame_box(box: ndarray, height: int, width: int, size: int) -> tuple[int, int, int, int]:
    """A crop drawn for a frame whose shorter side is ``size``, in the frame's own pixels: top, left, height, width."""
    rows, columns = short_side(height, width, size)
    top, bottom = (round(int(edge) * height / rows) for edge in (box[0], box[0] + box[2]))
    left, right = (round(int(edge) * width / columns) for edge in (box[1], box[1] + box[3]))
    return top, left, max(1, bottom - top), max(1, right - left)


def cut_labels(labels: Tensor, box: tuple[int, int, int, int], flip: bool, size: int) -> Tensor:
    """Labels uint8 ``[T, H, W]`` cut to a :func:`frame_box` as the clip was, by nearest neighbours: ``[T, S, S]``."""
    top, left, height, width = box
    cut = labels[:, top : top + height, left : left + width]
    rows = ((torch.arange(size) + 0.5) * height / size).long()
    columns = ((torch.arange(size) + 0.5) * width / size).long()
    cut = cut[:, rows][:, :, columns]
    return cut.flip(-1) if flip else cut


def _cropped(video: Video, wanted: ndarray, boxes: ndarray, size: int) -> Tensor:
    """uint8 ``[T, 3, S, S]``, channels-last memory: of every frame ``wanted`` its box, ``[T, 4]``, resized once."""
    clips = empty_clips(len(wanted), 3, size, size)
    came = np.zeros(len(wanted), dtype=bool)
    for indices, pixels in video.passing(wanted):
        for place in np.flatnonzero(wanted == indices[0]).tolist():
            top, left, height, width = boxes[place].tolist()
            clips[place] = resized(crop(pixels, top, left, height, width), (size, size))[0]
            came[place] = True
    return clips[_standing_in(video, came)] if not came.all() else clips


def _whole(video: Video, wanted: ndarray) -> ndarray:
    """uint8 ``[T, H, W, 3]``: every frame ``wanted`` at full size."""
    read = video.frames(wanted, partial=True)
    have = np.isin(wanted, read.indices)
    rows = np.searchsorted(np.unique(wanted[have]), wanted[_standing_in(video, have)])
    _, first = np.unique(read.indices, return_index=True)
    return np.ascontiguousarray(read.pixels.movedim(-3, -1).numpy()[first][rows])


def _standing_in(video: Video, came: ndarray) -> ndarray:
    """int64 ``[T]``: for each frame itself where it decoded, else the nearest before it, else the first that did."""
    if not came.any():
        raise Unreadable(video.path, "none of the clip's frames decodes")
    places = np.where(came, np.arange(len(came)), -1)
    return np.maximum(np.maximum.accumulate(places), int(came.argmax()))
