"""VCDB's pairs of copies, and negatives from its background, as frame descriptors in memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from telltime.backbones.whitening import Whitening, WhiteningError
from telltime.checkpoints.describer import Describer, load_describer
from telltime.checkpoints.model import Model
from telltime.clips.pairs import PairLoader, Windows
from telltime.clips.ragged import Ragged
from telltime.clips.source import Opened, Terms
from telltime.datasets.record import DatasetError
from telltime.datasets.vcdb import FEATURE_SUFFIXES, Annotation, find_annotation, holds_features, read
from telltime.features.describe import describe_table
from telltime.features.edited_videos import save_describer, whitened
from telltime.features.frame_store import FrameStore
from telltime.features.hdf5 import import_hdf5


@dataclass(frozen=True)
class VCDBPairs:
    """A source of pairs for :class:`telltime.methods.tca.TCA`, as published.

    ``--root`` is a store or HDF5 file of frame descriptors by video id, or a folder of the videos, which are then
    described into the run. Videos that are not there are left out with their pairs, and named in ``dropped.jsonl``.

    Args:
        dim: numbers of a row that the encoder takes; wider ones need ``whitening``.
        whitening: file of the projection that is applied to the rows (ours, TCA's npz, ViSiL's pth); ``None`` where
            they are whitened already. Rows are brought to length 1 in any case.
        model: what describes frames, see :func:`telltime.checkpoints.describer.load_describer`: for a folder of videos,
            and for the describer that the run saves. ``None`` saves the encoder alone.
        sampler: which frames ``model`` describes.
        windows: which of a video's frames an item takes.
        negatives: of an item.
    """

    dim: int = 1024
    whitening: str | None = None
    model: str | None = None
    sampler: str = "tca"
    windows: Windows = Windows(max_frames=300)  # noqa: RUF009, frozen
    negatives: int = 16

    def open(self, terms: Terms) -> Opened:
        """Read annotation and descriptors.

        Raises:
            DatasetError: no annotation, no pair whose videos are there, or rows of another width.
            StoreError: the descriptors cannot be read.
        """
        root = Path(terms.table.root)
        listed = read(find_annotation(root, terms.annotation))
        describer = None if self.model is None else self._describer(self.model).to(terms.device)
        whitening = self._whitening(terms.folder)
        store = self._store(root, describer, terms)
        ids = _used(listed, store)
        rows = store.ragged(ids, dtype=None)
        width = whitening.dim if whitening is not None else int(rows.rows.shape[-1])
        if width != self.dim:
            raise DatasetError(
                f"{root} gives rows of {width} numbers, method.reader.dim is {self.dim}; name the projection with "
                "--set method.reader.whitening=FILE"
            )
        if whitening is not None and rows.rows.shape[-1] != whitening.size:
            raise DatasetError(
                f"{root} has rows of {rows.rows.shape[-1]} numbers, {self.whitening} takes {whitening.size}"
            )
        places = {name: place for place, name in enumerate(ids)}
        pairs = [(places[a], places[b]) for a, b in listed.pairs if a in places and b in places]
        groups = listed.groups()
        owners = np.array([groups.get(name, len(groups) + place) for place, name in enumerate(ids)])
        background = np.array([place for place, name in enumerate(ids) if name not in groups], dtype=np.int64)
        if not pairs or not len(background):
            raise DatasetError(
                f"{root}: {len(pairs)} pairs and {len(background)} background videos are there, it takes both"
            )
        known = (*listed.core, *(listed.background or ()))
        missing = [name for name in known if name not in places]
        if terms.rank == 0:
            terms.policy.missing(missing, root)
            terms.say(f"{len(pairs)} of {len(listed.pairs)} pairs, {len(background)} background videos")
        first, second = (torch.tensor(side) for side in zip(*pairs, strict=True))
        single = torch.arange(len(pairs) + 1)
        loader = PairLoader(
            whitened(rows, whitening, terms.device),
            owners,
            Ragged(first, single),
            Ragged(second, single),
            background,
            self.negatives,
            terms.batch_size,
            terms.seed,
            self.windows,
            terms.drop_last and len(pairs) >= terms.batch_size,
            rank=terms.rank,
            world=terms.world,
        )
        save: Any = _save_encoder if describer is None else partial(save_describer, describer.cpu(), whitening)
        return Opened(loader, save, len(ids), len(missing))

    def _describer(self, model: str) -> Describer:
        made = load_describer(model)
        return Describer(made.frames, made.whitening, None, self.sampler, made.meta)

    def _whitening(self, folder: Path) -> Whitening | None:
        try:
            return None if self.whitening is None else Whitening.load(Path(self.whitening).expanduser())
        except WhiteningError as error:
            raise DatasetError(str(error)) from error

    def _store(self, root: Path, describer: Describer | None, terms: Terms) -> FrameStore:
        """The descriptors: those at ``root``, or those of the videos there."""
        if holds_features(root) and root.suffix not in FEATURE_SUFFIXES:
            return FrameStore.open(root)
        folder = terms.folder / "descriptors"
        if terms.rank == 0:
            if root.suffix in FEATURE_SUFFIXES:
                import_hdf5(root, folder)
            elif describer is None:
                raise DatasetError(
                    f"{root} is a folder of videos: say what describes them, e.g. --set method.reader.model=resnet50"
                )
            else:
                describe_table(describer, terms.table, folder, terms.policy, terms.workers, device=terms.device)
        terms.wait()
        return FrameStore.open(folder)


def _used(listed: Annotation, store: FrameStore) -> list[str]:
    """Ids that are there: core, and background, which is everything else where the annotation lists none."""
    core = [name for name in listed.core if name in store]
    if listed.background is not None:
        return core + [name for name in listed.background if name in store]
    known = set(listed.core)
    return core + [name for name in store.ids if name not in known]


def _save_encoder(folder: Path, method: Any, meta: Mapping[str, Any]) -> None:
    """Write the encoder alone: what describes its frames is not known."""
    Model(method.encoder, meta=meta).save(folder)
