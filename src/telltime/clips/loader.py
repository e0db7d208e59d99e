"""Batches of items, read by worker processes, the same for any number of them.

>>> loader = ClipLoader(table.records, reader, batch_size=40, seed=0, workers=4, policy=BadMedia("skip", log))
>>> for batch in loader.epoch(0):
...     batch["clips"], batch["label"], batch["index"]
"""

import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from telltime.clips._worker import Read, Reading, Request, worker_death
from telltime.clips.item import Item, ItemReader, item_rng
from telltime.clips.policy import BadMedia, TooManyDropped
from telltime.datasets.record import Record
from telltime.media.errors import MediaError
from telltime.media.video import Limits

__all__ = ["ClipLoader", "EpochBatches", "epoch_order", "worker_death"]


def epoch_order(records: int, seed: int, epoch: int, shuffle: bool = True) -> np.ndarray:
    """int64 ``[records]``: in which order an epoch goes through the rows of a table."""
    if not shuffle:
        return np.arange(records)
    return item_rng(seed, epoch, "\0order").permutation(records)


class ClipLoader:
    """Reads a data set epoch by epoch.

    Args:
        records: the rows of the table.
        reader: makes an item of an open video and its random numbers.
        batch_size: items of one batch, over all processes together.
        seed: with the epoch it decides the order, with the record's id too an item's random numbers.
        workers: loading processes; 0 reads in this one. They stay alive between epochs.
        policy: what to do about media that cannot be read.
        limits: how large a file may be and how long one read may take.
        shuffle: another order every epoch; otherwise that of the table.
        drop_last: leave out a last batch that is not full.
        rank, world: this process and how many train together; each takes every ``world``-th item of every batch.
        labels: int ``[records]``, instead of the records' own.
        backend: of :class:`telltime.media.video.Video`.
        pin_memory: hand out batches in page-locked memory, for a faster way to a GPU.
        prefetch: batches each worker reads ahead.

    A batch is what the reader gives, stacked, with ``"index"`` (int64 ``[B]``, row of the table) and ``"label"`` (int64
    ``[B]``, -1 where there is none). Items that cannot be read are missing from it. A batch with nothing in it is
    passed over, except when several processes train together: then it comes with no entries but an empty ``"index"``
    and ``"label"``, so that all of them see as many batches.
    """

    def __init__(
        self,
        records: Sequence[Record],
        reader: ItemReader,
        batch_size: int,
        seed: int,
        workers: int = 0,
        policy: BadMedia | None = None,
        limits: Limits | None = None,
        shuffle: bool = True,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
        labels: Sequence[int] | np.ndarray | None = None,
        *,
        backend: str = "auto",
        pin_memory: bool = False,
        prefetch: int = 2,
    ) -> None:
        if batch_size < 1 or workers < 0 or not 0 <= rank < world:
            raise ValueError(f"impossible {batch_size=}, {workers=}, {rank=}, {world=}")
        self.records = tuple(records)
        if labels is None:
            labels = [-1 if record.label is None else record.label for record in self.records]
        if len(labels) != len(self.records):
            raise ValueError(f"{len(labels)} labels for {len(self.records)} records")
        self.batch_size, self.seed, self.workers = batch_size, seed, workers
        self.shuffle, self.drop_last, self.rank, self.world = shuffle, drop_last, rank, world
        self.policy, self.limits = policy or BadMedia(), limits or Limits()
        stop_early = self.policy.mode == "raise"
        self._reading = Reading(
            self.records, reader, np.asarray(labels, dtype=np.int64), seed, self.limits, backend, stop_early, workers
        )
        self._pin_memory, self._prefetch = pin_memory, prefetch
        self._plan: list[list[Request]] = []
        self._loader: DataLoader[Read] | None = None
        self._current: Callable[[], EpochBatches | None] = lambda: None

    def __len__(self) -> int:
        """Batches of one epoch, unreadable ones included."""
        full, rest = divmod(len(self.records), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def epoch(self, epoch: int, skip_batches: int = 0) -> "EpochBatches":
        """The batches of an epoch, from batch ``skip_batches`` on without reading those before it.

        Asking for another epoch ends the one before.
        """
        self._end_epoch()
        order = epoch_order(len(self.records), self.seed, epoch, self.shuffle).tolist()
        self._plan.clear()
        for number in range(skip_batches, len(self)):
            rows = order[number * self.batch_size : (number + 1) * self.batch_size]
            self._plan.append([(epoch, row) for row in rows[self.rank :: self.world]])
        with warnings.catch_warnings():
            # a recipe may ask for more workers than this machine has cores
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            self._loader = self._loader or self._start()
            reads = iter(self._loader)
        batches = EpochBatches(self, reads, skip_batches)
        self._current = weakref.ref(batches)
        return batches

    def close(self) -> None:
        """End the workers and the epoch at hand; the next epoch starts new ones.

        PyTorch ends them within a moment when the last reference goes, but waits five seconds for each if it is the
        garbage collector that finds them. So whatever fails here closes first.
        """
        self._end_epoch()
        self._loader = None

    def _end_epoch(self) -> None:
        current = self._current()
        if current is not None:
            current._reads = iter(())

    def _start(self) -> "DataLoader[Read]":
        parallel = self.workers > 0
        self._reading.forget()
        return DataLoader(
            self._reading,
            batch_sampler=_Plan(self._plan),
            num_workers=self.workers,
            collate_fn=_as_it_is,
            pin_memory=self._pin_memory,
            timeout=min(5.0, self.limits.seconds) if parallel else 0,
            persistent_workers=parallel,
            prefetch_factor=self._prefetch if parallel else None,
            generator=torch.Generator(),
        )


class EpochBatches(Iterator[Item]):
    """The batches of one epoch.

    Attributes:
        position: how many of the epoch's batches are behind us, passed-over ones included: what ``skip_batches`` takes.
    """

    def __init__(self, loader: ClipLoader, reads: Iterator[Read], position: int) -> None:
        self.position = position
        self._loader, self._reads = loader, reads

    def __iter__(self) -> "EpochBatches":
        return self

    def __next__(self) -> Item:
        while True:
            read = self._wait()
            self.position += 1
            if read.failures:
                self._account(read.failures)
            if read.batch is not None:
                return {key: torch.as_tensor(entry) for key, entry in read.batch.items()}
            if self._loader.world > 1:
                return {"index": torch.empty(0, dtype=torch.int64), "label": torch.empty(0, dtype=torch.int64)}

    def _account(self, failures: list[tuple[int, MediaError]]) -> None:
        loader = self._loader
        try:
            for row, error in failures:
                loader.policy.handle(loader.records[row], error)
            loader.policy.check(len(loader.records))
        except (MediaError, TooManyDropped):
            loader.close()
            raise

    def _wait(self) -> Read:
        """The next batch from the workers, however long it takes while they get on."""
        since = time.monotonic()
        while True:
            try:
                return next(self._reads)
            except RuntimeError as error:
                died: Exception | None = worker_death(error)
                late = str(error).startswith("DataLoader timed out")
                if died is None and not late:
                    raise
            died = died or self._loader._reading.stall(since)
            if died is not None:
                self._loader.close()
                raise died


class _Plan:
    """The requests of the epoch at hand, batch by batch; read anew at the start of every epoch."""

    def __init__(self, plan: list[list[Request]]) -> None:
        self._plan = plan

    def __iter__(self) -> Iterator[list[Request]]:
        return iter(list(self._plan))

    def __len__(self) -> int:
        return len(self._plan)


def _as_it_is(read: Any) -> Any:
    return read
