"""Batches of features that lie in memory: no file is read while a head learns."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from telltime.clips.loader import epoch_order


class FeatureLoader:
    """Goes through photos epoch by epoch, each epoch in an order of its own.

    A batch holds ``"features"`` (float32 ``[B, D]``, where they lie), and on the host ``"hours"`` (float64 ``[B]``),
    ``"months"`` (float32 ``[B]``), ``"fold"`` (int64 ``[B]``), ``"epoch"`` and ``"photos"`` (int64 ``[B]``, the same in
    every row: how many epochs and photos there are).

    Args:
        features: ``[N, D]``; where they lie is where batches are made.
        hours: float64 ``[N]``.
        months: float32 ``[N]``, 0 to 12, below 0 where not known.
        folds: int64 ``[N]``, which fold a photo belongs to.
        batch_size: photos of one batch, over all processes together.
        seed: decides the orders.
        drop_last: leave out a last batch that is not full, unless it is the only one.
        photos: how many photos the rows are of, where some are versions of others.
        least: batches that an epoch has at least: it goes through the photos as often as that takes.
        rank, world: this process and how many train together; each takes a share of every batch.
    """

    def __init__(
        self,
        features: Tensor,
        hours: Tensor,
        months: Tensor,
        folds: Tensor,
        batch_size: int,
        seed: int,
        drop_last: bool = False,
        photos: int | None = None,
        least: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or least < 1 or not 0 <= rank < world:
            raise ValueError(f"impossible {batch_size=}, {least=}, {rank=}, {world=}")
        if not len(features) == len(hours) == len(months) == len(folds):
            raise ValueError("features, hours, months and folds are of different numbers of photos")
        self.features, self.hours, self.months, self.folds = features, hours.double(), months.float(), folds.long()
        self.photos = len(features) if photos is None else photos
        self.batch_size, self.seed, self.rank, self.world = batch_size, seed, rank, world
        full, rest = divmod(len(features), batch_size)
        self.each = full + (rest > 0 and not (drop_last and full))
        self.passes = -(-least // max(1, self.each))

    def __len__(self) -> int:
        """Batches of one epoch."""
        return self.each * self.passes

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[dict[str, Tensor]]:
        """The batches of an epoch, from batch ``skip_batches`` on."""
        order = np.empty(0, np.int64)
        for number in range(skip_batches, len(self)):
            at, within = divmod(number, self.each)
            if within == 0 or not len(order):
                order = epoch_order(len(self.features), self.seed, epoch * self.passes + at)
            rows = order[within * self.batch_size : (within + 1) * self.batch_size]
            yield self._batch(torch.from_numpy(np.array_split(rows, self.world)[self.rank]), epoch)

    def _batch(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        return {
            "features": self.features[rows.to(self.features.device)],
            "hours": self.hours[rows],
            "months": self.months[rows],
            "fold": self.folds[rows],
            "epoch": torch.full_like(rows, epoch),
            "photos": torch.full_like(rows, self.photos),
        }
