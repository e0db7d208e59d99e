"""Pairs to learn from without annotation: one's own videos and edited versions of them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from telltime.backbones.whitening import Whitening, WhiteningError
from telltime.checkpoints.describer import DEFAULT, Describer, load_describer
from telltime.clips.pairs import PairLoader, Windows
from telltime.clips.ragged import Ragged, offsets_of
from telltime.clips.source import Opened, Terms
from telltime.datasets.record import DatasetError
from telltime.features.edited_rows import Editing, describe_edited, sequences
from telltime.features.frame_store import FrameStore
from telltime.features.matched_whitening import fit_matched
from telltime.losses.frames import chamfer_matrix

_TOGETHER = 4096
_MANY, _FEW = 4000, 8
FEWEST = 2
"""Videos that can be told apart."""


@dataclass(frozen=True)
class EditedVideos:
    """A source of pairs for :class:`telltime.methods.tca.TCA`.

    Frame descriptors of every video and of its edited versions are computed once and kept below the run; whitening is
    fitted on them; then any two versions of a video are anchor and positive, and versions of other videos are
    negatives. The trained model is saved as a describer: frames, whitening and encoder.

    Args:
        model: what describes frames, see :func:`telltime.checkpoints.describer.load_describer`.
        dim: numbers of a whitened row: what the encoder takes.
        sampler: which frames, see :mod:`telltime.clips.frame_sampling`.
        whitening: ``"pca"``, or ``"matched"``, which weighs directions by how little edits change them.
        editing: how versions are made.
        windows: which of a version's frames an item takes.
        negatives: of an item.
        repeats: items that a video gives in an epoch.
        spared: largest share of the videos that are no negatives of a video because they look as much like it as its
            own edits do: a collection may well hold copies.
        cache: folder for the descriptors, shared by runs; by default ``descriptors`` in the run.
    """

    model: str = DEFAULT
    dim: int = 128
    sampler: str = "tca"
    whitening: Literal["pca", "matched"] = "matched"
    editing: Editing = Editing()  # noqa: RUF009, frozen
    windows: Windows = Windows(excerpt=0.3, within=True, speed=0.3, splice=0.2)  # noqa: RUF009, frozen
    negatives: int = 16
    repeats: int = 4
    spared: float = 0.1
    cache: str | None = None

    def open(self, terms: Terms) -> Opened:
        """Describe what is not described yet, fit the whitening, and lay all rows ready.

        Raises:
            DatasetError: fewer than two videos can be read, or too few frames for ``dim``.
            CheckpointError: ``model`` describes no frames.
            MediaError, TooManyDropped: as the policy says.
            StoreError: the kept descriptors were made in another way, or cannot be written.
        """
        frames = load_describer(self.model)
        describer = Describer(frames.frames, frames.whitening, None, self.sampler, frames.meta).to(terms.device)
        folder = terms.folder / "descriptors" if self.cache is None else Path(self.cache).expanduser()
        settings = describer.settings() | {"editing": vars(self.editing)}
        if terms.rank == 0:
            store = FrameStore.create(folder, settings)
            told = partial(_tell, terms, _Quarters())
            describe_edited(describer, terms.table, store, self.editing, terms.policy, terms.workers, told)
        terms.wait()
        store = FrameStore.open(folder, settings)
        ids = [record.id for record in terms.table.records if record.id in store]
        if len(ids) < FEWEST:
            raise DatasetError(f"{terms.table.root}: {len(ids)} readable videos; it takes {FEWEST} to tell them apart")
        rows = sequences(store, ids, self.editing.versions)
        whitening = self._whitening(rows, terms)
        versions = self.editing.versions + 1
        numbers = torch.arange(len(rows))
        items = Ragged(
            numbers.view(-1, versions).repeat(self.repeats, 1).flatten(),
            offsets_of(torch.full((self.repeats * len(ids),), versions)),
        )
        ready = whitened(rows, whitening, terms.device)
        loader = PairLoader(
            ready,
            (numbers // versions).numpy(),
            items,
            items,
            numbers.numpy(),
            self.negatives,
            terms.batch_size,
            terms.seed,
            self.windows,
            terms.drop_last and len(items) >= terms.batch_size,
            look_alikes(ready, versions, self.spared),
            terms.rank,
            terms.world,
        )
        save = partial(save_describer, describer.cpu(), whitening)
        return Opened(loader, save, len(ids), next="index MY_VIDEOS --index INDEX --model RUN")

    def _whitening(self, rows: Ragged, terms: Terms) -> Whitening:
        """Fitted on all rows, once a run: a resumed one takes what is there."""
        path = terms.folder / "whitening.safetensors"
        if terms.rank == 0 and not path.exists():
            try:
                if self.whitening == "pca":
                    fitted = Whitening.fit((part.float() for part in rows.rows.split(_TOGETHER)), self.dim)
                else:
                    fitted = fit_matched(self._matched(rows), self.dim)
            except (WhiteningError, ValueError) as error:
                raise DatasetError(f"{terms.table.root}: {error} (method.reader.dim and method.encoder.dim)") from error
            fitted.save(path)
        terms.wait()
        return Whitening.load(path)

    def _matched(self, rows: Ragged) -> Iterator[tuple[Tensor, Tensor]]:
        """Originals with each of their versions, frame by frame, video by video."""
        versions = self.editing.versions + 1
        for first in range(0, len(rows), versions):
            taken = rows.slice(first, first + versions).rows.float().unflatten(0, (versions, -1))
            yield taken[:1].expand(versions - 1, -1, -1).flatten(0, 1), taken[1:].flatten(0, 1)


def whitened(rows: Ragged, whitening: Whitening | None, device: torch.device) -> Ragged:
    """All rows whitened, float32 of length 1, in memory on ``device``."""
    parts = []
    for part in rows.rows.split(_TOGETHER):
        wide = part.float()
        parts.append((nn.functional.normalize(wide, dim=-1) if whitening is None else whitening(wide)).to(device))
    return rows.like(torch.cat(parts))


def look_alikes(rows: Ragged, versions: int, share: float) -> Ragged:
    """For every video those that may be copies of it: as similar as all but the worst twentieth of its like's edits.

    Videos are compared by symmetric Chamfer similarity of a few frames each, or by their means where there are many.

    Args:
        rows: unit rows, ``versions`` sequences of equal length a video, the original first.
        share: of the videos, how many at most.

    Returns:
        Packed int64 numbers of videos, ``V`` sequences.
    """
    count = len(rows) // versions
    most = min(count - 1, int(share * count))
    firsts = torch.arange(0, len(rows), versions)
    frames = 1 if count > _MANY else _FEW
    originals, edited = (_thinned(rows.take(firsts + number), frames) for number in (0, versions - 1))
    found: list[Tensor] = []
    own = torch.cat([_like(originals, edited, at).diagonal(at.start) for at in _blocks(count)])
    least = own.quantile(0.05)
    for at in _blocks(count):
        similar = _like(originals, originals, at)
        similar.diagonal(at.start).fill_(-1)
        best, numbers = similar.topk(most, dim=1)
        found += [row[kept].cpu() for row, kept in zip(numbers, best >= least, strict=True)]
    return Ragged.of(found)


def _blocks(count: int) -> list[slice]:
    return [slice(first, min(first + 64, count)) for first in range(0, count, 64)]


def _like(first: Ragged, second: Ragged, at: slice) -> Tensor:
    """Similarity of some videos with all, ``[at, V]``."""
    return chamfer_matrix(first.slice(at.start, at.stop), second)


def _thinned(rows: Ragged, frames: int) -> Ragged:
    """At most ``frames`` rows of each sequence, evenly spread; their mean where that is 1."""
    if frames == 1:
        return Ragged(nn.functional.normalize(rows.mean(), dim=-1), torch.arange(len(rows) + 1))
    return Ragged.of(part[torch.linspace(0, len(part) - 1, min(frames, len(part))).round().long()] for part in rows)


def save_describer(
    describer: Describer, whitening: Whitening | None, folder: Path, method: Any, meta: Mapping[str, Any]
) -> None:
    """Write a trained method as a describer: its frames and whitening, and the encoder that was trained."""
    told = {**describer.meta, **meta}
    Describer(describer.frames, whitening, method.encoder, describer.sampler, told).save(folder)


class _Quarters:
    """Remembers which quarters of a long work have been told of."""

    told = 0


def _tell(terms: Terms, quarters: _Quarters, done: int, total: int) -> None:
    if 4 * done // total > quarters.told:
        quarters.told = 4 * done // total
        terms.say(f"described {done} of {total} videos and their edits")
