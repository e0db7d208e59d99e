"""Frame descriptors of every video of a table, computed once and kept."""

from collections.abc import Callable
from pathlib import Path

import torch

from telltime.checkpoints.describer import Describer
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Table
from telltime.features.frame_store import FrameStore
from telltime.features.marks import mark
from telltime.features.policy import TablePolicy
from telltime.media.errors import MediaError
from telltime.media.video import Limits, Video

Progress = Callable[[int, int], None]


def describe_table(
    describer: Describer,
    table: Table,
    store: str | Path | FrameStore | None = None,
    policy: BadMedia | None = None,
    workers: int = 1,
    *,
    limits: Limits | None = None,
    device: str | torch.device | None = None,
    dtype: str = "float16",
    progress: Progress | None = None,
) -> FrameStore:
    """A store with the rows of every readable video of ``table``, before the encoder: ``describer.encode`` comes after.

    What is there and of the same file is not computed again, so that an interrupted run goes on where it was, and a
    changed or added video is computed alone. Videos that are in the store and not in the table stay.

    Args:
        describer: put on ``device``.
        store: folder of the store, or one made with ``describer.settings()``; ``None`` is a temporary one.
        policy: what to do about videos that cannot be read; by default the first one is raised.
        workers: threads that decode beside the network; 0 decodes and describes by turns.
        limits: how large a file may be, and how long one picture may take.
        device: by default a GPU if there is one.
        dtype: of a new store, ``"float16"`` or ``"float32"``.
        progress: called with videos done and videos to do.

    Raises:
        MediaError, TooManyDropped: as the policy says.
        StoreError: the store was made with other settings, is damaged, or cannot be written to.
    """
    if not isinstance(store, FrameStore):
        store = FrameStore.create(store, describer.settings(), dtype)
    describer.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    marks = {record.id: mark(record) for record in table.records}
    todo = [record for record in table.records if store.mark(record.id) != marks[record.id]]
    told = TablePolicy(BadMedia() if policy is None else policy, len(table))
    videos = (Video(record.path, limits=limits or Limits(), span=record.span) for record in todo)
    for done, (record, (rows, times)) in enumerate(zip(todo, describer.stream(videos, workers), strict=True), 1):
        if isinstance(rows, MediaError):
            told.handle(record, rows)
            told.check(len(table))
        elif isinstance(rows, Exception):
            raise rows
        else:
            store.add(record.id, marks[record.id], rows, times)
        if progress:
            progress(done, len(todo))
    return store
