"""What TICL learns from: photos whose time is known, as features that are computed once and lie in memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.calibration import FEWEST
from telltime.checkpoints.clock import standardised
from telltime.checkpoints.tower import find_tower, load_tower
from telltime.clips.source import Opened, Terms
from telltime.datasets.record import DatasetError, Table
from telltime.features.altered_photos import altered_features, embed_altered
from telltime.features.clock_keeper import ClockKeeper, Held
from telltime.features.feature_loader import FeatureLoader
from telltime.features.hdf5_photos import import_photos
from telltime.features.photos import Photos, embed_photos, photo_features, photo_settings
from telltime.features.store import Store

HDF5 = (".h5", ".hdf5")
_MOST_SUNS = 400


@dataclass(frozen=True)
class PhotoSource:
    """A source of features and hours for :class:`telltime.methods.ticl.TICL`.

    Photos are told apart by groups (day and place), so that what is held out shows no moment that was learnt from.
    With ``folds`` each photo is held out once: as many heads learn beside the first, each without one fold, and what
    they say of it decides which epoch is best and how to calibrate; the first head learns from all. With
    ``validation`` a share of the groups is set aside for the same. The trained model is saved as a clock.

    Args:
        model: the image tower, see :func:`telltime.checkpoints.tower.load_tower`.
        profile: how pictures are made ready; by default as the tower was trained.
        size: side of the pictures; by default the tower's.
        features: a store of features that are ready, by the table's ids; photos are not looked at then.
        standardise: shift and scale every number of a feature to mean 0 and deviation 1 over the photos learnt from.
        limit: and cut it off at so many deviations, where it is standardised; ``None`` leaves it.
        folds: parts that are held out in turn; 0 for none.
        validation: share of the photos set aside, 0 to below 1.
        calibrate: fit a calibration when the training has ended.
        views: altered versions of each photo that are learnt from beside it, see :mod:`telltime.views.photos`; each
            costs as much as embedding the photos does.
        views_up_to: with more photos than this there are no altered versions: then the photos are various enough.
        least_steps: batches that an epoch has at least, so that a few photos are gone through often.
        cache: folder for the features, shared by runs; by default ``features`` in the run.
    """

    model: str = "efficientnet-lite0"
    profile: str | None = None
    size: int | None = None
    features: str | None = None
    standardise: bool = True
    limit: float | None = 2.5
    folds: int = 0
    validation: float = 0.0
    calibrate: bool = False
    views: int = 0
    views_up_to: int = 2000
    least_steps: int = 1
    cache: str | None = None

    def __post_init__(self) -> None:
        if self.folds < 0 or self.folds == 1 or not 0 <= self.validation < 1 or self.least_steps < 1 or self.views < 0:
            raise ValueError(
                "folds are 0 or at least 2, validation is a share below 1, least_steps above 0, views not below 0"
            )
        if self.calibrate and not self.folds and not self.validation:
            raise ValueError("calibration takes photos that are held out: set folds or validation")

    @property
    def dim(self) -> int:
        """Numbers of a feature."""
        return _tower(self.model, self.profile, self.size).dim

    def open(self, terms: Terms) -> Opened:
        """Embed what is not embedded yet, and lay all features ready.

        Raises:
            DatasetError: fewer photos than it takes tell their time.
            CheckpointError: ``model`` looks at no photos.
            MediaError, TooManyDropped: as the policy says.
            StoreError: the kept features were made in another way, or cannot be written.
        """
        photos, tower, missing = self._photos(terms)
        hours = photos.table.hours()
        known = np.flatnonzero(~np.isnan(hours))
        if len(known) < max(2, FEWEST if self.calibrate else 2):
            raise DatasetError(
                f"{terms.table.root}: {len(known)} of {len(hours)} photos tell their time, too few to learn from; "
                "name a JSON of times with --annotation"
            )
        if len(known) < len(hours):
            terms.say(f"{len(hours) - len(known)} of {len(hours)} photos tell no time and are left out")
        table, features = photos.table.take(known.tolist()), photos.features[known]
        groups = groups_of(table)
        if len(set(groups)) < max(2, self.folds) and (self.folds or self.validation):
            terms.say(
                f"the photos are of {len(set(groups))} days and places: what is held out is of the same ones, "
                "so scores and calibration will flatter"
            )
            groups = [record.id for record in table.records]
        folds = fold_numbers(groups, self.folds, terms.seed) if self.folds else np.full(len(groups), -1)
        aside = drawn(groups, self.validation, terms.seed)
        learnt = np.flatnonzero(~aside)
        mean, scale = statistics(features[learnt]) if self.standardise else (None, None)
        rows, ready = self._versions(terms, table, features, tower)
        if mean is not None and scale is not None:
            ready = standardised(ready, mean, scale, self.limit)
        among = torch.from_numpy(np.flatnonzero(np.isin(rows, learnt)))
        owners = torch.from_numpy(rows)[among]
        loader = FeatureLoader(
            ready[among].to(terms.device),
            torch.from_numpy(hours[known])[owners],
            torch.from_numpy(months_of(table))[owners],
            torch.from_numpy(folds)[owners],
            terms.batch_size,
            terms.seed,
            terms.drop_last,
            len(learnt),
            self.least_steps,
            terms.rank,
            terms.world,
        )
        held = np.flatnonzero(aside) if aside.any() else learnt if self.folds else learnt[:0]
        keeper = ClockKeeper(
            terms.folder,
            Held(
                ready[held],
                hours[known][held],
                folds[held] if not aside.any() else np.full(len(held), -1),
                [groups[row] for row in held],
            ),
            hours[known][learnt],
            tower,
            tower is not None and not self._named(),
            mean,
            scale,
            self.limit if self.standardise else None,
            self.calibrate,
            {
                "photos": sorted({photos.marks[known[row]] for row in learnt}),
                "suns": suns_of(table.take(learnt.tolist())),
            },
            terms.say,
        )
        finish = keeper.finish if terms.rank == 0 else _nothing
        return Opened(loader, keeper.save, len(learnt), missing, "when PHOTO --model RUN", finish)

    def _versions(
        self, terms: Terms, table: Table, features: Tensor, tower: ImageTower | None
    ) -> tuple[np.ndarray, Tensor]:
        """Features with those of altered versions below them, and which row of the table each is of."""
        own = np.arange(len(features))
        if not self.views or len(table) > self.views_up_to or tower is None or self.features is not None:
            return own, features
        folder = self._folder(terms)
        if terms.rank == 0:
            terms.say(f"looking at {self.views} altered versions of each of {len(table)} photos")
            embed_altered(tower, table, folder, self.views, terms.policy, terms.workers, terms.device)
        terms.wait()
        found = altered_features(tower, table, folder, self.views)
        rows, parts = zip(*found, strict=True)
        return np.concatenate([own, *rows]), torch.cat([features, *parts])

    def _named(self) -> bool:
        """Whether the name alone gives the tower's weights back."""
        return find_tower(self.model).kind == "timm" and not self.model.endswith("@random")

    def _folder(self, terms: Terms) -> Path:
        return terms.folder / "features" if self.cache is None else Path(self.cache).expanduser()

    def _photos(self, terms: Terms) -> tuple[Photos, ImageTower | None, int]:
        """Features of the table's photos, the tower that made them if it is known, and how many photos have none."""
        root = Path(terms.table.root)
        if root.suffix in HDF5:
            store, table = import_photos(root)
            found = photo_features(store, table)
            return Photos(found.table, found.features, found.marks), None, 0
        tower = _tower(self.model, self.profile, self.size)
        if self.features is not None:
            store = Store.open(Path(self.features).expanduser())
            found = photo_features(store, terms.table)
            same = store.settings == photo_settings(tower)
            return found, tower if same else None, len(terms.table) - len(found.table)
        folder = self._folder(terms) / "plain"
        if terms.rank == 0:
            told = partial(_tell, terms.say, _Quarters())
            store = Store.create(folder, photo_settings(tower))
            embed_photos(tower, terms.table, store, terms.policy, terms.workers, told, device=terms.device)
        terms.wait()
        return photo_features(Store.open(folder), terms.table), tower, 0


