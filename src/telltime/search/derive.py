"""From what the network gives to the rows that searches compare: whitened, encoded, of length 1."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from telltime.backbones.whitening import Whitening
from telltime.checkpoints.describer import Describer
from telltime.clips.ragged import Ragged
from telltime.datasets.record import Record, Table
from telltime.features.edited_rows import Editing, edited_rows
from telltime.features.matched_whitening import fit_matched
from telltime.media.errors import MediaError
from telltime.search.about import About
from telltime.search.changes import Known

Progress = Callable[[int, int], None]

DIM = 128
"""Numbers of a whitened row; half the edited frames where that is fewer."""

LEAST = 32
"""Frames from which a whitening is fitted."""

GROWN = 4
"""It is fitted again once there are this many times the frames there were, up to :data:`ENOUGH`."""

ENOUGH = 100_000

FRAMES = 500
"""About as many frames are edited for a fit, from all over the collection, at most :data:`EACH` of a video."""

EACH = 8
_EDITING = Editing(versions=6, both=0.0, spread=True)


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


def fit(
    describer: Describer, videos: Sequence[Known], workers: int = 1, progress: Progress | None = None
) -> Whitening | None:
    """A whitening that keeps what tells the collection's videos apart and drops what edits change.

    Frames of some of its videos are read once more, edited, and described beside the originals; see
    :func:`telltime.features.matched_whitening.fit_matched`.

    Args:
        videos: of the collection; those that cannot be read any more are passed over.
        workers: threads that read and edit.
        progress: called with videos done and videos to do.

    Returns:
        ``None`` when not enough of them can be read.
    """
    known = sorted(videos, key=lambda video: video.digest)  # contents decide what is drawn, not where they lie
    order = np.random.RandomState(0).permutation(len(known))[:FRAMES].tolist()
    records = tuple(Record(known[i].digest, Path(known[i].path)) for i in order)
    table = Table("collection", "all", Path(), records=records)
    editing = replace(_EDITING, most_frames=min(EACH, -(-FRAMES // max(1, len(records)))))
    pairs: list[tuple[Tensor, Tensor]] = []
    for done, (_, found) in enumerate(edited_rows(describer, records, table, editing, workers), start=1):
        if not isinstance(found, MediaError):
            original, *edited = found[0]
            pairs.append((original.repeat(len(edited), 1), torch.cat(edited)))
        if progress:
            progress(done, len(records))
    count = sum(len(original) for original, _ in pairs)
    return fit_matched(pairs, min(DIM, count // 2)) if count > 1 else None
