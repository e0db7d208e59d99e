"""Frames as FFmpeg decodes them, turned upright and converted to RGB."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from telltime.media.errors import Unreadable


@dataclass(frozen=True, slots=True)
class Upright:
    """How stored pictures are turned and mirrored to be shown."""

    degrees: int = 0
    swaps: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: Any) -> "Upright":
        """From a frame's display matrix ``[[a, b, u], [c, d, v], ...]``: shown x = a x + c y, shown y = b x + d y."""
        data = frame.side_data.get("DISPLAYMATRIX")
        if data is None:
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(data), dtype=np.int32)[:5].tolist()
        swaps = abs(b) > abs(a)
        return cls(frame.rotation, swaps, (c if swaps else a) < 0, (b if swaps else d) < 0)

    def stored(self, shown: np.ndarray) -> np.ndarray:
        """The view of a shown picture ``[H, W, 3]`` that has the axes of the stored one."""
        if self.mirror_x:
            shown = shown[:, ::-1]
        if self.mirror_y:
            shown = shown[::-1]
        return shown.transpose(1, 0, 2) if self.swaps else shown

    def shown(self, stored: np.ndarray) -> np.ndarray:
        """The view of a stored picture that has the axes of the shown one."""
        shown = stored.transpose(1, 0, 2) if self.swaps else stored
        return shown[:: -1 if self.mirror_y else 1, :: -1 if self.mirror_x else 1]


def rescale(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """An RGB picture uint8 ``[H, W, 3]`` in another size, the way FFmpeg scales."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
    return frame.reformat(width, height, threads=1).to_ndarray()


class Converter:
    """Turns the decoded frames of one video into upright RGB.

    It lives as long as the video: making FFmpeg's conversion tables costs several times a conversion.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.upright = path, Upright()
        self._reformatter = VideoReformatter()

    def write(self, frame: Any, rows: np.ndarray) -> None:
        """Write a frame into uint8 ``[H, W, 3]``, scaled to its size in the same pass."""
        stored = self.upright.stored(rows)
        stored[...] = self._convert(frame, stored.shape[1], stored.shape[0], "rgb24")

    def pixels(self, frame: Any, order: str) -> np.ndarray:
        """The frame in its own size, uint8 ``[H, W, 3]``; not copied, unless it has to be turned."""
        return np.ascontiguousarray(self.upright.shown(self._convert(frame, None, None, f"{order}24")))

    def _convert(self, frame: Any, width: int | None, height: int | None, pixel_format: str) -> np.ndarray:
        try:
            picture = self._reformatter.reformat(frame, width, height, pixel_format, threads=1)
        except (av.error.FFmpegError, ValueError) as error:
            raise Unreadable(self.path, f"its pixels cannot be converted to RGB: {error}") from None
        plane = picture.planes[0]
        shape, strides = (picture.height, picture.width, 3), (plane.line_size, 3, 1)
        return np.ndarray(shape, np.uint8, memoryview(plane), strides=strides)


class DecodedFrame:
    """One decoded frame, not yet converted."""

    def __init__(self, converter: Converter, frame: Any, index: int, seconds: float) -> None:
        self._converter, self._frame = converter, frame
        self.index, self.seconds = index, seconds

    def write(self, rows: np.ndarray) -> None:
        """See :meth:`Converter.write`."""
        self._converter.write(self._frame, rows)

    def pixels(self, order: str = "rgb") -> np.ndarray:
        """See :meth:`Converter.pixels`."""
        return self._converter.pixels(self._frame, order)
