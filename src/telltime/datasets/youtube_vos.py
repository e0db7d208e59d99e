"""YouTube-VOS (Xu et al., ECCV 2018): 3,471 videos to train on and 507 (of 2018: 474) to validate, 94 categories.

Layout::

    ROOT/train/JPEGImages/<video>/00000.jpg    (and valid; or ROOT is one of the two folders)
    ROOT/train/Annotations/<video>/00000.png   palette indices are the objects
    ROOT/train/meta.json                       category of each object of each video

``test`` is the valid split, whose masks are of the frames where objects first appear. The videos of a folder that is no
split, such as an author's ``train1``, are those of the split asked for. Labels are the objects of each video;
``--annotation classes`` makes them the categories instead, numbered from 1 in alphabetical order of all ``meta.json``
there are. An object without a category is then void.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from telltime.datasets.davis import find_list, sequence_names
from telltime.datasets.lists import check_root, check_split, look
from telltime.datasets.masks import lookup
from telltime.datasets.record import DatasetError, Table
from telltime.datasets.scan import printable
from telltime.datasets.sequences import Sequences, read_sequences, resolution, subfolders

NAME = "youtube-vos"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
"""Either of them may not have been downloaded."""
PUBLISHED = {"train": 3471, "test": 507}
LABELS = ("instances", "classes")
_FOLDERS = {"train": ("train", "train1"), "test": ("valid", "val", "val1", "test")}

Objects = Mapping[str, Mapping[int, str]]
"""Category of each object, by video and number."""


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of YouTube-VOS; nothing below ``root`` is written, moved or deleted.

    Args:
        root: folder of the layout above.
        split: ``"train"``, ``"test"`` (or ``"val"``, ``"valid"``) or ``"all"``.
        fold: not used.
        annotation: ``"instances"`` (or nothing) or ``"classes"``: what labels are.

    Raises:
        DatasetError: the layout is not as above, or ``meta.json`` is asked for and does not tell categories.
    """
    labels = str(annotation or LABELS[0])
    if labels not in LABELS:
        raise DatasetError(f"{NAME}: labels are {' or '.join(LABELS)}, --annotation says {printable(labels)!r}")
    root = check_root(NAME, Path(root))
    places = split_folders(NAME, root, split)
    if labels == "instances":
        return _table(root, split, places, None)
    told: dict[Path, Objects] = {}
    for folder in dict.fromkeys([*places, *_neighbours(root)]):
        if (objects := read_meta(folder)) is not None:
            told[folder] = objects
    if lacking := [folder for folder in places if folder not in told]:
        raise DatasetError(f"{NAME}: there is no meta.json with categories in {printable(lacking[0])}")
    return _table(root, split, places, told)


def split_folders(name: str, root: Path, split: str) -> list[Path]:
    """The folders with ``JPEGImages`` that a split means: of ``"all"`` those of every split.

    Raises:
        DatasetError: there is none, or no such split.
    """
    check_split(name, split, ("train", "test", "val", "valid", "all"))
    halves = _halves(root)
    if not halves:
        home = look(root, lambda place: (place / "JPEGImages").is_dir())
        if home is None:
            raise DatasetError(
                f"{name}: there is no folder JPEGImages at or below {printable(root)}; expected"
                " train/JPEGImages/<video>/00000.jpg"
            )
        return [home]
    wanted = list(halves) if split == "all" else ["train" if split == "train" else "test"]
    if wanted[0] not in halves:
        other = next(iter(halves.values()))
        expected = _FOLDERS[wanted[0]][0]
        raise DatasetError(f"{name}: there is no folder {expected} in {printable(root)}, only {other.name}")
    return [halves[half] for half in wanted]


def read_split(name: str, home: Path, split: str, meaning: Any = None, objects: str = "instances") -> Sequences:
    """The videos of one folder: those on its list of the split, if it has lists as DAVIS has them, or all."""
    frames, masks = (resolution(home / kind) for kind in ("JPEGImages", "Annotations"))
    listed = find_list(home, "train" if split == "train" else "val") if split != "all" else None
    names = sequence_names(listed) if listed else subfolders(frames)
    if not names:
        raise DatasetError(f"{name}: no video in {printable(frames)}")
    extra = {} if meaning is None else {"meaning": meaning}
    return read_sequences(frames, masks if masks.is_dir() else None, names, objects=objects, **extra)


def read_meta(folder: Path) -> Objects | None:
    """The categories of ``folder``'s ``meta.json``, if there is one.

    Raises:
        DatasetError: it is there and does not read.
    """
    path = folder / "meta.json"
    if not path.is_file():
        return None
    try:
        videos = json.loads(path.read_text(encoding="utf-8-sig"))["videos"]
        return {
            video: {int(number): str(told["category"]) for number, told in entry["objects"].items()}
            for video, entry in videos.items()
        }
    except (OSError, ValueError) as error:
        raise DatasetError(f"{NAME}: {printable(path)} does not read: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{NAME}: {printable(path)} has no {error} where videos, objects and their category are expected"
        ) from None


def table_of(name: str, root: Path, split: str, parts: list[Sequences], published: int | None) -> Table:
    """Splits put together."""
    return Table(
        name,
        "test" if split in ("val", "valid") else split,
        root,
        records=tuple(r for part in parts for r in part.records),
        missing=tuple(m for part in parts for m in part.missing),
        published=published,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _table(root: Path, split: str, places: list[Path], told: Mapping[Path, Objects] | None) -> Table:
    if told is None:
        parts = [read_split(NAME, home, split) for home in places]
        return table_of(NAME, root, split, parts, _published(root, split))
    categories = sorted({c for objects in told.values() for video in objects.values() for c in video.values()})
    if len(categories) > 254:
        raise DatasetError(f"{NAME}: {len(categories)} categories are more than the 254 that masks can hold")
    number = {category: i + 1 for i, category in enumerate(categories)}
    parts = []
    for home in places:
        meaning = {
            video: lookup({n: number[category] for n, category in objects.items()})
            for video, objects in told[home].items()
        }
        parts.append(read_split(NAME, home, split, meaning, "classes"))
    return replace(table_of(NAME, root, split, parts, _published(root, split)), classes=("background", *categories))


def _published(root: Path, split: str) -> int | None:
    return PUBLISHED.get("train" if split == "train" else "test") if split != "all" and _halves(root) else None


def _halves(root: Path) -> dict[str, Path]:
    """The folders of the splits in ``root``, or one level below."""
    for place in (root, *(root / name for name in subfolders(root)[:20])):
        found = {
            half: next((place / n for n in names if (place / n / "JPEGImages").is_dir()), None)
            for half, names in _FOLDERS.items()
        }
        if kept := {half: path for half, path in found.items() if path is not None}:
            return kept
    return {}


def _neighbours(root: Path) -> list[Path]:
    return list(_halves(root).values())
