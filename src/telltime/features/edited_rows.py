"""Frame descriptors of videos and of edited versions of them, from one read a video, kept in a store.

A video's entry in the store holds its frames, then the same frames in the first version, and so on: row ``t`` of every
version shows the same moment. Edits of time are left to whoever takes the rows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from telltime.checkpoints.describer import Describer
from telltime.clips.ahead import Ahead
from telltime.clips.item import item_rng
from telltime.clips.policy import BadMedia
from telltime.clips.ragged import Ragged, offsets_of
from telltime.datasets.record import Record, Table
from telltime.features.frame_store import FrameStore
from telltime.features.marks import mark
from telltime.features.policy import TablePolicy
from telltime.media.errors import MediaError, TooShort
from telltime.media.video import Video
from telltime.views.edits import PIXELS, picture_in_picture
from telltime.views.frame_reader import FrameReader

Progress = Callable[[int, int], None]
_MARGIN = 1.25
"""Short side of frames to be edited, over that of frames to be described: crops shall not blur."""

_GROUNDS = 24
"""Videos whose frames lie below pictures in pictures."""


@dataclass(frozen=True)
class Editing:
    """How versions are made.

    Attributes:
        edits: names in :data:`telltime.views.edits.PIXELS`, as many of them in turn as there are versions.
        versions: edited versions of a video.
        both: how often a second edit follows, a share 0 to 1.
        most_frames: of a longer video this many sampled frames are taken.
        spread: take them from all over the video rather than in a row.
        seed: of everything drawn, with the record's id.
    """

    edits: tuple[str, ...] = tuple(PIXELS)
    versions: int = 5
    both: float = 0.3
    most_frames: int = 48
    spread: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.edits if name not in PIXELS]
        if unknown or not self.edits:
            raise ValueError(f"edits are some of {', '.join(PIXELS)}, not {', '.join(unknown) or 'none'}")
        if self.versions < 1 or self.most_frames < 1 or not 0 <= self.both <= 1:
            raise ValueError(f"versions and most_frames are at least 1 and both a share, not {self}")


def describe_edited(
    describer: Describer,
    table: Table,
    store: FrameStore,
    editing: Editing,
    policy: BadMedia,
    workers: int = 1,
    progress: Progress | None = None,
) -> None:
    """Fill ``store`` with the rows of every readable video of ``table``; what is there already is kept.

    Raises:
        MediaError, TooManyDropped: as the policy says.
    """
    marks = {record.id: mark(record) for record in table.records}
    todo = [record for record in table.records if store.mark(record.id) != marks[record.id]]
    told = TablePolicy(policy, len(table))
    for number, (record, found) in enumerate(edited_rows(describer, todo, table, editing, workers), start=1):
        if isinstance(found, MediaError):
            told.handle(record, found)
            told.check(len(table))
        else:
            rows, times = found
            store.add(record.id, marks[record.id], rows.flatten(0, 1), np.tile(times, len(rows)))
        if progress:
            progress(number, len(todo))


def edited_rows(
    describer: Describer, records: Sequence[Record], table: Table, editing: Editing, workers: int = 1
) -> Iterator[tuple[Record, tuple[Tensor, np.ndarray] | MediaError]]:
    """Rows of videos and of their edited versions: float32 ``[versions + 1, n, D]``, and seconds ``[n]``.

    Args:
        records: of ``table``, which gives the grounds of pictures in pictures.
        workers: threads that read and edit.
    """
    if not records:
        return
    work = _Work(describer.reader, editing, _grounds(table, editing.seed, describer.reader))
    count = min(max(1, workers), len(records))
    lines = [Ahead(work(records[r::count])) for r in range(count)]
    try:
        for number, record in enumerate(records):
            found = next(lines[number % len(lines)])
            if isinstance(found, MediaError):
                yield record, found
            else:
                pixels, times = found
                yield record, (describer.pixels_rows(pixels).unflatten(0, (editing.versions + 1, -1)), times)
    finally:
        for line in lines:
            line.close()


def sequences(store: FrameStore, ids: Sequence[str], versions: int) -> Ragged:
    """The store's rows with every version a sequence of its own: ``versions + 1`` a video, the original first."""
    found = store.ragged(ids, dtype=None)
    lengths = torch.repeat_interleave(found.lengths // (versions + 1), versions + 1)
    return Ragged(found.rows, offsets_of(lengths))


class _Work:
    """Reads videos and edits them; called in a thread."""

    def __init__(self, reader: FrameReader, editing: Editing, grounds: list[Tensor]) -> None:
        self.reader, self.editing, self.grounds = reader, editing, grounds

    def __call__(self, records: Sequence[Record]) -> Iterator[tuple[Tensor, np.ndarray] | MediaError]:
        for record in records:
            try:
                yield self._made(record)
            except MediaError as error:
                yield error

    def _made(self, record: Record) -> tuple[Tensor, np.ndarray]:
        """Frames of all versions, uint8 ``[(versions + 1) * n, 3, size, size]``, and seconds ``[n]``."""
        editing, reader = self.editing, self.reader
        rng = item_rng(editing.seed, 0, record.id)
        with Video(record.path, span=record.span) as video:
            wanted = np.unique(reader.wanted(video))
            wanted = _some(wanted, editing, rng)
            read = video.frames(wanted, partial=True, short_side=round(_MARGIN * reader.short_side))
        if not len(read):
            raise TooShort(record.path, "gives no frame to describe")
        made = [reader.frames(read.pixels)]
        order = rng.permutation(len(editing.edits))
        for version in range(editing.versions):
            frames = self._edited(read.pixels, editing.edits[order[version % len(order)]], rng)
            if rng.rand() < editing.both:
                frames = self._edited(frames, editing.edits[rng.randint(len(editing.edits))], rng)
            made.append(reader.frames(frames.contiguous()))
        return torch.cat(made), read.times

    def _edited(self, frames: Tensor, name: str, rng: np.random.RandomState) -> Tensor:
        if name == "picture-in-picture" and self.grounds:
            return picture_in_picture(frames, rng, self.grounds[rng.randint(len(self.grounds))])
        return PIXELS[name](frames, rng)


def _some(wanted: np.ndarray, editing: Editing, rng: np.random.RandomState) -> np.ndarray:
    """Which of a video's sampled frames are edited, in their order."""
    if editing.spread:
        return np.sort(rng.permutation(wanted)[: editing.most_frames])
    first = rng.randint(max(1, len(wanted) - editing.most_frames + 1))
    return wanted[first : first + editing.most_frames]


def _grounds(table: Table, seed: int, reader: FrameReader) -> list[Tensor]:
    """A frame of each of some videos, uint8 ``[1, 3, h, w]``."""
    found = []
    for place in item_rng(seed, 0, "\0grounds").permutation(len(table))[:_GROUNDS].tolist():
        record = table.records[place]
        try:
            with Video(record.path, span=record.span) as video:
                middle = video.probe().frames // 2
                found.append(video.frames([middle], partial=True, short_side=reader.short_side).pixels)
        except MediaError:
            continue
    return [frames for frames in found if len(frames)]
