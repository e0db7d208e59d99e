"""Features of every photo of a table, computed once and kept under what the photo holds.

A row is marked by a hash of the whole file, so that a changed photo is computed again, and one that was moved, copied
or renamed is not. What made the rows (tower, weights, profile, size) stands in the store's settings: a store made with
others is refused.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.build import digest_of
from telltime.clips.ahead import made_ahead
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Record, Table
from telltime.features.policy import TablePolicy
from telltime.features.store import Store, StoreError
from telltime.media.errors import MediaError, MediaNotFound, Unreadable
from telltime.media.frames import Limits
from telltime.media.image import read_image

FEATURE = "feature"
_SHARD_ROWS, _SHARD_SECONDS = 1024, 60.0
_BLOCK = 1 << 20

Progress = Callable[[int, int], None]


class Photos(NamedTuple):
    """Photos of a table that have features, in the table's order.

    Attributes:
        table: their records.
        features: float32 ``[len(table), D]``.
        marks: what each file held, 32 hexadecimal digits.
    """

    table: Table
    features: Tensor
    marks: tuple[str, ...]


def content(path: str | Path) -> str:
    """A hash of all that a file holds, wherever it lies: 32 hexadecimal digits.

    Raises:
        MediaNotFound: there is no such file.
        Unreadable: it cannot be read.
    """
    found = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while block := file.read(_BLOCK):
                found.update(block)
    except FileNotFoundError:
        raise MediaNotFound(path, "no such file") from None
    except OSError as error:
        raise Unreadable(path, f"cannot be read ({error.strerror or error})") from None
    return found.hexdigest()


def photo_settings(tower: ImageTower) -> dict[str, Any]:
    """What decides the features beside the photo, as JSON has it."""
    return {
        "kind": "photos",
        "tower": tower.name,
        "profile": tower.profile,
        "size": tower.size,
        "numbers": tower.dim,
        "digest": digest_of(tower),
    }


def embed_photos(
    tower: ImageTower,
    table: Table,
    store: str | Path | Store | None = None,
    policy: BadMedia | None = None,
    workers: int = 1,
    progress: Progress | None = None,
    *,
    limits: Limits | None = None,
    device: str | torch.device | None = None,
    batch: int | None = None,
) -> Store:
    """A store with a row ``"feature"``, float32 ``[D]``, for every readable photo of ``table``.

    What is there and of the same content is not computed again, so that an interrupted run goes on where it was.
    Photos that are in the store and not in the table stay; one that can no longer be read is forgotten.

    Args:
        tower: put on ``device``.
        store: folder of the store, or one made with :func:`photo_settings`; ``None`` keeps it in memory.
        policy: what to do about photos that cannot be read; by default the first one is raised.
        workers: threads that decode beside the network; 0 decodes and computes by turns.
        progress: called with photos done and photos of the table.
        limits: how large a picture may be.
        device: by default a GPU if there is one.
        batch: photos that go through the network at once.

    Raises:
        MediaError, TooManyDropped: as the policy says; what was computed until then is kept.
        StoreError: the store was made by another tower or profile, is damaged, or cannot be written to.
    """
    if not isinstance(store, Store):
        store = Store.create(store, photo_settings(tower))
    tower.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    told = TablePolicy(BadMedia() if policy is None else policy, len(table), "photos")
    size = batch or (128 if tower.mean.device.type == "cuda" else 16)
    before = store.snapshot()
    writer = _Writer(tower, store, before, size)
    try:
        for done, (record, found) in enumerate(_prepared(tower, table, before, workers, limits or Limits(), size), 1):
            if isinstance(found, MediaError):
                store.forget([record.id])
                told.handle(record, found)
                told.check(len(table))
            elif isinstance(found, Exception):
                raise found
            elif found.pixels is not None:
                writer.add(record.id, found.mark, found.pixels)
            elif store.mark(record.id) != found.mark:
                writer.copy(record.id, found.mark)
            if progress:
                progress(done, len(table))
    finally:
        writer.close()
    return store


def photo_features(store: Store, table: Table) -> Photos:
    """What a store holds of the photos of a table; those without a row are left out."""
    kept = [i for i, record in enumerate(table.records) if store.mark(record.id) is not None]
    part = table.take(kept)
    ids = [record.id for record in part.records]
    return Photos(part, store.read(FEATURE, ids).float(), tuple(str(store.mark(i)) for i in ids))


class _Found(NamedTuple):
    """A photo's content, and its pixels where they have to be computed on."""

    mark: str
    pixels: Tensor | None


def _prepared(
    tower: ImageTower, table: Table, store: Store, workers: int, limits: Limits, batch: int
) -> Iterator[tuple[Record, _Found | Exception]]:
    """Every record in order with what a thread made of its file, a few batches ahead of the one who asks."""
    there = store.marks()

    def one(record: Record) -> _Found:
        mark = content(record.path)
        if store.mark(record.id) == mark or mark in there:
            return _Found(mark, None)
        return _Found(mark, tower.prepare(read_image(record.path, limits, tower.least)))

    return made_ahead(table.records, one, workers, 2 * batch + workers)


class _Writer:
    """Gathers pictures into batches and rows into shards.

    Args:
        before: the store as it was, to copy from.
    """

    def __init__(self, tower: ImageTower, store: Store, before: Store, batch: int) -> None:
        self.tower, self.store, self.before, self.batch = tower, store, before, batch
        self.pictures: list[tuple[str, str, Tensor]] = []
        self.rows: list[tuple[str, str, Tensor]] = []
        self.copies: list[tuple[str, str]] = []
        self.since = time.monotonic()

    def add(self, row_id: str, mark: str, pixels: Tensor) -> None:
        """A picture to compute."""
        self.pictures.append((row_id, mark, pixels))
        if len(self.pictures) >= self.batch:
            self._compute()
        if len(self.rows) >= _SHARD_ROWS or time.monotonic() - self.since > _SHARD_SECONDS:
            self._flush()

    def copy(self, row_id: str, mark: str) -> None:
        """A picture whose content the store has under another id."""
        self.copies.append((row_id, mark))

    def close(self) -> None:
        """Write what is left."""
        self._compute()
        self._flush()
        if self.copies:
            there = self.before.marks()
            names, marks = zip(*self.copies, strict=True)
            self._add(names, marks, self.before.read(FEATURE, [there[mark] for mark in marks]))
            self.copies = []

    @torch.no_grad()
    def _compute(self) -> None:
        if not self.pictures:
            return
        found = self.tower(torch.stack([pixels for _, _, pixels in self.pictures])).cpu()
        self.rows += [(i, mark, row) for (i, mark, _), row in zip(self.pictures, found, strict=True)]
        self.pictures = []

    def _flush(self) -> None:
        if self.rows:
            ids, marks, rows = zip(*self.rows, strict=True)
            self._add(ids, marks, torch.stack(rows))
            self.rows = []
        self.since = time.monotonic()

    def _add(self, ids: Sequence[str], marks: Sequence[str], rows: Tensor) -> None:
        try:
            self.store.add(ids, marks, {FEATURE: rows})
        except OSError as error:
            raise StoreError(f"{self.store.folder} cannot be written to ({error.strerror or error})") from error
