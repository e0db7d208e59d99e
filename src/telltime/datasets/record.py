"""The one shape every data set takes: a table of records."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from telltime.datasets.masks import Masks
    from telltime.media.capture_time import Capture


class DatasetError(Exception):
    """The data set on disk does not have the layout asked for; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Record:
    """One video or photo of a data set.

    Attributes:
        id: unique within the data set and the same on every machine: the path below the root, with ``/``.
        path: where the file or frame folder is.
        label: index into :attr:`Table.classes`, 0-based; ``None`` when there is no label.
        group: what must not be split between train and test (the ``gXX`` of UCF101), if known.
        span: first frame and one past the last frame that belong to the record; ``None`` for the whole file.
        capture: when and where a photo was taken, as its annotation or the file itself tells; its label is ``None``.
        masks: which frames are annotated pixel by pixel, and by what files.
        mirrors: whether the label holds for the mirror image too; if not, training does not mirror the record.
    """

    id: str
    path: Path
    label: int | None = None
    group: str | None = None
    span: tuple[int, int] | None = None
    capture: "Capture | None" = None
    masks: "Masks | None" = None
    mirrors: bool = True


@dataclass(frozen=True)
class Table:
    """A split of a data set: what is on disk, and what the official lists name beyond it.

    Attributes:
        name: data set name, e.g. ``"ucf101"``.
        split: ``"train"``, ``"test"`` or ``"all"``.
        root: folder it was read from.
        classes: class names in label order; empty when unlabelled.
        records: the videos present, in a fixed order.
        missing: ids that the official lists name and that are not on disk.
        published: size of the published split, ``None`` when there is none.
    """

    name: str
    split: str
    root: Path
    classes: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    missing: tuple[str, ...] = ()
    published: int | None = None
    fold: int | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.records)

    def take(self, indices: Sequence[int]) -> "Table":
        """The same table with only the records at ``indices``."""
        return replace(self, records=tuple(self.records[i] for i in indices))

    def labels(self) -> np.ndarray:
        """int64 ``[len(self)]``; -1 where a record has no label."""
        return np.array([-1 if r.label is None else r.label for r in self.records], dtype=np.int64)

    def hours(self) -> np.ndarray:
        """float64 ``[len(self)]``: local hour of the day each photo was taken, in [0, 24); NaN where it is unknown."""
        told = (None if r.capture is None else r.capture.hour for r in self.records)
        return np.array([np.nan if hour is None else hour for hour in told], dtype=np.float64)
