"""The clips and views of SEVERE's fine-tuning: two seconds at 16 frames a second, strong crops and colours.

Source: Thoker et al., "How Severe is Benchmark-Sensitivity in Video Self-Supervised Learning?", ECCV 2022, and its
preset for TCLR's weights, which TCLR's authors recommend for fine-tuning. Colours are changed before channels are put
in the network's order; nothing but that order is specific to TCLR.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor

from telltime.clips.item import Item
from telltime.media.errors import TooShort
from telltime.media.video import Probe, Video
from telltime.views import colour
from telltime.views.geometry import centre_crop, crop, empty_clips, random_box, take_frames

JITTER = (0.4, 0.4, 0.4, 0.2)
_CHUNK = 16


def clip_frames(probe: Probe, start: int, frames: int, rate: float) -> np.ndarray:
    """int64 ``[frames]`` at ``rate`` a second from frame ``start`` on; a video that ends before begins again."""
    step = probe.rate / rate if probe.rate > 0 else 1.0
    return (start + np.floor(np.arange(frames) * step).astype(np.int64)) % max(1, probe.frames)


def last_start(probe: Probe, frames: int, rate: float) -> int:
    """The last frame at which a clip can start and end within the video; 0 for a shorter one."""
    step = probe.rate / rate if probe.rate > 0 else 1.0
    return max(0, probe.frames - 1 - math.floor((frames - 1) * step))


@dataclass(frozen=True)
class TrainReader:
    """One clip at a random place, a random part of the picture, and the numbers for colours and mirror image.

    An item holds ``clips`` uint8 RGB ``[1, T, 3, S, S]``, ``factors`` float32 ``[1, 4]`` (brightness, contrast,
    saturation, turn of the hue), ``order`` int64 ``[1, 4]`` in which they are applied, and ``flip`` bool ``[1]``.

    Attributes:
        area: share of the picture that the crop covers; its sides' ratio is from 3/4 to 4/3.
        jitter: how far brightness, contrast and saturation may go from 1, and the hue from 0.
    """

    size: int = 112
    frames: int = 32
    rate: float = 16.0
    area: tuple[float, float] = (0.08, 1.0)
    jitter: tuple[float, float, float, float] = JITTER
    short_side: int | None = 240

    def __call__(self, video: Video, rng: RandomState) -> Item:
        """Read and cut one clip.

        Raises:
            MediaError: the file cannot be read.
        """
        probe = video.probe()
        start = int(rng.randint(0, last_start(probe, self.frames, self.rate) + 1))
        pixels, clip = _read(video, clip_frames(probe, start, self.frames, self.rate), self.short_side)
        rows, columns = pixels.shape[-2:]
        top, left, height, width = random_box(rng, rows, columns, self.area)
        box = crop(take_frames(pixels, clip), top, left, height, width)
        cut = F.interpolate(box, size=(self.size, self.size), mode="bilinear", antialias=True, align_corners=False)
        amounts = np.array([rng.uniform(-amount, amount) for amount in self.jitter])
        amounts[:3] += 1
        return {
            "clips": cut[None],
            "factors": torch.tensor(amounts, dtype=torch.float32)[None],
            "order": torch.from_numpy(rng.permutation(4).astype(np.int64))[None],
            "flip": torch.tensor([bool(rng.rand() < 0.5)]),
        }


@dataclass(frozen=True)
class TestReader:
    """Clips evenly spread over a video, their centred square; as :class:`telltime.views.readers.TestReader`, in RGB."""

    __test__ = False  # not a test case of pytest

    positions: int = 10
    size: int = 112
    frames: int = 32
    rate: float = 16.0
    crop: float = 0.875
    short_side: int | None = 240

    def __call__(self, video: Video, rng: RandomState | None = None) -> Item:
        """``clips`` uint8 ``[P, T, 3, S, S]`` and ``present`` ``[P]``, all true; errors as in :class:`TrainReader`."""
        probe = video.probe()
        starts = np.linspace(0, last_start(probe, self.frames, self.rate), self.positions).astype(np.int64)
        wanted = np.stack([clip_frames(probe, int(start), self.frames, self.rate) for start in starts])
        pixels, found = _read(video, wanted.ravel(), self.short_side)
        side = max(1, int(min(pixels.shape[-2:]) * self.crop))
        clips = empty_clips(self.positions, self.frames, 3, self.size, self.size)
        for place, frames in enumerate(found.reshape(wanted.shape)):
            centre_crop(take_frames(pixels, frames), side, self.size, clips[place])
        return {"clips": clips, "present": torch.ones(self.positions, dtype=torch.bool)}


def jittered(clips: Tensor, factors: Tensor, order: Tensor, flip: Tensor) -> Tensor:
    """Colours changed, each clip's four operations in its own order, and mirror images.

    Args:
        clips: uint8 RGB ``[N, T, 3, S, S]``.
        factors, order, flip: ``[N, 4]``, ``[N, 4]``, ``[N]`` as :class:`TrainReader` gives them, on the host.

    Returns:
        float32 ``[N, 3, T, S, S]`` in 0..1.
    """
    out = torch.empty(len(clips), 3, clips.shape[1], *clips.shape[3:], device=clips.device)
    for first in range(0, len(clips), _CHUNK):
        rows = slice(first, first + _CHUNK)
        planes = clips[rows].movedim(2, 0).float()
        for step in range(4):
            for operation, name in enumerate((colour.brightness_, colour.contrast_, colour.saturation_, colour.hue_)):
                mine = (order[rows, step] == operation).nonzero()[:, 0]
                if len(mine):
                    factor = factors[rows, operation][mine]
                    factor = (factor * 255).trunc() if operation == 3 else factor
                    at = mine.to(clips.device)
                    planes[:, at] = name(planes[:, at], factor.to(clips.device))
        turned = flip[rows].nonzero()[:, 0].to(clips.device)
        planes[:, turned] = planes[:, turned].flip(-1)
        out[rows] = planes.transpose(0, 1) / 255
    return out


def _read(video: Video, wanted: np.ndarray, short_side: int | None) -> tuple[Tensor, np.ndarray]:
    """Each frame once: uint8 ``[n, 3, H, W]``, and which of them stands for each wanted one.

    A frame that does not decode is stood for by the nearest before it that does.

    Raises:
        TooShort: fewer than half of the frames decode.
    """
    distinct = np.unique(wanted)
    read = video.frames(distinct, partial=True, short_side=short_side)
    if len(read.indices) * 2 < len(distinct) or not len(read.indices):
        raise TooShort(video.path, f"{len(read.indices)} of {len(distinct)} frames of the clips can be read")
    return read.pixels, np.clip(np.searchsorted(read.indices, wanted, side="right") - 1, 0, None)
