"""What a loading process does, and how the main process knows that it still does it."""

import re
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from telltime.clips.item import Item, ItemReader, item_rng, put, room
from telltime.clips.policy import WorkerDied
from telltime.datasets.record import Record
from telltime.media.errors import DecodeTimeout, MediaError
from telltime.media.video import Limits, Video

Request = tuple[int, int]
"""Epoch and row of the table."""


class Read(NamedTuple):
    """What came of one batch: the items that could be read, and why the others could not."""

    batch: dict[str, Tensor | np.ndarray] | None
    failures: list[tuple[int, MediaError]]


class Reading(Dataset[Read]):
    """Turns requests into items; every worker has a copy."""

    def __init__(
        self,
        records: tuple[Record, ...],
        reader: ItemReader,
        labels: np.ndarray,
        seed: int,
        limits: Limits,
        backend: str,
        stop_early: bool,
        workers: int,
    ) -> None:
        self.records, self.reader, self.labels, self.seed = records, reader, labels, seed
        self.limits, self.backend, self.stop_early = limits, backend, stop_early
        self._busy = torch.zeros(max(1, workers), 2, dtype=torch.float64).share_memory_()

    def forget(self) -> None:
        """Before new workers start: nothing is known of what they do."""
        self._busy.zero_()

    def __getitems__(self, requests: list[Request]) -> Read:
        worker = get_worker_info()
        busy = self._busy[worker.id if worker else 0]
        batch: Item | None = None
        count = 0
        failures: list[tuple[int, MediaError]] = []
        for epoch, row in requests:
            busy[1] = row
            busy[0] = time.monotonic()
            try:
                item = self._item(epoch, row)
            except MediaError as error:
                failures.append((row, error))
                if self.stop_early:
                    break
                continue
            batch = batch or room(item, len(requests), shared=worker is not None)
            put(batch, count, item)
            count += 1
        busy[0] = 0
        if batch is None:
            return Read(None, failures)
        return Read({key: _light(entry[:count]) for key, entry in batch.items()}, failures)

    def _item(self, epoch: int, row: int) -> Item:
        record = self.records[row]
        with Video(record.path, self.backend, self.limits, record.span) as video:
            item = dict(self.reader(video, item_rng(self.seed, epoch, record.id)))
        if not record.mirrors and "flip" in item:
            item["flip"] = torch.zeros_like(item["flip"])
        item["index"] = torch.tensor(row)
        item["label"] = torch.tensor(int(self.labels[row]))
        return item

    def stall(self, since: float) -> Exception | None:
        """What is wrong if a worker is on one item for more than twice the limit of one read, or none does anything."""
        allowed, now = 2 * self.limits.seconds, time.monotonic()
        started, rows = self._busy[:, 0].tolist(), self._busy[:, 1].tolist()
        for start, row in zip(started, rows, strict=True):
            if start and now - start > allowed:
                reason = f"no answer after {now - start:.0f} seconds, where one read may take {self.limits.seconds:g}"
                return DecodeTimeout(self.records[int(row)].path, reason)
        if not any(started) and now - since > allowed:
            return WorkerDied(f"the loading processes have been idle for {now - since:.0f} seconds; try fewer of them")
        return None


def _light(entry: Tensor) -> Tensor | np.ndarray:
    """A small tensor as an array: every tensor that goes between processes costs a file descriptor, arrays none."""
    return entry.numpy() if entry.nbytes <= 4096 and get_worker_info() else entry


def worker_death(error: BaseException) -> WorkerDied | None:
    """One sentence for PyTorch's report of a dead loading process; ``None`` for any other error.

    PyTorch may raise it anywhere in the main process, not only while a batch is awaited.
    """
    found = re.match(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)(?: is killed by signal: ([^.]+))?", str(error))
    if found is None or not isinstance(error, RuntimeError):
        return None
    pids, signal = found.groups()
    how = f"was killed ({signal.strip()})" if signal else "ended unexpectedly"
    return WorkerDied(
        f"loading process {pids.strip()} {how}, often for lack of memory: try fewer workers or a smaller batch"
    )
