"""What all evaluations share: how videos are read, and how model and data are named in a result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from telltime.checkpoints.model import Model
from telltime.clips.item import ItemReader
from telltime.clips.policy import BadMedia
from telltime.datasets.record import DatasetError, Record, Table
from telltime.features.embed import FeatureSet, Progress, embed_table
from telltime.features.marks import digest
from telltime.media.video import Limits

Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Reading:
    """How an evaluation reads videos.

    Attributes:
        cache: folder of cached features; ``None`` keeps none.
        policy: what to do about videos that cannot be read.
        workers: processes that decode.
        batch: clips forwarded at a time where nothing is trained.
        device: by default a GPU if there is one.
        progress: called with what is being done, videos done and videos to do.
    """

    cache: Path | None = None
    policy: BadMedia = field(default_factory=BadMedia)
    workers: int = 0
    batch: int = 16
    limits: Limits = field(default_factory=Limits)
    device: str | None = None
    progress: Told | None = None

    def embed(
        self, model: Model, table: Table, positions: int, reader: ItemReader | None = None, cached: bool = True
    ) -> FeatureSet:
        """:func:`~telltime.features.embed.embed_table` of a split."""
        return embed_table(
            model,
            table,
            positions,
            self.cache if cached else None,
            self.policy,
            self.workers,
            self.batch,
            limits=self.limits,
            device=self.device,
            reader=reader,
            progress=self.told(f"{table.split}: features"),
        )

    def place(self) -> torch.device:
        """Where to compute."""
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))

    def told(self, what: str) -> Progress | None:
        """:attr:`progress` for one thing."""
        report = self.progress
        return None if report is None else lambda done, total: report(what, done, total)


def labelled(table: Table) -> Table:
    """The records that have a label.

    Raises:
        DatasetError: there are none.
    """
    kept = [i for i, record in enumerate(table.records) if record.label is not None]
    if not kept:
        raise DatasetError(
            f"no video of {table.name}'s {table.split} split below {table.root} has a class; "
            "this evaluation needs labels: give a class-per-folder tree or a named data set"
        )
    return table.take(kept)


def some(features: FeatureSet) -> FeatureSet:
    """The same features; a :class:`DatasetError` when there are none."""
    if not len(features):
        raise DatasetError(f"not one of {len(features.dropped)} {features.table.split} videos could be read")
    return features


def describe_data(tables: Sequence[Table]) -> dict[str, Any]:
    """What was measured on: name, fold, hash, and how much of each published split is on disk."""
    first = tables[0]
    described: dict[str, Any] = {"name": first.name, "root": str(first.root)}
    if first.fold is not None:
        described["fold"] = first.fold
    described["digest"] = digest(tables)
    for table in tables:
        part: dict[str, Any] = {"videos": len(table), "missing": len(table.missing)}
        if table.published:
            part |= {"published": table.published, "share": round(len(table) / table.published, 6)}
        described[table.split] = part
    return described


def describe_model(model: Model, name: str | None = None) -> dict[str, Any]:
    """What was measured: the name it was loaded by, its hash, and how it sees clips."""
    return {
        "name": name or str(model.meta.get("name", "model")),
        "digest": model.digest(),
        "clip": model.clip.described(),
    }


def partial_notes(tables: Sequence[Table]) -> list[str]:
    """A sentence for every split that is not there in full, and the data set's own notes."""
    notes = []
    for table in tables:
        if table.published and len(table) < table.published:
            share = f"{len(table):,} of {table.published:,} published {table.split} videos"
            notes.append(f"Only {share} are on disk: the scores do not compare with published ones.")
        notes += [note for note in table.notes if note not in notes]
    return notes


def class_notes(train: Table, test: Table, learned: str) -> list[str]:
    """Sentences about classes that only one split has; ``learned`` says what the first split is used as."""
    names = train.classes
    have, asked = set(train.labels().tolist()), set(test.labels().tolist())
    notes = []
    if len(have) == 1:
        notes.append(f"The {learned} on disk holds one class only, {names[min(have)]}: the scores say nothing.")
    if lacking := sorted(asked - have):
        count = int(np.isin(test.labels(), lacking).sum())
        notes.append(
            f"{listed([names[i] for i in lacking])}: in the test split but not in the {learned}, so that these "
            f"{count} test videos can only be wrong; they count."
        )
    if idle := sorted(have - asked):
        notes.append(f"{listed([names[i] for i in idle])}: in the {learned} but not in the test split.")
    return notes


def listed(names: Sequence[str], most: int = 5) -> str:
    """``"a, b and 3 more"``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def classes_seen(*tables: Table) -> list[int]:
    """Labels that any of the tables has, in order."""
    return sorted({label for table in tables for label in table.labels().tolist() if label >= 0})


def class_name(table: Table, record: Record) -> str | None:
    """The record's class by name."""
    return None if record.label is None else table.classes[record.label]