def groups_of(table: Table) -> list[str]:
    """What must not be parted between learning and holding out, a name a photo."""
    return [record.group or record.id for record in table.records]


def fold_numbers(groups: Sequence[str], folds: int, seed: int = 0) -> np.ndarray:
    """Which of ``folds`` each photo belongs to, int64: groups stay whole, and folds about equally large."""
    order = _ordered(groups, seed)
    count = np.zeros(folds, np.int64)
    number = {}
    for group in order:
        number[group] = int(count.argmin())
        count[number[group]] += groups.count(group) if len(groups) < 1000 else 1
    return np.array([number[group] for group in groups], np.int64)


def drawn(groups: Sequence[str], share: float, seed: int = 0) -> np.ndarray:
    """Which photos are set aside, bool: whole groups, about ``share`` of the photos, but never all and never none."""
    aside = np.zeros(len(groups), bool)
    if share == 0:
        return aside
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    for group in _ordered(groups, seed)[:-1]:
        aside[members[group]] = True
        if aside.sum() >= share * len(groups):
            break
    return aside


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every number of features ``[N, D]``; one that hardly varies is scaled by a little."""
    mean = features.double().mean(0)
    deviation = (features.double() - mean).square().mean(0).sqrt()
    return mean.float(), (deviation + 1e-3 * deviation.mean().clamp_min(1e-6)).float()


def months_of(table: Table) -> np.ndarray:
    """Float32, 0 for the start of January up to 12; -1 where no date is known."""
    days = [None if r.capture is None else r.capture.local for r in table.records]
    return np.array([-1 if day is None else day.month - 1 + (day.day - 1) / 31 for day in days], np.float32)


def suns_of(table: Table) -> list[list[Any]]:
    """Days and places the photos are of, as far as both are known: day, latitude, longitude, zone."""
    found: dict[tuple[Any, ...], None] = {}
    for record in table.records:
        seen = record.capture
        if seen is None or seen.local is None or seen.latitude is None or seen.longitude is None or not seen.zone:
            continue
        found[seen.local.date().isoformat(), round(seen.latitude, 1), round(seen.longitude, 1), seen.zone] = None
    return [list(sun) for sun in _thinned(list(found), _MOST_SUNS)]


def _thinned(rows: list[Any], most: int) -> list[Any]:
    """At most so many, evenly spread."""
    if len(rows) <= most:
        return rows
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, most)]


def _ordered(groups: Sequence[str], seed: int) -> list[str]:
    """Names in an order that depends on the seed and the name."""
    return sorted(set(groups), key=lambda g: hashlib.blake2b(f"{seed}\0{g}".encode(), digest_size=16).digest())


@lru_cache(maxsize=1)
def _tower(model: str, profile: str | None, size: int | None) -> ImageTower:
    """One tower is kept: the method asks for its size before the photos are embedded."""
    return load_tower(model, profile, size)


class _Quarters:
    """Remembers which quarters of a long work have been told of."""

    told = 0


def _tell(say: Any, quarters: _Quarters, done: int, total: int) -> None:
    if 4 * done // total > quarters.told:
        quarters.told = 4 * done // total
        say(f"looked at {done} of {total} photos")


def _nothing() -> None:
    """What other processes than the first have to finish."""
