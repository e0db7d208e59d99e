"""What a video says of itself, what it gives, and how much of it is accepted."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from telltime.media.errors import DecodeTimeout, LimitExceeded

if TYPE_CHECKING:
    from torch import Tensor

FOLDER_RATE = 25.0
"""Frames per second of a folder of pictures, which says nothing of its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a file may be, and how long one call on it may take.

    Attributes:
        max_pixels: width times height of one picture.
        max_frames: frames of one video.
        seconds: time limit of one ``probe`` or ``frames`` call.
    """

    max_pixels: int = 2**26
    max_frames: int = 2**20
    seconds: float = 60.0

    def check_size(self, path: Path, width: int, height: int) -> None:
        """Raise :class:`LimitExceeded` if a picture is too large."""
        if width * height > self.max_pixels:
            raise LimitExceeded(path, f"{width}x{height} pixels are more than the limit of {self.max_pixels}")

    def check_frames(self, path: Path, frames: int) -> None:
        """Raise :class:`LimitExceeded` if there are too many frames."""
        if frames > self.max_frames:
            raise LimitExceeded(path, f"more than the limit of {self.max_frames} frames")


@dataclass(frozen=True, slots=True)
class Probe:
    """What a video says of itself.

    Attributes:
        frames: how many there are by the packets of the file, not by its header; damaged ones count.
        rate: frames per second, the average.
        width, height: pixels, as shown, that is after rotation.
        rotation: degrees counter-clockwise by which the stored picture is turned to be shown, -180 to 180.
        codec: FFmpeg's name of the decoder; ``"images"`` for a folder.
        seconds: from the first frame's start to the last frame's end.
    """

    frames: int
    rate: float
    width: int
    height: int
    rotation: int
    codec: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of a video, in the order they were asked for.

    Attributes:
        pixels: uint8 ``[n, 3, H, W]``, RGB, channels_last in memory.
        times: float64 ``[n]``, seconds since the first frame of the file.
        indices: int64 ``[n]``, which frames these are.
    """

    pixels: "Tensor"
    times: np.ndarray
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)


class Deadline:
    """The moment one call on one file has to be done by."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path, self.seconds = path, seconds
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._end = time.monotonic() + self.seconds

    def check(self) -> None:
        """Raise :class:`DecodeTimeout` once the time is up."""
        if time.monotonic() > self._end:
            raise DecodeTimeout(self.path, f"decoding took longer than the limit of {self.seconds:g} seconds")


class Picture(Protocol):
    """One decoded frame of a source, not yet converted."""

    index: int
    seconds: float

    def write(self, rows: np.ndarray) -> None:
        """Write the upright RGB picture into uint8 ``[H, W, 3]``, scaled to its size."""

    def pixels(self, order: str = "rgb") -> np.ndarray:
        """The upright picture in its own size, uint8 ``[H, W, 3]``, channels in ``order`` (``"rgb"`` or ``"bgr"``)."""


class Source(Protocol):
    """One way of reading one file; :class:`telltime.media.video.Video` is the face in front of it."""

    @property
    def fault(self) -> str | None:
        """Why the last ``read`` gave less than was asked, one clause; ``None`` if the file simply ends."""

    def probe(self, deadline: Deadline) -> Probe:
        """Look at the whole file without decoding it."""

    def read(self, wanted: list[int], deadline: Deadline) -> Iterator[Picture]:
        """Those of the frames ``wanted`` (ascending, no duplicates, below ``probe().frames``) that decode."""

    def close(self) -> None:
        """Let go of the file."""


def scaled(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Width and height once the shorter of them is at most ``short_side``, in the same proportion."""
    if short_side is None or min(width, height) <= short_side:
        return width, height
    scale = short_side / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
