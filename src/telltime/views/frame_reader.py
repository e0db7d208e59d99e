"""The frames that stand for a video, scaled and cropped next to the decoder, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from telltime.clips.frame_sampling import SAMPLERS, frame_indices
from telltime.media.errors import Unreadable
from telltime.media.frames import Picture, Probe
from telltime.media.video import Video
from telltime.views.geometry import centre_box, centre_crop, empty_clips

SCALINGS = ("antialiased", "published")
_WIDEST = 4
"""Longer side over shorter, above which a frame is cropped before it is scaled."""


class FrameBlock(NamedTuple):
    """Some frames of a video.

    Attributes:
        pixels: uint8 ``[n, 3, size, size]``, RGB, channels-last memory.
        indices: int64 ``[n]``, ascending.
        times: float64 ``[n]``, seconds since the file's first frame.
    """

    pixels: Tensor
    indices: np.ndarray
    times: np.ndarray


@dataclass(frozen=True)
class FrameReader:
    """Reads the frames a sampler chooses, their short side scaled to ``size / crop``, their centre cut out.

    Attributes:
        sampler: see :func:`telltime.clips.frame_sampling.frame_indices`.
        size: height and width of what comes out, in pixels.
        crop: the centred square as a share of the short side, in (0, 1].
        scaling: ``"antialiased"``, by FFmpeg in one pass with the conversion to RGB; ``"published"``, bicubic without
            antialiasing, as TCA's frames were made with OpenCV.
    """

    sampler: str = "tca"
    size: int = 224
    crop: float = 0.875
    scaling: Literal["antialiased", "published"] = "antialiased"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ValueError(f"sampler is one of {', '.join(SAMPLERS)}, not {self.sampler!r}")
        if self.size < 1 or not 0 < self.crop <= 1:
            raise ValueError(f"size is at least 1 and crop a share in (0, 1], not {self.size} and {self.crop}")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling is one of {', '.join(SCALINGS)}, not {self.scaling!r}")

    @property
    def short_side(self) -> int:
        """Pixels the short side is scaled to before the crop."""
        return round(self.size / self.crop)

    def wanted(self, video: Video) -> np.ndarray:
        """int64: the frames the sampler chooses, where the last may come twice."""
        probe = video.probe()
        return frame_indices(self.sampler, probe.frames, probe.rate)

    def blocks(self, video: Video, together: int = 16) -> Iterator[FrameBlock]:
        """Each chosen frame once, in order, ``together`` at a time, the last time fewer.

        Frames that do not decode are left out.

        Raises:
            Unreadable: none decodes.
            MediaError: the file cannot be read.
        """
        probe, wanted = video.probe(), np.unique(self.wanted(video))
        cut = self._cutter(probe)
        left = len(wanted)
        rows = empty_clips(min(together, left), 3, self.size, self.size)
        indices: list[int] = []
        times: list[float] = []
        came = False
        for picture in video.pictures(wanted):
            cut(picture, rows[len(indices)])
            indices.append(picture.index)
            times.append(picture.seconds)
            came = True
            if len(indices) == len(rows):
                yield FrameBlock(rows, np.array(indices, dtype=np.int64), np.array(times))
                left -= len(indices)
                rows, indices, times = empty_clips(min(together, max(1, left)), 3, self.size, self.size), [], []
        if indices:
            yield FrameBlock(rows[: len(indices)], np.array(indices, dtype=np.int64), np.array(times))
        if not came:
            raise Unreadable(video.path, "none of its frames decodes")

    def frames(self, pixels: Tensor) -> Tensor:
        """Frames already decoded, uint8 ``[T, 3, H, W]`` of any size, cut the same way: ``[T, 3, size, size]``."""
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"frames are uint8 [T, 3, H, W], not {pixels.dtype} {list(pixels.shape)}")
        if self.scaling == "published":
            return self._centre(published_crop(pixels, self.short_side))
        side = max(1, round(min(pixels.shape[-2:]) * self.crop))
        return centre_crop(pixels, side, self.size)

    def _centre(self, square: Tensor) -> Tensor:
        top, left = centre_box(square.shape[-2], square.shape[-1], self.size)
        return square[..., top : top + self.size, left : left + self.size]

    def _cutter(self, probe: Probe) -> "_Scaled | _Whole":
        """What turns one decoded picture of this video into its crop."""
        long, short = max(probe.height, probe.width), min(probe.height, probe.width)
        if self.scaling == "published" or long > _WIDEST * short:
            return _Whole(self)
        return _Scaled(probe, self.short_side, self.size)


class _Scaled:
    """Scales and converts a picture in one pass of FFmpeg, then cuts its centre out."""

    def __init__(self, probe: Probe, short_side: int, size: int) -> None:
        scale = short_side / min(probe.height, probe.width)
        height, width = max(size, round(probe.height * scale)), max(size, round(probe.width * scale))
        self._scaled = np.empty((height, width, 3), dtype=np.uint8)
        top, left = centre_box(height, width, size)
        self._box = torch.from_numpy(self._scaled)[top : top + size, left : left + size].permute(2, 0, 1)

    def __call__(self, picture: Picture, out: Tensor) -> None:
        picture.write(self._scaled)
        out.copy_(self._box)


class _Whole:
    """Takes a picture in its own size and cuts it as decoded frames are cut."""

    def __init__(self, reader: FrameReader) -> None:
        self._reader = reader

    def __call__(self, picture: Picture, out: Tensor) -> None:
        pixels = torch.from_numpy(np.require(picture.pixels(), requirements="W"))
        out.copy_(self._reader.frames(pixels.permute(2, 0, 1)[None])[0])


def published_crop(frames: Tensor, size: int) -> Tensor:
    """The centred square of frames whose short side is scaled to ``size``, as TCA's frame extraction made them.

    OpenCV's bicubic filter, without antialiasing; equal to it within 1.

    Args:
        frames: uint8 ``[T, 3, H, W]``.

    Returns:
        uint8 ``[T, 3, size, size]``.
    """
    height, width = frames.shape[-2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        shape = [max(size, round(height * scale)), max(size, round(width * scale))]
        resized = torch.ops.aten.upsample_bicubic2d(frames.float(), shape, False, scale, scale)
        frames = resized.round_().clamp_(0, 255).to(torch.uint8)
    top, left = int((frames.shape[-2] - size) / 2), int((frames.shape[-1] - size) / 2)
    return frames[..., top : top + size, left : left + size]
