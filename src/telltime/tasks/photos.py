"""What evaluations on photos share: features of those with a known time that the model has not learnt from."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.errors import listed
from telltime.datasets.record import DatasetError, Record, Table
from telltime.features.photos import embed_photos, photo_features, photo_settings
from telltime.features.store import Store
from telltime.media.errors import MediaError
from telltime.media.image import read_image
from telltime.tasks.measuring import Reading


@dataclass(frozen=True)
class Measured:
    """Photos to measure on.

    Attributes:
        table: their records.
        features: float32 ``[N, D]``, as the tower gives them.
        hours: float64 ``[N]``, local time of day.
        timeless: names of photos whose time is not known.
        learnt: photos that the model was trained on, by what their files hold.
        dropped: photos that cannot be read.
    """

    table: Table
    features: Tensor
    hours: np.ndarray
    timeless: tuple[str, ...]
    learnt: int
    dropped: int

    def __len__(self) -> int:
        return len(self.table)

    def notes(self) -> list[str]:
        """A sentence for each reason why photos are not measured on."""
        told = []
        if self.learnt:
            told.append(f"{_photos(self.learnt)} that the model was trained on left out.")
        if self.timeless:
            told.append(f"{_photos(len(self.timeless))} without a known time left out: {listed(list(self.timeless))}.")
        return [*told, *self.table.notes]


def measured(tower: ImageTower, table: Table, reading: Reading, learnt: Collection[str] = ()) -> Measured:
    """Features of the photos of a table that count.

    Args:
        learnt: contents of the photos that the model was trained on.

    Raises:
        DatasetError: not one is left; says why.
        MediaError, TooManyDropped: as the policy says.
    """
    hours = table.hours()
    timed = table.take(np.flatnonzero(np.isfinite(hours)).tolist())
    settings = photo_settings(tower)
    key = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=6).hexdigest()
    folder = None if reading.cache is None else reading.cache / f"photos-{key}"
    store = Store.create(folder, settings)
    embed_photos(
        tower,
        timed,
        store,
        reading.policy,
        reading.workers,
        reading.told(f"{table.split}: features"),
        limits=reading.limits,
        device=reading.device,
    )
    found = photo_features(store, timed)
    known = set(learnt)
    new = [i for i, mark in enumerate(found.marks) if mark not in known]
    part = found.table.take(new)
    seen, dropped = len(found.table) - len(new), len(timed) - len(found.table)
    if not new:
        reasons = [f"{len(table) - len(timed)} tell no time"] if len(timed) < len(table) else []
        reasons += [f"{dropped} cannot be read"] if dropped else []
        reasons += [f"{seen} are photos the model was trained on"] if seen else []
        raise DatasetError(
            f"not one of {len(table)} photos of {table.root} is left to measure on: {', '.join(reasons)}"
        )
    known_ids = {record.id for record in timed.records}
    timeless = tuple(record.id for record in table.records if record.id not in known_ids)
    return Measured(part, found.features[new], part.hours(), timeless, seen, dropped)


def data_of(found: Measured, table: Table) -> dict[str, Any]:
    """What was measured on: name, root, and a hash of photos and times."""
    state = hashlib.blake2b(digest_size=16)
    for record, hour in zip(found.table.records, found.hours.tolist(), strict=True):
        state.update(f"{record.id}\0{hour!r}\0".encode())
    return {
        "name": table.name,
        "root": str(table.root),
        "split": table.split,
        "photos": len(found),
        "missing": len(table.missing),
        "learnt": found.learnt,
        "timeless": len(found.timeless),
        "digest": state.hexdigest(),
    }


def thumbnail(record: Record, side: int = 160) -> np.ndarray | None:
    """A small picture, uint8 ``[1, 3, h, w]`` RGB; ``None`` when it cannot be read."""
    from PIL import Image

    try:
        picture = Image.fromarray(read_image(record.path, least=side).permute(1, 2, 0).numpy())
    except MediaError:
        return None
    picture.thumbnail((2 * side, side))
    return np.asarray(picture).transpose(2, 0, 1)[None].copy()


def clock_text(hour: float) -> str:
    """``"17:05"``."""
    minutes = round(hour * 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _photos(count: int) -> str:
    return f"{count:,} photo{'s' * (count != 1)}"
