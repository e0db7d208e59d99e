"""Some of a video's frames, to be gone through as often as needed without being held."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from telltime.media.errors import Unreadable
from telltime.media.video import Video

if TYPE_CHECKING:
    from torch import Tensor


class Footage:
    """Every so many frames of a video, as often as they are asked for, one pass after the other.

    Args:
        video: opened as needed.
        every: 1 for all frames, 2 for every second, ...
    """

    def __init__(self, video: Video, every: int = 1) -> None:
        self._video = video
        probe = video.probe()
        self.numbers = range(0, probe.frames, every)
        self.size = (probe.height, probe.width)
        self.rate = probe.rate / every

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> "Iterator[Tensor]":
        return self.at(range(len(self)))

    def at(self, indices: Sequence[int]) -> "Iterator[Tensor]":
        """Frames uint8 ``[3, H, W]`` at ascending ``indices`` among those taken.

        Raises:
            Unreadable: a frame does not decode.
        """
        import torch

        wanted = [self.numbers[i] for i in indices]
        due = iter(wanted)
        came = 0
        for picture in self._video.pictures(wanted):
            if picture.index != next(due):
                break
            rows = np.empty((*self.size, 3), dtype=np.uint8)
            picture.write(rows)
            came += 1
            yield torch.from_numpy(rows).permute(2, 0, 1)
        if came < len(wanted):
            raise Unreadable(self._video.path, f"frame {wanted[came]} cannot be read")
