"""Videos: what they are, and any of their frames as tensors.

>>> video = Video("clip.mp4")
>>> video.probe().frames
300
>>> video.frames([0, 150, 299]).pixels.shape      # decodes from the keyframes before these three, no more
torch.Size([3, 3, 240, 320])
"""

import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from telltime.media.errors import MediaNotFound, TooShort, Unreadable
from telltime.media.frames import Deadline, Frames, Limits, Picture, Probe, Source, scaled

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["BACKENDS", "Frames", "Limits", "Probe", "Video"]

BACKENDS = ("auto", "pyav", "torchcodec")
"""Ways to decode: ``auto`` is PyAV; ``torchcodec`` gives the same pixels and must be installed."""


class Video:
    """A video file, or a folder of pictures read as one.

    Args:
        path: the file or folder.
        backend: one of :data:`BACKENDS`; folders need none.
        limits: how large the file may be, and how long one call may take.
        span: first frame and one past the last that belong to this video; frame 0 is then the span's first.

    Opening is put off until something is asked. A video may be used in a ``with`` block, which closes the file.
    """

    def __init__(
        self,
        path: str | Path,
        backend: str = "auto",
        limits: Limits = Limits(),  # noqa: B008, frozen
        span: tuple[int, int] | None = None,
    ) -> None:
        if backend not in BACKENDS:
            raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
        if span is not None and not 0 <= span[0] < span[1]:
            raise ValueError(f"span must be (first, one past last) with 0 <= first < last, not {span}")
        self.path = Path(path)
        self.backend, self.limits, self.span = backend, limits, span
        self._source: Source | None = None
        self._probe: Probe | None = None

    def __repr__(self) -> str:
        return f"Video({str(self.path)!r})"

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_source": None}

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def probe(self) -> Probe:
        """What the video says of itself, from its packets; nothing but its first frame is decoded.

        Raises:
            MediaNotFound, Unreadable, LimitExceeded, DecodeTimeout: see :mod:`telltime.media.errors`.
            TooShort: the span starts after the last frame.
        """
        if self._probe is None:
            self._probe = self._cut(self._open().probe(self._deadline()))
        return self._probe

    def frames(
        self, indices: "Iterable[int] | np.ndarray | Tensor", partial: bool = False, short_side: int | None = None
    ) -> Frames:
        """The frames at ``indices``: any order, duplicates allowed, given back in the order asked.

        Args:
            indices: 0-based frame numbers.
            partial: leave out frames that do not exist or do not decode, instead of raising.
            short_side: scale frames whose shorter side is longer than this many pixels down to it.

        Raises:
            TooShort: a frame past the end was asked for.
            Unreadable: the file is no video, or damaged before a frame that was asked for.
            MediaNotFound, LimitExceeded, DecodeTimeout: see :mod:`telltime.media.errors`.
        """
        wanted = np.asarray(indices if hasattr(indices, "__array__") else list(indices))
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise ValueError(f"indices must be a flat sequence of whole numbers, not {indices!r}")
        wanted = wanted.astype(np.int64)
        if (wanted < 0).any():
            raise ValueError(f"frame numbers start at 0, not at {wanted.min()}")
        if short_side is not None and short_side < 1:
            raise ValueError(f"short_side must be at least 1 pixel, not {short_side}")
        probe = self.probe()
        if not partial and (wanted >= probe.frames).any():
            raise TooShort(self.path, f"holds {probe.frames} frames, frame {wanted.max()} was asked for")
        return self._read(wanted[wanted < probe.frames], probe, partial, short_side)

    def passing(
        self, indices: "Iterable[int] | np.ndarray", together: int = 1, order: str = "rgb"
    ) -> "Iterator[tuple[np.ndarray, Tensor]]":
        """The frames at ``indices`` as they pass by: ascending, each once, those left out that do not decode.

        Only ``together`` of them are kept at a time, which for large pictures is faster than :meth:`frames`.

        Args:
            indices: 0-based frame numbers; those past the end are left out.
            together: how many frames to give at once; the last time fewer.
            order: of the channels, ``"rgb"`` or ``"bgr"``: what FFmpeg converts to costs nothing to choose.

        Yields:
            The indices, int64 ``[n]``, and the pixels, uint8 ``[n, 3, H, W]``, channels-last memory, which **the next
            ones overwrite**.

        Raises:
            Unreadable, MediaNotFound, LimitExceeded, DecodeTimeout: see :mod:`telltime.media.errors`.
        """
        import torch

        from telltime.media._decoded import rescale

        probe = self.probe()
        wanted = np.unique(np.asarray(indices if hasattr(indices, "__array__") else list(indices), dtype=np.int64))
        wanted = wanted[wanted < probe.frames]
        if len(wanted) and wanted[0] < 0:
            raise ValueError(f"frame numbers start at 0, not at {wanted[0]}")
        if order not in ("rgb", "bgr"):
            raise ValueError(f"order is 'rgb' or 'bgr', not {order!r}")
        first = self.span[0] if self.span else 0
        rows = np.empty((min(together, len(wanted)), probe.height, probe.width, 3), dtype=np.uint8)
        came: list[int] = []
        for picture in self._open().read((wanted + first).tolist(), self._deadline()):
            pixels = picture.pixels(order)
            if pixels.shape != rows.shape[1:]:
                pixels = rescale(pixels, probe.width, probe.height)
            if len(rows) == 1:
                yield (
                    np.array([picture.index - first]),
                    torch.from_numpy(np.require(pixels, requirements="W")).permute(2, 0, 1)[None],
                )
                continue
            rows[len(came)] = pixels
            came.append(picture.index - first)
            if len(came) == len(rows):
                yield np.array(came), torch.from_numpy(rows).permute(0, 3, 1, 2)
                came = []
        if came:
            yield np.array(came), torch.from_numpy(rows[: len(came)]).permute(0, 3, 1, 2)

    def pictures(self, indices: "Iterable[int] | np.ndarray") -> Iterator[Picture]:
        """The frames at ``indices`` as they decode: ascending, each once, not yet converted, for the taker to scale.

        The time limit holds from one picture to the next, so that long videos can be gone through. What is left out is
        as for :meth:`passing`, which see for the errors too; a picture's ``index`` counts from the span's first frame,
        its ``seconds`` from the file's.
        """
        probe = self.probe()
        wanted = np.unique(np.asarray(indices if hasattr(indices, "__array__") else list(indices), dtype=np.int64))
        wanted = wanted[wanted < probe.frames]
        if len(wanted) and wanted[0] < 0:
            raise ValueError(f"frame numbers start at 0, not at {wanted[0]}")
        first = self.span[0] if self.span else 0
        deadline = self._deadline()
        for picture in self._open().read((wanted + first).tolist(), deadline):
            picture.index -= first
            yield picture
            deadline.restart()

    def _read(self, wanted: np.ndarray, probe: Probe, partial: bool, short_side: int | None) -> Frames:
        import torch

        first = self.span[0] if self.span else 0
        unique, place = np.unique(wanted, return_inverse=True)
        width, height = scaled(probe.width, probe.height, short_side)
        pixels = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
        times = np.zeros(len(wanted))
        came = np.zeros(len(unique), dtype=bool)
        source = self._open()
        for picture in source.read((unique + first).tolist(), self._deadline()):
            at = int(np.searchsorted(unique, picture.index - first))
            row, *copies = np.flatnonzero(place == at).tolist()
            picture.write(pixels[row])
            pixels[copies] = pixels[row]
            times[place == at] = picture.seconds
            came[at] = True
        if not came.all():
            if not partial:
                raise self._shortfall(source.fault, int(unique[~came][0]), probe.frames)
            kept = came[place]
            pixels, times, wanted = pixels[kept], times[kept], wanted[kept]
        return Frames(torch.from_numpy(pixels).permute(0, 3, 1, 2), times, wanted)

    def _shortfall(self, fault: str | None, index: int, frames: int) -> Exception:
        if fault is not None:
            return Unreadable(self.path, f"{fault}, frame {index} was asked for")
        return TooShort(self.path, f"ends at frame {index}, though its packets tell of {frames}")

    def _cut(self, probe: Probe) -> Probe:
        """The probe of the span only."""
        if self.span is None:
            return probe
        first, last = self.span[0], min(self.span[1], probe.frames)
        if first >= last:
            raise TooShort(self.path, f"holds {probe.frames} frames, the span starts at frame {first}")
        return replace(probe, frames=last - first, seconds=probe.seconds * (last - first) / probe.frames)

    def _deadline(self) -> Deadline:
        return Deadline(self.path, self.limits.seconds)

    def _open(self) -> Source:
        """The source behind this face, opened once."""
        if self._source is None:
            try:
                mode = self.path.stat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                raise MediaNotFound(self.path, "no such file or folder") from None
            except OSError as error:
                raise Unreadable(self.path, error.strerror or str(error)) from None
            if stat.S_ISDIR(mode):
                from telltime.media._folder import FolderSource

                self._source = FolderSource(self.path, self.limits)
            elif not stat.S_ISREG(mode):
                raise Unreadable(self.path, "neither a regular file nor a folder")
            elif not self.path.stat().st_size:
                raise Unreadable(self.path, "empty file")
            else:
                self._source = self._open_file()
        return self._source

    def _open_file(self) -> Source:
        if self.backend == "torchcodec":
            from telltime.media._torchcodec import TorchCodecSource

            return TorchCodecSource(self.path, self.limits)
        from telltime.media._pyav import PyAVSource

        return PyAVSource(self.path, self.limits)
