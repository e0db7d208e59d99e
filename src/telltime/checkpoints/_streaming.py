"""Many videos through one network: decoded ahead in threads, their frames in batches that several videos may share."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from telltime.clips.ahead import Ahead
from telltime.media.errors import MediaError
from telltime.media.video import Video
from telltime.views.frame_reader import FrameBlock, FrameReader

if TYPE_CHECKING:
    from telltime.checkpoints.describer import Describer

_AHEAD = 8
"""Parts of videos that a thread reads ahead of the network."""


@dataclass
class _Open:
    """A video on its way through.

    Attributes:
        waiting: frames that are read and not yet described.
        error: why it gives nothing, if so.
        read: nothing more is read of it.
    """

    wanted: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    rows: list[Tensor] = field(default_factory=list)
    indices: list[np.ndarray] = field(default_factory=list)
    times: list[np.ndarray] = field(default_factory=list)
    waiting: int = 0
    error: MediaError | None = None
    read: bool = False


def stream(
    describer: "Describer", videos: Iterable[Video | str | Path], readers: int
) -> Iterator[tuple[Tensor | Exception, np.ndarray]]:
    """See :meth:`telltime.checkpoints.describer.Describer.stream`."""
    under_way: deque[_Open] = deque()
    batch: list[tuple[_Open, Tensor]] = []
    held = 0

    def describe() -> None:
        nonlocal held
        if batch:
            rows = describer.pixels_rows(torch.cat([pixels for _, pixels in batch]))
            for (video, pixels), part in zip(batch, rows.split([len(p) for _, p in batch]), strict=True):
                video.rows.append(part)
                video.waiting -= len(pixels)
            batch.clear()
            held = 0

    def finished() -> Iterator[tuple[Tensor | Exception, np.ndarray]]:
        while under_way and under_way[0].read and not under_way[0].waiting:
            yield _result(under_way.popleft())

    for parts in _ahead(describer.reader, list(videos), readers, describer.batch):
        video = _Open()
        under_way.append(video)
        for part in parts:
            if isinstance(part, MediaError):
                video.error = part
            elif isinstance(part, FrameBlock):
                video.indices.append(part.indices)
                video.times.append(part.times)
                pixels = part.pixels
                while len(pixels):
                    room = describer.batch - held
                    batch.append((video, pixels[:room]))
                    video.waiting += len(pixels[:room])
                    held += len(pixels[:room])
                    pixels = pixels[room:]
                    if held == describer.batch:
                        describe()
                        yield from finished()
            elif part is not None:
                video.wanted = part
        video.read = True
        yield from finished()
    describe()
    yield from finished()


def _result(video: _Open) -> tuple[Tensor | Exception, np.ndarray]:
    """Rows and times in the order wanted, where the last frame may come twice."""
    if video.error is not None:
        return video.error, np.empty(0)
    came = np.concatenate(video.indices)
    place = np.searchsorted(came, video.wanted).clip(max=len(came) - 1)
    place = place[came[place] == video.wanted]
    return torch.cat(video.rows)[torch.from_numpy(place)], np.concatenate(video.times)[place]


Part = np.ndarray | FrameBlock | MediaError | None
"""Which frames are wanted, then the frames; then why no more come, or ``None`` when that was all."""


def _ahead(
    reader: FrameReader, videos: Sequence[Video | str | Path], readers: int, together: int
) -> Iterator[Iterator[Part]]:
    """The parts of each video, in order; reader ``r`` of ``readers`` threads reads every ``readers``-th of them."""
    if not readers:
        lines: list[Iterator[Part]] = [_parts(reader, videos, together)]
    else:
        count = min(readers, len(videos))
        lines = [Ahead(_parts(reader, videos[r::count], together), _AHEAD) for r in range(count)]
    try:
        for number in range(len(videos)):
            line = lines[number % len(lines)]
            yield _one(line)
    finally:
        for line in lines:
            line.close()  # type: ignore[attr-defined]


def _one(line: Iterator[Part]) -> Iterator[Part]:
    """What comes of a line until a video has ended."""
    while (part := next(line)) is not None:
        yield part


def _parts(reader: FrameReader, videos: Sequence[Video | str | Path], together: int) -> Iterator[Part]:
    """The parts of one video after the other; the files opened here are closed."""
    for video in videos:
        opened = video if isinstance(video, Video) else Video(video)
        try:
            yield reader.wanted(opened)
            yield from reader.blocks(opened, together)
        except MediaError as error:
            yield error
        finally:
            opened.close()
        yield None
