"""Features of every test position of every video, from one decode a video, computed once.

Features are cached row by row: a folder for each (weights, clip, positions), a row for each video with a mark of its
file. So a changed model or setting starts afresh, a changed or added video is computed alone, and an interrupted run
goes on where it was.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.checkpoints.model import Model
from telltime.clips.item import ItemReader
from telltime.clips.loader import ClipLoader
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Table
from telltime.features.marks import mark
from telltime.features.policy import TablePolicy
from telltime.features.store import Store
from telltime.media.video import Limits

_SHARD_ROWS = 256
_SHARD_SECONDS = 60.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class FeatureSet:
    """Features of the videos of a table that could be read, in the table's order.

    Attributes:
        table: the records that have features.
        store: where the features are.
        dropped: ids of the records that have none.
    """

    table: Table
    store: Store = field(repr=False)
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(record.id for record in self.table.records)

    @property
    def labels(self) -> np.ndarray:
        """int64 ``[N]``; -1 where a record has none."""
        return self.table.labels()

    @property
    def present(self) -> Tensor:
        """bool ``[N, P]``: which positions could be read."""
        return self.store.read("present", self.ids)

    @property
    def slices(self) -> Tensor:
        """float32 ``[N, P, C * T']``: averaged over space, channel by channel; zero where not :attr:`present`."""
        return self._each(lambda values: values["slices"].flatten(2))

    @property
    def pooled(self) -> Tensor:
        """float32 ``[N, P, C]``: averaged over space and time; zero where not :attr:`present`."""
        return self._each(lambda values: values["slices"].mean(3))

    def video(self, mean: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """float32 ``[N, C * T']``: one feature a video, made of its positions' and :attr:`present` by ``mean``.

        See :mod:`telltime.metrics.retrieval` for the published mean and the honest one.
        """
        return self._each(lambda values: mean(values["slices"].flatten(2), values["present"]))

    def _each(self, reduce: Callable[[dict[str, Tensor]], Tensor]) -> Tensor:
        """``reduce`` on every shard's rows, put together, so that no more than one shard is held whole."""
        joined: Tensor | None = None
        for positions, values in self.store.shards(self.ids):
            part = reduce(values)
            if joined is None:
                joined = part.new_zeros(len(self), *part.shape[1:])
            joined[positions] = part
        return torch.zeros(0) if joined is None else joined


def embed_table(
    model: Model,
    table: Table,
    positions: int = 10,
    cache: str | Path | None = None,
    policy: BadMedia | None = None,
    workers: int = 0,
    batch: int = 16,
    *,
    limits: Limits | None = None,
    device: str | torch.device | None = None,
    reader: ItemReader | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> FeatureSet:
    """Features of ``positions`` clips of every video of a table.

    Args:
        model: put on ``device`` and used in evaluation mode.
        positions: test positions a video, spread as the published evaluations spread them.
        cache: folder of cached features; ``None`` caches nothing.
        policy: what to do about videos that cannot be read; by default the first one is raised.
        workers: processes that decode.
        batch: clips forwarded at a time.
        device: by default a GPU if there is one.
        reader: other clips than the model's own: a dataclass that gives ``clips`` in RGB and ``present``.
        store: write here rather than to ``cache``; made with :func:`store_settings`.
        progress: called with videos done and videos to do.

    Raises:
        MediaError, TooManyDropped: as the policy says.
        StoreError: the cache is damaged.
    """
    reader = reader or model.reader(positions)
    if store is None:
        settings = store_settings(model, reader)
        folder = Path(cache) / _name(settings) if cache is not None else None
        store = Store.create(folder, settings)
    marks = [mark(record) for record in table.records]
    todo = [i for i, record in enumerate(table.records) if store.mark(record.id) != marks[i]]
    if todo:
        part = table.take(todo)
        told = TablePolicy(BadMedia() if policy is None else policy, len(table))
        limits = Limits() if limits is None else limits
        rows = _compute(model, part, reader, told, workers, batch, limits, device, progress)
        _keep(store, rows, part, [marks[i] for i in todo])
    kept = [i for i, record in enumerate(table.records) if store.mark(record.id) == marks[i]]
    dropped = {record.id for record in table.records} - {table.records[i].id for i in kept}
    return FeatureSet(table.take(kept), store, tuple(r.id for r in table.records if r.id in dropped))


def store_settings(model: Model, reader: ItemReader) -> dict[str, Any]:
    """What decides features beside the video: the weights, and which clips they see, as JSON has them."""
    return {"model": model.digest(), "reader": type(reader).__name__, **asdict(reader)}  # type: ignore[call-overload]


def _name(settings: dict[str, Any]) -> str:
    """A folder name that differs where settings do."""
    key = json.dumps(settings, sort_keys=True)
    return f"{settings['model'][:12]}-{hashlib.blake2b(key.encode(), digest_size=6).hexdigest()}"


Rows = tuple[list[int], dict[str, Tensor]]


def _compute(
    model: Model,
    table: Table,
    reader: ItemReader,
    policy: BadMedia,
    workers: int,
    batch: int,
    limits: Limits,
    device: str | torch.device | None,
    progress: Progress | None,
) -> Iterator[Rows]:
    """Rows of features as they come: indices into the table, and tensors for them."""
    model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    videos = max(1, batch // 10)
    loader = ClipLoader(
        table.records, reader, batch_size=videos, seed=0, workers=workers, policy=policy, limits=limits, shuffle=False
    )
    batches = loader.epoch(0)
    for items in batches:
        present = items["present"]
        found = model.features(items["clips"][present], batch).slices.float().cpu()
        slices = found.new_zeros(*present.shape, *found.shape[1:])
        slices[present] = found
        yield items["index"].tolist(), {"slices": slices, "present": present}
        if progress:
            progress(min(batches.position * videos, len(table)), len(table))


def _keep(store: Store, rows: Iterator[Rows], table: Table, marks: list[str]) -> None:
    """Write rows in shards of a few hundred, or of a minute's work; what is there when an error comes is kept too."""
    held: list[Rows] = []
    since = time.monotonic()

    def flush() -> None:
        if held:
            indices = [i for row, _ in held for i in row]
            values = {name: torch.cat([value[name] for _, value in held]) for name in held[0][1]}
            store.add([table.records[i].id for i in indices], [marks[i] for i in indices], values)
            held.clear()

    try:
        for row in rows:
            held.append(row)
            if len(held) >= _SHARD_ROWS or time.monotonic() - since > _SHARD_SECONDS:
                flush()
                since = time.monotonic()
    finally:
        flush()
