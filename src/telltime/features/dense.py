"""Grids of features of annotated frames, one record after another, so that no more is held than is looked at.

>>> for seen in see(encoder, table.records, View(224, labels=112)):
...     seen.grid.shape, seen.labels.shape                       # of one record's annotated frames
(torch.Size([4, 112, 14, 14]), (4, 112, 112))
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.clips.ahead import made_ahead
from telltime.clips.item import item_rng
from telltime.clips.masks import annotated, read_labels
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Record
from telltime.media.errors import MediaError, TooShort
from telltime.media.image import SUFFIXES, read_image
from telltime.media.video import Limits, Video
from telltime.views.dense import resized

VIDEO_DEVIATION = (0.228, 0.224, 0.225)
"""Standard deviations that TimeT, and DINO's label propagation before it, divide the frames of videos by."""

Choose = Callable[[Record], Sequence[int]]

Alter = Callable[[Record, Tensor, "np.ndarray | None"], "tuple[Tensor, np.ndarray | None]"]
"""Makes what is looked at of frames uint8 ``[n, 3, H, W]`` as they lie in the file, and of their labels, as large."""


@dataclass(frozen=True)
class View:
    """How frames are looked at.

    Attributes:
        size: height and width that frames are squashed to, or one number for both.
        labels: height and width of the labels, or one number; ``None`` reads none.
        deviation: standard deviations of the channels to divide by instead of the encoder's own.
        attention: also give the attention of the last block from class token to places.
        shown: also give the frames as they were looked at.
        precision: ``"float32"``, ``"bfloat16"``, or ``"auto"``: bfloat16 on a GPU. Features are float32 after it.
    """

    size: int | tuple[int, int]
    labels: int | tuple[int, int] | None = None
    deviation: tuple[float, float, float] | None = None
    attention: bool = False
    shown: bool = False
    precision: str = "auto"


@dataclass(frozen=True)
class Seen:
    """Some frames of one record.

    Attributes:
        record: whose they are.
        indices: which frames, int64 ``[n]``.
        grid: float32 ``[n, C, h, w]``, on the encoder's device.
        labels: uint8 ``[n, H, W]``, 255 void; ``None`` when not asked for.
        attention: float32 ``[n, heads, h, w]``, or ``None``.
        frames: uint8 ``[n, 3, H, W]`` of the size looked at, or ``None``.
    """

    record: Record
    indices: np.ndarray
    grid: Tensor
    labels: np.ndarray | None = None
    attention: Tensor | None = None
    frames: Tensor | None = None


@dataclass(frozen=True)
class _Read:
    indices: np.ndarray
    frames: Tensor
    labels: np.ndarray | None


def drawn_frames(count: int, seed: int = 0) -> Choose:
    """Chooses ``count`` annotated frames of a record at random, in order; all where there are no more, or it is 0."""

    def choose(record: Record) -> Sequence[int]:
        there = annotated(record)
        if not count or len(there) <= count:
            return there
        return sorted(item_rng(seed, 0, record.id).choice(there, count, replace=False).tolist())

    return choose


def see(
    encoder: DenseEncoder,
    records: Sequence[Record],
    view: View,
    choose: Choose = annotated,
    *,
    alter: Alter | None = None,
    batch: int = 16,
    threads: int = 0,
    policy: BadMedia | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Seen]:
    """Go through records in order; frames of several are encoded together.

    Args:
        choose: frames of a record to look at; by default the annotated ones.
        alter: makes the frames that are looked at, and their labels, of those in the file: crops, say. By default they
            are squashed to the sizes of ``view``.
        batch: frames encoded at a time.
        threads: that decode while the encoder works.
        policy: what to do about records that cannot be read; those without any chosen frame are left out too.
        progress: called with records done and to do.

    Raises:
        MediaError, TooManyDropped: as the policy says.
    """
    policy, limits = policy or BadMedia(), limits or Limits()
    held: list[tuple[Record, _Read]] = []
    frames = 0
    made = made_ahead(
        records, lambda record: _read(record, choose(record), view, limits, alter), threads, 2 * threads + 2
    )
    for done, (record, read) in enumerate(made, 1):
        if isinstance(read, MediaError):
            policy.handle(record, read)
            policy.check(len(records))
        elif isinstance(read, Exception):
            raise read
        else:
            held.append((record, read))
            frames += len(read.frames)
        if frames >= batch:
            yield from _encode(encoder, held, view, batch)
            held, frames = [], 0
        if progress is not None:
            progress(done, len(records))
    if held:
        yield from _encode(encoder, held, view, batch)


def is_picture(record: Record) -> bool:
    """Whether a record is a single picture rather than a video or frame folder."""
    return record.path.suffix.lower() in SUFFIXES and not record.path.is_dir()


def read_frames(record: Record, indices: Sequence[int], size: int | tuple[int, int] | None, limits: Limits) -> Tensor:
    """Frames of a video, frame folder or picture (whose one frame is 0), squashed: uint8 ``[n, 3, H, W]``.

    Without a ``size`` they are as large as in the file.

    Raises:
        MediaError: see :mod:`telltime.media.errors`.
    """
    if is_picture(record):
        frames = read_image(record.path, limits)[None]
    else:
        with Video(record.path, limits=limits, span=record.span) as video:
            frames = video.frames(indices).pixels
    if size is not None:
        frames = resized(frames, (size, size) if isinstance(size, int) else size)
    return frames.expand(len(indices), -1, -1, -1)


def _read(record: Record, indices: Sequence[int], view: View, limits: Limits, alter: Alter | None) -> _Read:
    if not len(indices):
        raise TooShort(record.path, "has no annotated frame")
    if alter is not None:
        frames = read_frames(record, indices, None, limits)
        height, width = frames.shape[-2:]
        read = None if view.labels is None else read_labels(record, indices, (height, width))
        return _Read(np.asarray(indices, dtype=np.int64), *alter(record, frames, read))
    frames = read_frames(record, indices, view.size, limits)
    labels = None
    if view.labels is not None:
        side = (view.labels, view.labels) if isinstance(view.labels, int) else view.labels
        labels = read_labels(record, indices, side)
    return _Read(np.asarray(indices, dtype=np.int64), frames, labels)


def _encode(encoder: DenseEncoder, held: list[tuple[Record, _Read]], view: View, batch: int) -> Iterator[Seen]:
    frames = torch.cat([read.frames for _, read in held])
    grids, attentions = zip(*(encode(encoder, part, view) for part in frames.split(batch)), strict=True)
    counts = [len(read.frames) for _, read in held]
    each = torch.cat(grids).split(counts)
    attention: Iterable[Any] = torch.cat(attentions).split(counts) if view.attention else [None] * len(held)
    for (record, read), grid, looked in zip(held, each, attention, strict=True):
        yield Seen(record, read.indices, grid, read.labels, looked, read.frames if view.shown else None)


@torch.inference_mode()
def encode(encoder: DenseEncoder, frames: Tensor, view: View) -> tuple[Tensor, Tensor | None]:
    """Grid float32 ``[n, C, h, w]``, and attention where the view asks for it, of frames uint8 ``[n, 3, H, W]``."""
    images = encoder.prepare(frames)
    if view.deviation is not None:
        images = images * (encoder.std / encoder.std.new_tensor(view.deviation).view(3, 1, 1))
    low = view.precision == "bfloat16" or (view.precision == "auto" and images.is_cuda)
    with torch.autocast(images.device.type, torch.bfloat16) if low else nullcontext():
        grid = encoder(images)
        attention: Tensor | None = encoder.attention(images) if view.attention else None
    return grid.float(), None if attention is None else attention.float()
