"""Diving48, version 2 (Li, Li and Vasconcelos, ECCV 2018): dives of 48 kinds, 15,027 training and 1,970 test videos.

Layout::

    ROOT/rgb/<vid_name>.mp4                                   (or any folder below ROOT; frame folders too)
    ROOT/Diving48_V2_train.json, Diving48_V2_test.json, Diving48_vocab.json

The JSON lists hold ``{"vid_name", "label", "start_frame", "end_frame"}``. The published files are already cut at these
frames; an entry that starts later than frame 0 restricts its record to that span.
"""

import json
from pathlib import Path
from typing import Any

from telltime.datasets.lists import annotation_folder, check_root, check_split, look
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, printable, scan

NAME = "diving48"
FOLDS = (None,)
SPLITS = ("train", "test")
PUBLISHED = {"train": 15027, "test": 1970, "all": 16997}
CLASSES = 48


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of Diving48 V2; there is one fold, and ``fold`` is not used.

    Class names come from ``Diving48_vocab.json`` (take-off, somersaults, twists, position); without it they are the
    numbers 0 to 47.

    Raises:
        DatasetError: a list is absent or does not read.
    """
    check_split(NAME, split)
    root = check_root(NAME, Path(root))
    lists = _lists(root, annotation)
    found = scan(root)
    shelf = Shelf(found, fold_case=False)
    classes = _vocabulary(lists)

    records: list[Record] = []
    missing: list[str] = []
    for part in SPLITS if split == "all" else (split,):
        path = lists / f"Diving48_V2_{part}.json"
        for name, label, start, end in _entries(path):
            if not 0 <= label < len(classes):
                raise DatasetError(
                    f"{printable(path)}: label {label} of {name} is not in a vocabulary of {len(classes)}"
                )
            video = shelf.find(name)
            if video is None:
                missing.append(name)
                continue
            span = (start, end) if start > 0 else None
            records.append(Record(name, video, label, name.rpartition("_")[0] or None, span))
    notes = list(found.notes(expected=(".json",)))
    if split == "all":
        notes += shelf.strays()
    return Table(NAME, split, root, classes, tuple(records), tuple(missing), PUBLISHED[split], notes=tuple(notes))


def _lists(root: Path, annotation: str | Path | None) -> Path:
    def holds(folder: Path) -> bool:
        return any((folder / f"Diving48_V2_{part}.json").is_file() for part in SPLITS)

    folder = annotation_folder(NAME, Path(annotation)) if annotation is not None else look(root, holds)
    if folder is None or not holds(folder):
        where = (folder or root) / "Diving48_V2_train.json"
        raise DatasetError(
            f"{NAME}: no split lists found: looked for {printable(where)}; put the version 2 lists there,"
            " or name their folder with --annotation"
        )
    return folder


def _read(path: Path) -> Any:
    if not path.is_file():
        raise DatasetError(f"{NAME}: there is no {printable(path)}; put the version 2 list there or use --annotation")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DatasetError(f"{printable(path)} is not valid JSON: {error}") from None


def _entries(path: Path) -> list[tuple[str, int, int, int]]:
    rows = _read(path)
    try:
        return [
            (str(r["vid_name"]), int(r["label"]), int(r.get("start_frame", 0)), int(r.get("end_frame", 0)))
            for r in rows
        ]
    except (TypeError, KeyError, ValueError, AttributeError):
        raise DatasetError(
            f"{printable(path)}: expected a list of objects with vid_name, label, start_frame and end_frame"
        ) from None


def _vocabulary(lists: Path) -> tuple[str, ...]:
    path = lists / "Diving48_vocab.json"
    if not path.is_file():
        return tuple(str(i) for i in range(CLASSES))
    rows = _read(path)
    if not isinstance(rows, list) or not rows:
        raise DatasetError(f"{printable(path)}: expected a list of dives")
    return tuple(" ".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows)
