"""Features of altered versions of photos, so that a head learns what does not depend on framing and exposure."""

import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from telltime.backbones.image_tower import ImageTower
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Table
from telltime.features.photos import FEATURE, embed_photos, photo_settings
from telltime.features.store import Store
from telltime.views.photos import LEAST_SIDE, altered

_RULE = "reframed and exposed, 1"


class AlteringTower(nn.Module):
    """An image tower that looks at an altered version of every photo, the same one each time.

    Args:
        tower: does the looking.
        view: number of the version.
    """

    def __init__(self, tower: ImageTower, view: int) -> None:
        super().__init__()
        self.tower, self.view = tower, view

    @property
    def mean(self) -> Tensor:
        """Says where the tower is."""
        return self.tower.mean

    @property
    def least(self) -> int:
        """Short side that a picture should at least be decoded with."""
        return round(self.tower.least / LEAST_SIDE) + 1

    def prepare(self, picture: Any) -> Tensor:
        """As :meth:`ImageTower.prepare`, of an altered picture; what is altered depends on its pixels and the view."""
        pixels = picture if isinstance(picture, Tensor) else torch.from_numpy(np.array(picture)).permute(2, 0, 1)
        seed = zlib.crc32(pixels[:, ::7, ::7].contiguous().numpy().tobytes())
        return self.tower.prepare(altered(pixels, np.random.default_rng([seed, self.view])))

    def forward(self, pictures: Tensor) -> Tensor:
        """As the tower."""
        return self.tower(pictures)


def embed_altered(
    tower: ImageTower, table: Table, folder: Path, views: int, policy: BadMedia, workers: int, device: Any
) -> None:
    """Compute the features of ``views`` altered versions of every photo into stores below ``folder``; resumable.

    Raises:
        MediaError, TooManyDropped, StoreError: as :func:`telltime.features.photos.embed_photos` does.
    """
    for view in range(views):
        store = Store.create(folder / f"view-{view}", _settings(tower, view))
        embed_photos(cast(Any, AlteringTower(tower, view)), table, store, policy, workers, device=device)


def altered_features(tower: ImageTower, table: Table, folder: Path, views: int) -> list[tuple[np.ndarray, Tensor]]:
    """For each version the rows of ``table`` that it has, and their features ``[n, D]``."""
    found = []
    for view in range(views):
        store = Store.create(folder / f"view-{view}", _settings(tower, view))
        rows = np.array([i for i, r in enumerate(table.records) if store.mark(r.id) is not None], np.int64)
        found.append((rows, store.read(FEATURE, [table.records[row].id for row in rows]).float()))
    return found


def _settings(tower: ImageTower, view: int) -> dict[str, Any]:
    return photo_settings(tower) | {"altered": _RULE, "view": view}
