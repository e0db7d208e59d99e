"""Index files of video scenes, as TICL's probe reads them: JSON objects that name a video and its class.

Each data set has its own file (:mod:`~telltime.datasets.yup`, :mod:`~telltime.datasets.hollywood2`,
:mod:`~telltime.datasets.scenes_360x`) that says what an entry looks like; what they share is here.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telltime.datasets.lists import check_root, check_split
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, printable, scan

SPLITS = ("train", "val", "test")
OPTIONAL = ("val",)
"""Splits that nothing is missed without."""


@dataclass(frozen=True)
class Entry:
    """One video of an index.

    Attributes:
        path: relative, with ``/``; the suffix may be absent.
        label: name of its class, ``None`` when it has none.
        several: it had more classes, which are left out.
    """

    path: str
    label: str | None
    several: bool = False


Read = Callable[[Mapping[str, Any]], Entry]


def load_index(
    name: str,
    root: str | Path,
    split: str,
    annotation: str | Path | None,
    read: Read,
    prefixes: Sequence[str] = (),
    classes: Callable[[Path], tuple[str, ...]] | None = None,
) -> Table:
    """One split of a data set of index files; ``"all"`` is every split there is.

    Classes are those of all the index files together, sorted, unless ``classes`` reads them from elsewhere.

    Args:
        annotation: folder of the index files, or one of them; by default they are in ``root`` or ``root``'s parent.
        read: what an object of the index says.
        prefixes: how the names of its files may begin; see :func:`find_index`.
        classes: from the folder of the index files.

    Raises:
        DatasetError: no index of the split, or one that does not read.
    """
    check_split(name, split, (*SPLITS, "all"))
    root = check_root(name, Path(root))
    folders = _folders(name, root, annotation)
    found = {part: path for part in SPLITS if (path := find_index(folders, part, prefixes)) is not None}
    wanted = tuple(found) if split == "all" else (split,)
    if not found or any(part not in found for part in wanted):
        lacking = wanted[0] if wanted else "train"
        example = f"{(prefixes or (name,))[0]}_{lacking}_data.json"
        places = " or ".join(printable(folder) for folder in folders)
        raise DatasetError(f"{name}: there is no index of its {lacking} split in {places}, such as {example}")
    entries = {part: _entries(name, path, read) for part, path in found.items()}
    folder = next(iter(found.values())).parent
    labels = [entry.label for rows in entries.values() for entry in rows if entry.label is not None]
    titles = classes(folder) if classes else tuple(sorted(set(labels)))
    if unknown := sorted(set(labels) - set(titles)):
        raise DatasetError(f"{name}: {printable(unknown[0])!r} of its index is not among the {len(titles)} classes")
    return _table(name, split, root, titles, entries, wanted)


def find_index(folders: Sequence[Path], split: str, prefixes: Sequence[str]) -> Path | None:
    """The index of a split: ``PREFIX_SPLIT_data.json``, ``PREFIX_SPLIT.json``, ``SPLIT_data.json``, ``SPLIT.json``."""
    starts = [*(f"{prefix}_" for prefix in prefixes), ""]
    for folder in folders:
        for start in starts:
            for end in ("_data.json", ".json"):
                if (path := folder / f"{start}{split}{end}").is_file():
                    return path
    return None


def read_json(name: str, path: Path) -> Any:
    """What a JSON file holds; a :class:`DatasetError` where it is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{name}: cannot read {printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{name}: {printable(path)} is not JSON ({error})") from None


def text(row: Mapping[str, Any], key: str) -> str:
    """A field that must be words."""
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise DatasetError(f"expected {key!r} with a name, found {str(dict(row))[:80]!r}")
    return value


def _folders(name: str, root: Path, annotation: str | Path | None) -> list[Path]:
    if annotation is None:
        return [root, root.resolve().parent]
    given = Path(annotation).expanduser()
    if not given.exists():
        raise DatasetError(f"{name}: there is no {printable(given)}; --annotation names the folder of the index files")
    return [given if given.is_dir() else given.parent]


def _entries(name: str, path: Path, read: Read) -> list[Entry]:
    content = read_json(name, path)
    rows = list(content.values()) if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{name}: {printable(path)} holds no list of objects, one for each video")
    entries = []
    for number, row in enumerate(rows):
        try:
            entries.append(read(row))
        except DatasetError as error:
            raise DatasetError(f"{name}: {printable(path)}, entry {number}: {error}") from None
    return entries


def _table(
    name: str,
    split: str,
    root: Path,
    titles: tuple[str, ...],
    entries: Mapping[str, Sequence[Entry]],
    wanted: Sequence[str],
) -> Table:
    shelf, number = Shelf(scan(root)), {title: place for place, title in enumerate(titles)}
    records: dict[str, Record] = {}
    missing: list[str] = []
    counted: Counter[str] = Counter()
    for entry in (entry for part in wanted for entry in entries[part]):
        counted["several"] += entry.several
        if entry.label is None:
            counted["unlabelled"] += 1
        elif entry.path in records or entry.path in missing:
            counted["twice"] += 1
        elif (video := _place(root, shelf, entry.path)) is None:
            missing.append(printable(entry.path))
        else:
            records[entry.path] = Record(printable(entry.path), video, number[entry.label])
    notes = [
        sentence.format(counted[key])
        for key, sentence in (
            ("several", "{} videos have several classes, of which the first counts, as published"),
            ("unlabelled", "{} videos of the index have no class and are not used"),
            ("twice", "{} entries repeat a video; each is read once"),
        )
        if counted[key]
    ]
    notes += _shared(entries)
    return Table(name, split, root, titles, tuple(records.values()), tuple(missing), notes=tuple(notes))


def _place(root: Path, shelf: Shelf, listed: str) -> Path | None:
    """Where a listed video is: as listed, else by its name."""
    plain = root / listed
    if ".." not in Path(listed).parts and not Path(listed).is_absolute() and plain.exists():
        return plain
    return shelf.find(listed)


def _shared(entries: Mapping[str, Sequence[Entry]]) -> Iterator[str]:
    """Sentences about videos that two splits have."""
    parts = list(entries)
    for at, one in enumerate(parts):
        for other in parts[at + 1 :]:
            both = {entry.path for entry in entries[one]} & {entry.path for entry in entries[other]}
            if both:
                yield f"{len(both)} videos are in both the {one} and the {other} index, e.g. {printable(min(both))}"
