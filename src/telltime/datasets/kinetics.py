"""Kinetics-400 (Kay et al., 2017), and any list of videos with labels.

Layout::

    ROOT/train.csv, val.csv (or validate.csv; prefixes such as kinetics400_ and the folder ROOT/annotations are fine)
    ROOT/**/<class>/<youtube_id>_<start:06d>_<end:06d>.mp4   (class with spaces or underscores, or no class folder)

Official lists have the columns ``label,youtube_id,time_start,time_end,split``; classes are numbered alphabetically over
all lists found. A plain list has two columns, path and label, divided by a comma or a space; the label is a name or a
number, and paths are absolute, or relative to the list or to ROOT.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from telltime.datasets.lists import check_root, check_split, lines
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, folders, printable, scan

NAME = "kinetics400"
FOLDS = (None,)
SPLITS = ("train", "test")
_LIST = re.compile(
    r"^(?:.*[_.-])?(train|val|validate|validation|test)(?:[_-]?list)?(?:[_-]videos)?\.(?:csv|txt)$", re.I
)
_CLASSES = re.compile(r"^(?:.*[_-])?(?:label_map|classes|labels|class_list|categories)(?:[_-].*)?\.txt$", re.I)
_ORDER = {"train": ("train",), "test": ("validate", "validation", "val", "test")}


@dataclass(frozen=True)
class Entry:
    """One line of a list: where the video should be, and its label as written (``""``: none)."""

    listed: str
    label: str
    stems: tuple[str, ...] = ()
    group: str | None = None


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of Kinetics-400; ``"test"`` is the validation list, on which papers report. There is one fold.

    Args:
        root: folder of the layout above.
        split: ``"train"``, ``"test"`` (or ``"val"``), or ``"all"`` for both.
        fold: not used.
        annotation: folder of the lists, or a list to read for any split.

    Raises:
        DatasetError: a list is absent or does not read.
    """
    split = "test" if split == "val" else split
    check_split(NAME, split)
    root = check_root(NAME, Path(root))
    lists = _lists(root, annotation)
    wanted = [part for part in SPLITS if part in lists] if split == "all" else [split]
    if absent := [part for part in wanted if part not in lists]:
        folder = next(iter(lists.values())).parent
        raise DatasetError(
            f"{NAME}: there is no list of the {absent[0]} split in {printable(folder)};"
            f" put {'train.csv' if absent[0] == 'train' else 'val.csv'} there or name its folder with --annotation"
        )
    entries = {part: read_list(path) for part, path in lists.items()}
    classes = _class_names(lists, entries)
    by_name = {_plain(c): i for i, c in enumerate(classes)}
    found = scan(root)
    shelf = Shelf(found, fold_case=False)

    records: dict[str, Record] = {}
    missing: dict[str, None] = {}
    for part in wanted:
        for entry in entries[part]:
            name = printable(entry.listed)
            video = _find(entry, shelf, lists[part].parent)
            if video is None:
                missing[name] = None
            elif name not in records:
                records[name] = Record(name, video, _label(entry.label, by_name), entry.group)
    notes = list(found.notes(expected=(".csv", ".txt")))
    if split == "all":
        notes += shelf.strays()
    official = all(entry.stems for part in wanted for entry in entries[part])
    published = sum(len(entries[part]) for part in wanted) if official else None
    return Table(NAME, split, root, classes, tuple(records.values()), tuple(missing), published, notes=tuple(notes))


def read_list(path: Path) -> list[Entry]:
    """An official or plain list.

    Raises:
        DatasetError: the file cannot be read, is empty, or has lines of another form.
    """
    rows = lines(path)
    if not rows:
        raise DatasetError(f"{printable(path)} is empty; expected the official columns or lines of path and label")
    if "youtube_id" in rows[0]:
        return _official(path, rows)
    comma = all("," in row for row in rows)
    entries = []
    for row in rows:
        parts = row.rsplit(",", 1) if comma else row.rsplit(None, 1)
        if len(parts) != 2 or not parts[0].strip():
            raise DatasetError(f"{printable(path)}: expected lines of path and label, found {printable(row)!r}")
        listed, label = (p.strip().strip('"') for p in parts)
        entries.append(Entry(listed.replace("\\", "/"), label))
    return entries[1:] if comma and entries[0].label.lower() in ("label", "class") else entries


def _official(path: Path, rows: list[str]) -> list[Entry]:
    entries = []
    for row in csv.DictReader(rows):
        label, video = (row.get("label") or "").strip(), (row.get("youtube_id") or "").strip()
        try:
            start, end = int(float(row.get("time_start") or 0)), int(float(row.get("time_end") or 0))
        except ValueError:
            raise DatasetError(f"{printable(path)}: the times of {printable(video)!r} are no numbers") from None
        stem = f"{video}_{start:06d}_{end:06d}"
        entries.append(Entry(f"{label}/{stem}.mp4" if label else f"{stem}.mp4", label, (stem, video), video))
    return entries


def _lists(root: Path, annotation: str | Path | None) -> dict[str, Path]:
    """``"train"`` and ``"test"`` to the list of each that exists."""
    if annotation is not None:
        place = Path(annotation).expanduser()
        if not place.exists():
            raise DatasetError(
                f"{NAME}: there is no {printable(place)}; --annotation names the file or folder of lists"
            )
        if place.is_file():
            return dict.fromkeys(SPLITS, place)
        places = [place]
    else:
        places = list(folders(root, 1))
    for place in places:
        try:
            matches = {m[1].lower(): p for p in sorted(place.iterdir()) if (m := _LIST.match(p.name))}
        except OSError:
            continue
        found = {part: next((matches[n] for n in names if n in matches), None) for part, names in _ORDER.items()}
        if any(found.values()):
            return {part: path for part, path in found.items() if path}
    raise DatasetError(
        f"{NAME}: no list found: looked for train.csv and val.csv in {printable(places[0])};"
        " name their folder with --annotation, or use --data folder for a tree of class folders without lists"
    )


def _class_names(lists: dict[str, Path], entries: dict[str, list[Entry]]) -> tuple[str, ...]:
    """From a file of class names beside the lists; else the names in the lists, sorted; else the numbers in them."""
    labels = {e.label for listed in entries.values() for e in listed if e.label}
    numbers = [int(label) for label in labels if label.isdecimal()]
    by_number = bool(labels) and len(numbers) == len(labels)
    folder = next(iter(lists.values())).parent
    named = next((p for p in sorted(folder.iterdir()) if _CLASSES.match(p.name)), None)
    names = tuple(lines(named)) if named else ()
    if by_number:
        return names if len(names) > max(numbers) else tuple(str(i) for i in range(max(numbers) + 1))
    plain = {_plain(n) for n in names}
    if names and all(_plain(label) in plain for label in labels):
        return names
    return tuple(sorted({_plain(label): label for label in sorted(labels)}.values()))


def _plain(label: str) -> str:
    return label.replace("_", " ").casefold()


def _label(label: str, by_name: dict[str, int]) -> int | None:
    if label.isdecimal() and _plain(label) not in by_name:
        return int(label)
    return by_name.get(_plain(label))


def _find(entry: Entry, shelf: Shelf, beside: Path) -> Path | None:
    if not entry.stems:
        if (video := shelf.find("/".join(entry.listed.split("/")[-2:]))) is not None:
            return video
        path = beside / entry.listed
        return path if path.exists() else None
    spellings = (entry.label.replace(" ", "_"), entry.label.replace("_", " "))
    tries = (shelf.find(f"{entry.label}/{stem}", folders=spellings) for stem in entry.stems)
    return next((video for video in tries if video is not None), None)
