"""VCDB (Jiang, Jiang, Wang, ECCV 2014): 528 core videos with their copied segments, and 100,000 videos around them.

Annotations are read from either

- the official text: a folder of files, one for each of 28 queries, whose lines are two file names and the copied
  segment's start and end in each (``hh:mm:ss``), comma-separated; or
- the pickle that came with TCA: ``{"video_pairs", "index", "negs"}``.

``root`` is a folder of videos, or a store or HDF5 file of frame descriptors by video id.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telltime.datasets._pickled import read_pickled
from telltime.datasets.lists import check_split
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, printable, scan

NAME = "vcdb"
FOLDS = (None,)
SPLITS = ("train",)
FEATURE_SUFFIXES = (".h5", ".hdf5")
_TIME = re.compile(r"\d{1,2}:\d{2}:\d{2}(\.\d+)?")


@dataclass(frozen=True)
class Annotation:
    """What VCDB says of its videos.

    Attributes:
        core: ids of the videos that have copies, in the order they are listed.
        pairs: unordered pairs of copies, each once, no video with itself.
        background: ids of videos that are copies of nothing; ``None`` where the annotation does not list them.
    """

    core: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    background: tuple[str, ...] | None = None

    def groups(self) -> dict[str, int]:
        """A number for every core video, the same for videos that copies lead from one to the other."""
        parent = {name: name for name in self.core}

        def root(name: str) -> str:
            while parent[name] != name:
                parent[name] = parent[parent[name]]
                name = parent[name]
            return name

        for first, second in self.pairs:
            parent[root(first)] = root(second)
        numbers: dict[str, int] = {}
        return {name: numbers.setdefault(root(name), len(numbers)) for name in self.core}


def read(path: str | Path) -> Annotation:
    """The annotation in the published pickle, an official file, or the folder of them.

    Raises:
        DatasetError: it is none of these.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.txt") if not file.name.startswith("."))
        found = [pair for file in files for pair in _lines(file, strict=False)]
        if not found:
            raise DatasetError(f"{NAME}: no copied segments in the .txt files of {printable(path)}")
        return _of(found)
    if not path.is_file():
        raise DatasetError(f"{NAME}: there is no annotation {printable(path)}")
    return _of(_lines(path, strict=True)) if path.suffix == ".txt" else _pickled(path)


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """The videos that training uses: core and background, as far as they are below ``root``.

    Where ``root`` holds descriptors every listed id is a record; which of them are there turns out when it is opened.

    Args:
        root: see above.
        split: ``"train"``; there is no other.
        fold: not used.
        annotation: the pickle, or the folder of official text; by default ``annotation`` or ``vcdb.pickle`` below or
            beside ``root``.

    Raises:
        DatasetError: no annotation, or nothing below ``root``.
    """
    check_split(NAME, "train" if split == "all" else split, SPLITS)
    root = Path(root).expanduser()
    if not root.exists():
        raise DatasetError(
            f"{NAME}: there is no folder or file {printable(root)}; give videos or their frame descriptors with --root"
        )
    listed = read(find_annotation(root, annotation))
    ids = (*listed.core, *(listed.background or ()))
    if holds_features(root):
        return Table(NAME, split, root, records=tuple(Record(name, root) for name in ids), published=len(ids))
    shelf = Shelf(scan(root))
    places = {name: shelf.find(name) for name in ids}
    records = tuple(Record(name, place) for name, place in places.items() if place is not None)
    missing = tuple(name for name, place in places.items() if place is None)
    return Table(NAME, split, root, (), records, missing, len(ids), notes=shelf.strays())


def holds_features(root: Path) -> bool:
    """Whether ``root`` is a store or HDF5 file of frame descriptors rather than videos."""
    return root.suffix in FEATURE_SUFFIXES if root.is_file() else (root / "store.json").is_file()


def find_annotation(root: Path, annotation: str | Path | None) -> Path:
    """The annotation's place, given or usual.

    Raises:
        DatasetError: none is given and none lies at the usual places.
    """
    if annotation is not None:
        return Path(annotation).expanduser()
    folder = root if root.is_dir() else root.parent
    for place in (folder, folder.parent):
        for name in ("annotation", "annotations", "vcdb.pickle"):
            if (place / name).exists():
                return place / name
    raise DatasetError(f"{NAME}: no annotation beside {printable(root)}; give --annotation FILE")


def _of(found: Iterable[tuple[str, str]]) -> Annotation:
    core: dict[str, None] = {}
    pairs: dict[tuple[str, str], tuple[str, str]] = {}
    for first, second in found:
        core |= {first: None, second: None}
        if first != second:
            pairs.setdefault((min(first, second), max(first, second)), (first, second))
    return Annotation(tuple(core), tuple(pairs.values()))


def _lines(file: Path, strict: bool) -> list[tuple[str, str]]:
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 6 and all(_TIME.fullmatch(part) for part in parts[2:]):
            found.append((_stem(parts[0]), _stem(parts[1])))
        elif strict and line.strip():
            raise DatasetError(
                f"{printable(file)}, line {number}: expected two videos and four times, comma-separated, not {line!r}"
            )
    return found


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0] or name


def _pickled(path: Path) -> Annotation:
    content: Any = read_pickled(path)
    try:
        pairs = [(str(first), str(second)) for first, second in (pair["videos"] for pair in content["video_pairs"])]
        negatives = [str(name) for name in content["negs"]]
    except (TypeError, KeyError, ValueError) as error:
        raise DatasetError(f"{printable(path)} is no annotation of VCDB: it lacks {error}") from error
    made = _of(pairs)
    listed = dict.fromkeys(str(name) for name in content.get("index", ()))
    core = dict.fromkeys(name for name in listed if name in set(made.core)) | dict.fromkeys(made.core)
    background = tuple(name for name in dict.fromkeys(negatives) if name not in core)
    return Annotation(tuple(core), made.pairs, background)
