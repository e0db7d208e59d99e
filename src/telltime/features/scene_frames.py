"""Features of the four frames of a video that TICL's scene probe looks at, computed once and kept."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.clips.ahead import made_ahead
from telltime.clips.policy import BadMedia
from telltime.clips.scene_frames import COUNT, USED, used_frames
from telltime.datasets.record import Record, Table
from telltime.features.marks import mark
from telltime.features.photos import photo_settings
from telltime.features.policy import TablePolicy
from telltime.features.store import Store
from telltime.media.errors import MediaError
from telltime.media.frames import Limits
from telltime.media.video import Video

FRAMES = "frames"
_SHARD = 256

Progress = Callable[[int, int], None]


class SceneRows(NamedTuple):
    """Videos of a table that have features, in the table's order.

    Attributes:
        table: their records.
        frames: float32 ``[len(table), 4, D]``.
        dropped: ids of those that have none.
    """

    table: Table
    frames: Tensor
    dropped: tuple[str, ...]


def scene_rows(
    tower: ImageTower,
    table: Table,
    cache: str | Path | None = None,
    policy: BadMedia | None = None,
    workers: int = 1,
    *,
    mirrored: bool = False,
    limits: Limits | None = None,
    device: str | torch.device | None = None,
    progress: Progress | None = None,
) -> SceneRows:
    """Features of four frames of every readable video, see :func:`telltime.clips.scene_frames.used_frames`.

    What is in the cache and of the same file is not computed again.

    Args:
        tower: put on ``device``.
        cache: folder of cached features; ``None`` keeps them in memory.
        policy: what to do about videos that cannot be read; by default the first one is raised.
        workers: threads that decode beside the network; 0 decodes and computes by turns.
        mirrored: left and right exchanged.
        device: by default a GPU if there is one.
        progress: called with videos done and videos to do.

    Raises:
        MediaError, TooManyDropped: as the policy says.
        StoreError: the cache is damaged.
    """
    settings = photo_settings(tower) | {"kind": "scene-frames", "frames": USED, "of": COUNT, "mirrored": mirrored}
    store = Store.create(None if cache is None else Path(cache) / _name(settings), settings)
    tower.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    marks = {record.id: mark(record) for record in table.records}
    todo = [record for record in table.records if store.mark(record.id) != marks[record.id]]
    told = TablePolicy(BadMedia() if policy is None else policy, len(table))
    held: list[tuple[str, Tensor]] = []

    def keep() -> None:
        if held:
            ids, rows = zip(*held, strict=True)
            store.add(ids, [marks[each] for each in ids], {FRAMES: torch.stack(rows)})
            held.clear()

    try:
        for done, (record, found) in enumerate(_read(tower, todo, workers, limits or Limits(), mirrored), 1):
            if isinstance(found, MediaError):
                told.handle(record, found)
                told.check(len(table))
            elif isinstance(found, Exception):
                raise found
            else:
                with torch.no_grad():
                    held.append((record.id, tower(found).cpu()))
            if len(held) == _SHARD:
                keep()
            if progress:
                progress(done, len(todo))
    finally:
        keep()
    kept = [i for i, record in enumerate(table.records) if store.mark(record.id) == marks[record.id]]
    part = table.take(kept)
    there = {record.id for record in part.records}
    frames = store.read(FRAMES, [record.id for record in part.records])
    return SceneRows(part, frames, tuple(record.id for record in table.records if record.id not in there))


def _name(settings: dict[str, object]) -> str:
    """A folder name that differs where settings do."""
    return f"scenes-{hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=8).hexdigest()}"


def _read(
    tower: ImageTower, records: list[Record], workers: int, limits: Limits, mirrored: bool
) -> Iterator[tuple[Record, Tensor | Exception]]:
    """Every record with its frames at the tower's size, uint8 ``[4, 3, S, S]``, a few videos ahead."""

    def one(record: Record) -> Tensor:
        with Video(record.path, limits=limits, span=record.span) as video:
            pixels = video.frames(used_frames(video.probe().frames)).pixels
        return torch.stack([tower.prepare(frame.flip(2) if mirrored else frame) for frame in pixels])

    return made_ahead(records, one, workers, 2 * workers)
