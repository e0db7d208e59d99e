"""Reading video files with torchcodec, where it is installed and finds its FFmpeg libraries.

It brings no FFmpeg but loads the machine's, whose release may differ from the one inside PyAV. Common 8-bit streams
come out the same from all of them (MPEG-4 part 2 within 2 of 255); deeper or odd-sized ones do not, and stay with PyAV.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from telltime.media._decoded import DecodedFrame, rescale
from telltime.media._pyav import PyAVSource
from telltime.media.frames import Deadline, Limits, Probe


def available() -> bool:
    """Whether torchcodec loads here."""
    try:
        import torchcodec.decoders  # noqa: F401
    except Exception:  # missing FFmpeg libraries surface as RuntimeError, OSError or ImportError
        return False
    return True


class TorchCodecSource:
    """One video file: counted by PyAV, decoded by torchcodec; what that refuses is left to PyAV, which says why."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self._plain = PyAVSource(path, limits)
        self._path = path
        self._decoder: Any = None

    @property
    def fault(self) -> str | None:
        """See :class:`telltime.media.frames.Source`."""
        return self._plain.fault

    def probe(self, deadline: Deadline) -> Probe:
        """The same as PyAV's."""
        return self._plain.probe(deadline)

    def read(self, wanted: list[int], deadline: Deadline) -> Iterator["DecodedFrame | ConvertedFrame"]:
        """The frames ``wanted`` that decode."""
        decoded = self._decode(wanted, self.probe(deadline))
        deadline.check()
        if decoded is None:
            yield from self._plain.read(wanted, deadline)
            return
        for row, (index, pixels) in enumerate(zip(wanted, decoded.data.numpy(), strict=True)):
            yield ConvertedFrame(index, float(decoded.pts_seconds[row]) - self._start, pixels)

    def _decode(self, wanted: list[int], probe: Probe) -> Any:
        """The frames as torchcodec gives them; ``None`` if it does not, or does not mean the same frames."""
        from torchcodec.decoders import VideoDecoder

        if not wanted or not self._plain.timed or not self._plain.common:
            return None
        try:
            if self._decoder is None:
                self._decoder = VideoDecoder(
                    self._path, stream_index=self._plain.stream_index, dimension_order="NHWC", seek_mode="exact"
                )
                self._start = float(self._decoder.metadata.begin_stream_seconds)
            if len(self._decoder) != probe.frames:
                return None
            decoded = self._decoder.get_frames_at(indices=wanted)
        except (RuntimeError, ValueError, IndexError, OSError):
            return None
        return decoded if decoded.data.shape[1:3] == (probe.height, probe.width) else None

    def close(self) -> None:
        """Let go of the file."""
        self._decoder = None
        self._plain.close()


class ConvertedFrame:
    """One frame, already upright RGB."""

    def __init__(self, index: int, seconds: float, pixels: np.ndarray) -> None:
        self.index, self.seconds = index, seconds
        self._pixels = pixels

    def pixels(self, order: str = "rgb") -> np.ndarray:
        """See :class:`telltime.media.frames.Picture`."""
        return self._pixels if order == "rgb" else np.ascontiguousarray(self._pixels[..., ::-1])

    def write(self, rows: np.ndarray) -> None:
        """Copy, or scale if ``rows`` is smaller."""
        rows[...] = self._pixels if rows.shape == self._pixels.shape else rescale(self._pixels, *rows.shape[1::-1])
