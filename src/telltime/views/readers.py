"""How an open video becomes TCLR's views, a probe's clip, or all test clips: one decode an item, small crops out.

Each reader is an :class:`~telltime.clips.item.ItemReader`: its configuration is its constructor, it can be pickled, and
its random numbers come only from the generator it is handed. Frames are cropped one by one as they decode, from their
full size, so that an item costs no more memory than its crops; crops are shares of the frame, whatever its size.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.clips import sampling
from telltime.clips.item import Item
from telltime.media.errors import TooShort
from telltime.media.video import Video
from telltime.views.geometry import centre_box, crop_resize, empty_clips, take_frames
from telltime.views.tclr import PRESETS, Values, draw, settle


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")


def _values(values: Values | str) -> Values:
    if isinstance(values, str):
        _choice("values", values, tuple(PRESETS))
        return PRESETS[values]
    return values


_CACHE = 4 * 2**20
"""Bytes of frames that are cropped together: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class TCLRReader:
    """The views of one video for TCLR: global and local clips of one window, each in two versions.

    An item holds ``clips`` uint8 ``[V, T, 3, S, S]`` with ``V = 2 (1 + ratio)`` in the order global, global', local 0,
    local 0', local 1, ...; beside it, each with the leading axis ``V``, what :func:`~telltime.views.tclr.settle` gives
    and ``start``, int64, the first frame of each clip.

    Attributes:
        size: height and width of a clip, ``S``.
        frames: frames of a clip, ``T``.
        ratio: how many times as much time the global clip spans as a local one; also the number of local clips.
        values: what is drawn and how often, or the name of a preset (``"pretrain"``, ``"probe"``).
        crop: ``"reference"`` as published (the right part of a wide frame is never seen), ``"full"`` without that bias.
        order: order of the channels, ``"bgr"`` as published or ``"rgb"``; colours are then changed in that order.
        short: a video too short for the clips (up to 56 frames as published) is refused with ``"drop"``; with
            ``"loop"`` it is read forth and back.
    """

    size: int = 112
    frames: int = 16
    ratio: int = 4
    values: Values | str = "pretrain"
    crop: Literal["reference", "full"] = "reference"
    order: Literal["bgr", "rgb"] = "bgr"
    short: Literal["drop", "loop"] = "drop"

    def __post_init__(self) -> None:
        _check(self.size, self.frames, self.crop, self.order, self.short)
        object.__setattr__(self, "values", _values(self.values))

    @property
    def views(self) -> int:
        """How many clips an item has, ``V``."""
        return 2 * (1 + self.ratio)

    def __call__(self, video: Video, rng: RandomState) -> Item:
        """Read the window and cut the views.

        Raises:
            TooShort: too few frames for the clips, and ``short="drop"``.
            MediaError: the file cannot be read.
        """
        count = video.probe().frames
        start = sampling.pretrain_start(count, rng, self.frames, self.ratio)
        if start is None:
            if self.short == "drop":
                raise _too_few(video, count, self.frames * self.ratio - self.frames // 2 + 1)
            start = 0
        glob, local = sampling.pretrain_frames(start, self.frames, self.ratio)
        wanted = np.repeat(np.concatenate([glob[None], local]), 2, axis=0)
        least = np.repeat(sampling.pretrain_least(self.frames, self.ratio), 2)
        return _item(video, wanted, least, rng, self, len(wanted))


@dataclass(frozen=True)
class ProbeReader:
    """One clip of a video, at a random place and lightly augmented, to train a probe or to fine-tune.

    An item holds what :class:`TCLRReader`'s does, with ``V = 1``. Attributes as there, and ``step``, the distance
    between frames; as published, a video of at most ``frames * step`` frames is refused with ``short="drop"``.
    """

    size: int = 112
    frames: int = 16
    step: int = 2
    values: Values | str = "probe"
    crop: Literal["reference", "full"] = "reference"
    order: Literal["bgr", "rgb"] = "bgr"
    short: Literal["drop", "loop"] = "drop"

    def __post_init__(self) -> None:
        _check(self.size, self.frames, self.crop, self.order, self.short)
        object.__setattr__(self, "values", _values(self.values))

    def __call__(self, video: Video, rng: RandomState) -> Item:
        """Read and cut one clip; errors as for :class:`TCLRReader`."""
        count = video.probe().frames
        start = sampling.probe_start(count, rng, self.frames, self.step)
        if start is None:
            if self.short == "drop":
                raise _too_few(video, count, self.frames * self.step + 1)
            start = 0
        wanted = sampling.probe_frames(start, self.frames, self.step)[None]
        return _item(video, wanted, np.array([self.frames // 2 + 1]), rng, self, 2)


@dataclass(frozen=True)
class TestReader:
    """All test clips of a video from one decode: evenly spread positions, one centred crop, nothing random.

    An item holds ``clips`` uint8 ``[P, T, 3, S, S]`` and ``present`` bool ``[P]``. A position with no more than half of
    its frames is absent (its clip is black), as published; a video with none present is refused.

    Attributes:
        positions: ``P``; the published linear probe takes 10, its retrieval 9.
        crop: side of the centred square as a share of the frame's short side (192 of 240 pixels as published).
        short: with ``"loop"`` absent positions are filled by reading the video forth and back.
        margin: frames at the end that no position reaches into, as published.
    """

    __test__ = False  # not a test case of pytest

    positions: int = 10
    size: int = 112
    frames: int = 16
    step: int = 2
    crop: float = 0.8
    order: Literal["bgr", "rgb"] = "bgr"
    short: Literal["drop", "loop"] = "drop"
    margin: int = 10

    def __post_init__(self) -> None:
        _check(self.size, self.frames, "full", self.order, self.short)
        if not 0 < self.crop <= 1 or self.positions < 1:
            raise ValueError(
                f"crop is a share in (0, 1] and positions at least 1, not {self.crop} and {self.positions}"
            )

    def __call__(self, video: Video, rng: RandomState | None = None) -> Item:
        """Read and cut every position; errors as for :class:`TCLRReader`."""
        probe = video.probe()
        wanted = sampling.test_frames(probe.frames, self.positions, self.frames, self.step, self.margin)
        if self.short == "loop":
            wanted = sampling.fold(wanted, probe.frames)
        side = max(1, int(min(probe.height, probe.width) * self.crop))
        boxes = np.array([[*centre_box(probe.height, probe.width, side), side]] * self.positions)
        clips, came = _crops(video, wanted, boxes, self.size, self.order)
        present = _mend(clips, came, np.full(self.positions, self.frames // 2 + 1), self.short == "loop")
        if not present.any():
            raise _too_few(video, int(came.sum(1).max()), self.frames // 2 + 1, "of a clip ")
        clips[torch.from_numpy(~present)] = 0
        return {"clips": clips, "present": torch.from_numpy(present)}


def _check(size: int, frames: int, crop: str, order: str, short: str) -> None:
    if size < 1 or frames < 1:
        raise ValueError(f"size and frames are at least 1, not {size} and {frames}")
    _choice("crop", crop, ("reference", "full"))
    _choice("order", order, ("bgr", "rgb"))
    _choice("short", short, ("drop", "loop"))


def _too_few(video: Video, frames: int, needed: int, of: str = "") -> TooShort:
    return TooShort(video.path, f"{frames} frames {of}can be read, {needed} are needed")


def _item(
    video: Video,
    wanted: ndarray,
    least: ndarray,
    rng: RandomState,
    reader: TCLRReader | ProbeReader,
    versions: int,
) -> Item:
    """The frames ``wanted``, int64 ``[V, T]``, as clips under parameters drawn now, for ``versions >= V`` of them."""
    probe = video.probe()
    values, loop = _values(reader.values), reader.short == "loop"
    drawn = draw(rng, versions, values, probe.height, probe.width, reader.size, reader.crop, len(wanted))
    settled = settle(drawn, values)
    boxes = np.stack([settled[name] for name in ("top", "left", "side")], axis=1)
    if loop:
        wanted = sampling.fold(wanted, probe.frames)
    clips, came = _crops(video, wanted, boxes, reader.size, reader.order)
    present = _mend(clips, came, least, loop)
    if not present.all():
        lacking = int(np.argmin(present))
        raise _too_few(video, int(came[lacking].sum()), int(least[lacking]), "of a clip ")
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in settled.items()}
    return {"clips": clips, **tensors, "start": torch.from_numpy(wanted[:, 0].copy())}


def _crops(video: Video, wanted: ndarray, boxes: ndarray, size: int, order: str) -> tuple[Tensor, ndarray]:
    """Every wanted frame cut as its clip's box says, while the video decodes once.

    Args:
        wanted: int64 ``[V, T]``.
        boxes: ``[V, 3]``, top, left and side.

    Returns:
        uint8 ``[V, T, 3, size, size]`` and bool ``[V, T]``, which of them decoded; the others are undefined.
    """
    clips = empty_clips(*wanted.shape, 3, size, size)
    came = np.zeros(wanted.shape, dtype=bool)
    probe = video.probe()
    together = min(wanted.shape[1], max(1, _CACHE // (3 * probe.height * probe.width)))
    for indices, pixels in video.passing(wanted.ravel(), together, order):
        row = np.searchsorted(indices, wanted).clip(max=len(indices) - 1)
        here = indices[row] == wanted
        for clip in np.flatnonzero(here.any(1)):
            places, rows = np.flatnonzero(here[clip]), row[clip][here[clip]]
            top, left, side = (int(number) for number in boxes[clip])
            if places[-1] - places[0] == len(places) - 1:
                crop_resize(take_frames(pixels, rows), top, left, side, size, clips[clip, places[0] : places[-1] + 1])
            else:
                clips[clip, places] = crop_resize(take_frames(pixels, rows), top, left, side, size)
        came |= here
    return clips, came


def _mend(clips: Tensor, came: ndarray, least: ndarray, loop: bool) -> ndarray:
    """Fill frames that did not decode by reflection, in place; bool ``[V]``, which clips are then whole.

    With ``loop`` any clip of which a frame decoded is read forth and back as often as it takes.
    """
    present = np.ones(len(came), dtype=bool)
    for clip in np.flatnonzero(~came.all(1)):
        have = np.flatnonzero(came[clip])
        filled = sampling.complete(have, came.shape[1], int(least[clip]))
        if filled is None and loop and len(have):
            filled = have[sampling.fold(np.arange(came.shape[1]), len(have))]
        present[clip] = filled is not None
        if filled is not None:
            clips[clip] = take_frames(clips[clip], filled).clone()
    return present
