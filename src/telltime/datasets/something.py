"""Something-Something V2 (Goyal et al., ICCV 2017): 220,847 clips of hands doing one of 174 things with objects.

Layout::

    ROOT/**/<id>.webm                                       (20bn-something-something-v2/, or a folder for each split)
    ROOT/something-something-v2-labels.json, -train.json, -validation.json
    ROOT/labels.json, train.json, validation.json           (the same, as newer downloads name them)

The lists may lie in a folder below ROOT. ``labels.json`` numbers the templates, such as ``Pushing something so that it
slightly moves``; an entry ``{"id", "label", "template", "placeholders"}`` of the others belongs to the template that it
names, brackets taken off. The official test videos have no labels: the test split is the validation list, on which
papers report. A template that tells left from right keeps its clips from being mirrored.
"""

import json
import re
from pathlib import Path
from typing import Any

from telltime.datasets.lists import annotation_folder, check_root, check_split, look
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, printable, scan

NAME = "something"
FOLDS = (None,)
SPLITS = ("train", "test")
PUBLISHED = {"train": 168913, "test": 24777, "all": 193690}
_FILES = {"train": "train", "test": "validation"}
_PREFIXES = ("something-something-v2-", "")


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of Something-Something V2; there is one fold, and ``fold`` is not used.

    Args:
        root: folder of the layout above.
        split: ``"train"``, ``"test"`` (or ``"val"``), or ``"all"`` for both.
        fold: not used.
        annotation: folder of the lists, or one of them.

    Raises:
        DatasetError: a list is absent or does not read, or names a template that is not in the vocabulary.
    """
    split = "test" if split in ("val", "validation") else split
    check_split(NAME, split)
    root = check_root(NAME, Path(root))
    lists = _lists(root, annotation)
    classes = _vocabulary(_file(lists, "labels"))
    numbers = {_plain(name): number for number, name in enumerate(classes)}
    found = scan(root)
    shelf = Shelf(found)
    records: list[Record] = []
    missing: list[str] = []
    for part in SPLITS if split == "all" else (split,):
        path = _file(lists, _FILES[part])
        for name, template in _entries(path):
            label = numbers.get(_plain(template))
            if label is None:
                raise DatasetError(
                    f"{printable(path)}: the template {template!r} of video {name} is not among the {len(classes)} in "
                    f"{_file(lists, 'labels').name}; lists and labels must be of one version"
                )
            video = shelf.find(name)
            if video is None:
                missing.append(name)
            else:
                records.append(Record(name, video, label))
    notes = list(found.notes(expected=(".json", ".csv", ".pdf")))
    if split == "all":
        notes += shelf.strays()
    return Table(NAME, split, root, classes, tuple(records), tuple(missing), PUBLISHED[split], notes=tuple(notes))


def _plain(template: str) -> str:
    return re.sub(r"[\[\]]", "", template).strip().casefold()


def _lists(root: Path, annotation: str | Path | None) -> Path:
    def holds(folder: Path) -> bool:
        return any((folder / f"{prefix}labels.json").is_file() for prefix in _PREFIXES)

    folder = annotation_folder(NAME, Path(annotation)) if annotation is not None else look(root, holds)
    if folder is None or not holds(folder):
        where = printable((folder or root) / f"{_PREFIXES[0]}labels.json")
        raise DatasetError(
            f"{NAME}: no labels found: looked for {where} (or labels.json); put the official JSON files there, or name "
            "their folder with --annotation"
        )
    return folder


def _file(folder: Path, name: str) -> Path:
    paths = [folder / f"{prefix}{name}.json" for prefix in _PREFIXES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise DatasetError(
            f"{NAME}: there is no {printable(paths[0])} nor {paths[1].name} beside it; put the official file there or "
            "name its folder with --annotation"
        )
    return found


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"cannot read {printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{printable(path)} is not valid JSON: {error}") from None


def _vocabulary(path: Path) -> tuple[str, ...]:
    """Templates without brackets, in the order of their numbers."""
    told = _read(path)
    try:
        by_number = {int(number): str(name) for name, number in told.items()}
    except (AttributeError, TypeError, ValueError):
        by_number = {}
    if not by_number or sorted(by_number) != list(range(len(told))):
        raise DatasetError(
            f"{printable(path)}: expected an object of templates and their numbers, from 0 on without gaps"
        )
    return tuple(by_number[number] for number in range(len(told)))


def _entries(path: Path) -> list[tuple[str, str]]:
    """Id and template of every video of a list."""
    rows = _read(path)
    try:
        entries = [(str(row["id"]), str(row["template"])) for row in rows]
    except (TypeError, KeyError):
        entries = []
    if not entries:
        raise DatasetError(f"{printable(path)}: expected a list of objects with id, label and template")
    return entries
