"""How an open video becomes TCLR's views, a probe's clip, or all test clips: one decode an item, small crops out.

Each reader is an :class:`~telltime.clips.item.ItemReader`: its configuration is its constructor, it can be pickled, and
its random numbers come only from the generator it is handed. Frames whose short side exceeds ``short_side`` are scaled
to it while they are decoded (``None``: never); the crops are shares of the frame that comes out.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.clips import sampling
from telltime.clips.item import Item
from telltime.media.errors import TooShort
from telltime.media.video import Video
from telltime.views.geometry import centre_crop, crop_resize, empty_clips, swap_channels, take_frames
from telltime.views.tclr import PRESETS, Values, draw, settle


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}, not {value!r}")


def _values(values: Values | str) -> Values:
    if isinstance(values, str):
        _choice("values", values, tuple(PRESETS))
        return PRESETS[values]
    return values


def _tensors(arrays: dict[str, ndarray]) -> Item:
    return {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in arrays.items()}


def _loop(wanted: ndarray, decoded: ndarray) -> ndarray:
    """``wanted`` with the frames that did not decode replaced by reflection among those that did."""
    missing = ~np.isin(wanted, decoded)
    return np.where(missing, decoded[sampling.fold(wanted, len(decoded))], wanted)


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
        short_side: frames are scaled to this short side when theirs is larger.
    """

    size: int = 112
    frames: int = 16
    ratio: int = 4
    values: Values | str = "pretrain"
    crop: str = "reference"
    order: str = "bgr"
    short: str = "drop"
    short_side: int | None = 240

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
            _refuse(self.short == "drop" or count == 0, video, count, self.frames * self.ratio - self.frames // 2 + 1)
            start = 0
        glob, local = sampling.pretrain_frames(start, self.frames, self.ratio)
        ask = local.ravel() if self.short == "drop" else sampling.fold(local.ravel(), count)
        pixels, decoded = _read(video, ask, self.short_side)
        clips = sampling.pretrain_complete(glob, local, decoded, self.frames)
        if clips is None:
            _refuse(self.short == "drop", video, len(decoded), self.frames * self.ratio)
            clips = _loop(glob, decoded), _loop(local, decoded)
        pairs = np.repeat(np.concatenate([clips[0][None], clips[1]]), 2, axis=0)
        return _cut(pixels, decoded, pairs, rng, self)


@dataclass(frozen=True)
class ProbeReader:
    """One clip of a video, at a random place and lightly augmented, to train a probe or to fine-tune.

    An item holds what :class:`TCLRReader`'s does, with ``V = 1``. Attributes as for :class:`TCLRReader`, and ``step``, the distance between frames; as published, a
    video of at most ``frames * step`` frames is refused with ``short="drop"``.
    """

    size: int = 112
    frames: int = 16
    step: int = 2
    values: Values | str = "probe"
    crop: str = "reference"
    order: str = "bgr"
    short: str = "drop"
    short_side: int | None = 240

    def __post_init__(self) -> None:
        _check(self.size, self.frames, self.crop, self.order, self.short)
        object.__setattr__(self, "values", _values(self.values))

    def __call__(self, video: Video, rng: RandomState) -> Item:
        """Read and cut one clip; errors as for :class:`TCLRReader`."""
        count = video.probe().frames
        start = sampling.probe_start(count, rng, self.frames, self.step)
        if start is None:
            _refuse(self.short == "drop" or count == 0, video, count, self.frames * self.step + 1)
            start = 0
        wanted = sampling.probe_frames(start, self.frames, self.step)
        ask = wanted if self.short == "drop" else sampling.fold(wanted, count)
        pixels, decoded = _read(video, ask, self.short_side)
        clip = sampling.complete(wanted[np.isin(wanted, decoded)], self.frames, self.frames // 2 + 1)
        if clip is None:
            _refuse(self.short == "drop", video, len(decoded), self.frames // 2 + 1)
            clip = _loop(wanted, decoded)
        return _cut(pixels, decoded, clip[None], rng, self, versions=2)


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
    order: str = "bgr"
    short: str = "drop"
    short_side: int | None = 240
    margin: int = 10

    def __post_init__(self) -> None:
        _check(self.size, self.frames, "full", self.order, self.short)
        if not 0 < self.crop <= 1 or self.positions < 1:
            raise ValueError(
                f"crop is a share in (0, 1] and positions at least 1, not {self.crop} and {self.positions}"
            )

    def __call__(self, video: Video, rng: RandomState | None = None) -> Item:
        """Read and cut every position; errors as for :class:`TCLRReader`."""
        count = video.probe().frames
        wanted = sampling.test_frames(count, self.positions, self.frames, self.step, self.margin)
        inside = wanted[wanted < count] if self.short == "drop" else sampling.fold(wanted.ravel(), max(1, count))
        _refuse(len(inside) == 0, video, count, self.frames // 2 + 1)
        pixels, decoded = _read(video, inside, self.short_side)
        side = max(1, int(min(pixels.shape[-2:]) * self.crop))
        clips = empty_clips(self.positions, self.frames, 3, self.size, self.size)
        present = torch.ones(self.positions, dtype=torch.bool)
        for place, frames in enumerate(wanted):
            clip = sampling.complete(frames[np.isin(frames, decoded)], self.frames, self.frames // 2 + 1)
            if clip is None and self.short == "loop":
                clip = _loop(frames, decoded)
            if clip is None:
                present[place] = False
                clips[place].zero_()
            else:
                centre_crop(take_frames(pixels, np.searchsorted(decoded, clip)), side, self.size, clips[place])
        _refuse(not present.any(), video, len(decoded), self.frames // 2 + 1)
        return {"clips": swap_channels(clips) if self.order == "bgr" else clips, "present": present}


def _check(size: int, frames: int, crop: str, order: str, short: str) -> None:
    if size < 1 or frames < 1:
        raise ValueError(f"size and frames are at least 1, not {size} and {frames}")
    _choice("crop", crop, ("reference", "full"))
    _choice("order", order, ("bgr", "rgb"))
    _choice("short", short, ("drop", "loop"))


def _refuse(short: bool, video: Video, frames: int, needed: int) -> None:
    if short:
        raise TooShort(video.path, f"{frames} frames, {needed} needed")


def _read(video: Video, indices: ndarray, short_side: int | None) -> tuple[Tensor, ndarray]:
    """Each frame once and in order, those that decode: uint8 ``[n, 3, H, W]`` and their indices, int64 ``[n]``."""
    frames = video.frames(np.unique(indices), partial=True, short_side=short_side)
    _refuse(len(frames.indices) == 0, video, 0, len(indices))
    return frames.pixels, frames.indices


def _cut(
    pixels: Tensor,
    decoded: ndarray,
    frames: ndarray,
    rng: RandomState,
    reader: TCLRReader | ProbeReader,
    versions: int | None = None,
) -> Item:
    """Draw for ``versions`` views (default: one for each row of ``frames [V, T]``) and cut the crop of each row."""
    values = _values(reader.values)
    height, width = pixels.shape[-2:]
    kept = len(frames)
    settled = settle(draw(rng, versions or kept, values, height, width, reader.size, reader.crop, kept), values)
    clips = empty_clips(len(frames), reader.frames, 3, reader.size, reader.size)
    for view, positions in enumerate(np.searchsorted(decoded, frames)):
        top, left, side = (int(settled[name][view]) for name in ("top", "left", "side"))
        crop_resize(take_frames(pixels, positions), top, left, side, reader.size, clips[view])
    swapped = swap_channels(clips) if reader.order == "bgr" else clips
    return {"clips": swapped, **_tensors(settled), "start": torch.from_numpy(frames[:, 0].copy())}
