"""How an open video becomes the clips that a network of segments is tested on: frames of its whole length, and crops.

Source: Wang et al., "Temporal Segment Networks", ECCV 2016, for the frames; the crops are those that TIME's tests take.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.clips.item import Item
from telltime.media.errors import TooShort
from telltime.media.video import Video
from telltime.views.geometry import empty_clips


def segment_views(frames: int, positions: int = 1, clip: int = 8) -> ndarray:
    """Frames of the test clips, int64 ``[positions, clip]``: one of each of ``clip`` equal parts of the video.

    Of one position it is the part's middle, as published; of several, each takes another place within the parts. A
    video with fewer frames than ``clip`` gives some twice.

    Raises:
        ValueError: there are no frames.
    """
    if frames < 1:
        raise ValueError(f"{frames} frames have no parts")
    edges = np.round(np.arange(clip + 1) * ((frames - 1) / clip)).astype(np.int64)
    low, high = edges[:-1], edges[1:]
    return np.stack([low + (high - low) * (2 * i + 1) // (2 * positions) for i in range(positions)])


def crop_corners(height: int, width: int, size: int, crops: int) -> list[tuple[int, int]]:
    """Top rows and left columns of ``crops`` squares along the longer side, the width where both are as long.

    Three are at the start, in the middle and at the end; one is in the middle.
    """
    tall = height > width
    room, across = (height - size, width - size) if tall else (width - size, height - size)
    along = [math.ceil(room / 2)] if crops == 1 else [0, math.ceil(room / 2), room]
    middle = math.ceil(across / 2)
    return [(at, middle) if tall else (middle, at) for at in along]


@dataclass(frozen=True)
class SegmentViews:
    """All test clips of a video from one decode: frames spread over all of it, squares along its longer side.

    An item holds ``clips`` uint8 RGB ``[positions * crops, T, 3, S, S]``, crop after crop of each position, and
    ``present`` bool, all true. A frame that does not decode is stood for by the nearest before it that does; with fewer
    than half of the frames the video is refused.

    Attributes:
        positions: clips over time; as published 1.
        crops: of each, 1 or 3.
        size: side of a crop, ``S``; the frame's short side is brought to ``size / crop`` before.
        frames: of a clip, ``T``.
        crop: 1 as published.
    """

    positions: int = 1
    crops: int = 1
    size: int = 224
    frames: int = 8
    crop: float = 1.0

    def __post_init__(self) -> None:
        if self.crops not in (1, 3):
            raise ValueError(f"there are 1 or 3 crops of a clip, not {self.crops}")
        if min(self.positions, self.size, self.frames) < 1 or not 0 < self.crop <= 1:
            raise ValueError(f"positions, size and frames are at least 1, crop lies in (0, 1]: {self}")

    def __call__(self, video: Video, rng: RandomState | None = None) -> Item:
        """Read and cut every clip.

        Raises:
            MediaError: the file cannot be read.
        """
        probe = video.probe()
        wanted = segment_views(probe.frames, self.positions, self.frames)
        distinct = np.unique(wanted)
        read = video.frames(distinct, partial=True)
        if not len(read.indices) or len(read.indices) * 2 < len(distinct):
            raise TooShort(video.path, f"{len(read.indices)} of {len(distinct)} frames of the clips can be read")
        place = np.clip(np.searchsorted(read.indices, wanted, side="right") - 1, 0, None)
        pixels = _short_side(read.pixels, round(self.size / self.crop))
        corners = crop_corners(*pixels.shape[-2:], self.size, self.crops)
        clips = empty_clips(self.positions, self.crops, self.frames, 3, self.size, self.size)
        for at, (top, left) in enumerate(corners):
            squares = pixels[..., top : top + self.size, left : left + self.size]
            clips[:, at] = squares[torch.from_numpy(place.ravel())].unflatten(0, place.shape)
        return {"clips": clips.flatten(0, 1), "present": torch.ones(self.positions * self.crops, dtype=torch.bool)}


def _short_side(pixels: Tensor, side: int) -> Tensor:
    """Frames uint8 ``[n, 3, H, W]`` with a short side of ``side`` pixels, bilinear without smoothing as published."""
    height, width = pixels.shape[-2:]
    short = min(height, width)
    if short == side:
        return pixels
    size = [side if length == short else int(length * side / short) for length in (height, width)]
    return F.interpolate(pixels.float(), size, mode="bilinear", align_corners=False).round_().to(torch.uint8)
