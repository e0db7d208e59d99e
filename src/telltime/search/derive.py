"""From what the network gives to the rows that searches compare: whitened, encoded, of length 1."""

from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from telltime.backbones.whitening import Whitening
from telltime.checkpoints.describer import Describer
from telltime.clips.ragged import Ragged
from telltime.search.about import About

DIM = 256
"""Numbers of a whitened row; an eighth of the frames where that is fewer."""

LEAST = 512
"""Frames from which a whitening is fitted; of fewer it would learn the videos by heart."""

GROWN = 4
"""It is fitted again once there are this many times the frames it was fitted on, up to :data:`ENOUGH`."""

ENOUGH = 100_000


def derive(describer: Describer | None, about: About, rows: Ragged) -> tuple[Ragged, Tensor]:
    """Final rows float32 and vectors ``[V, D']`` of videos, all of length 1.

    Args:
        describer: the index's model; not needed where the index whitens by itself.
        rows: as :meth:`Describer.stream` gives them, of any float type.
    """
    if not about.fits:
        if describer is None:
            raise ValueError("the rows of this index need its model")
        return describer.encode(rows)
    whiten = about.whitening or partial(normalize, dim=-1)
    final = rows.like(whiten(rows.rows.float()))
    return final, normalize(final.mean(), dim=-1)


def distinct(rows: Tensor, times: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Rows and times without frames that a sampler gives twice: in a short video they would count double."""
    kept = np.flatnonzero(np.diff(times, prepend=-np.inf) > 0)
    return rows[torch.from_numpy(kept)], times[kept]


def wants_fit(about: About, frames: int) -> bool:
    """Whether the whitening should be fitted, or fitted again, to a collection of this many frames."""
    if not about.fits or frames < LEAST:
        return False
    return about.whitening is None or (about.fitted_on < ENOUGH and frames >= GROWN * about.fitted_on)


def fit(batches: Iterable[Ragged], frames: int) -> tuple[Whitening, int]:
    """A whitening of videos' rows, and on how many frames it was fitted.

    Args:
        batches: rows of all videos, batch by batch.
        frames: how many rows there are; of more than :data:`ENOUGH` every n-th is taken.
    """
    step = max(1, frames // ENOUGH)
    count = 0

    def taken() -> Iterator[Tensor]:
        nonlocal count
        for batch in batches:
            rows = batch.rows[torch.arange(count % step, len(batch.rows), step)] if step > 1 else batch.rows
            count += len(rows)
            yield rows.float()

    first: Tensor | None = None
    held = taken()
    first = next(held)
    dim = min(DIM, first.shape[1], max(1, frames // 8))

    def chained() -> Iterator[Tensor]:
        yield first
        yield from held

    return Whitening.fit(chained(), dim), count
