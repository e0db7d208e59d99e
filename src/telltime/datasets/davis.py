"""DAVIS-2017 (Pont-Tuset et al., 2017): 150 sequences of several objects; 60 to train on, 30 each to validate and test.

Layout::

    ROOT/JPEGImages/480p/<sequence>/00000.jpg    (or Full-Resolution, or 1080p; 480p is read where both are)
    ROOT/Annotations/480p/<sequence>/00000.png   (or Annotations_unsupervised; palette indices are the objects)
    ROOT/ImageSets/2017/{train,val,test-dev}.txt one name of a sequence a line

``test`` is the val split, whose masks are public; ``test-dev`` has masks of first frames only. Masks of 0 and 255 alone
are of one object: no pixel of DAVIS is void. ``--annotation`` names a list of sequences, or another folder of masks.
"""

from collections.abc import Mapping
from pathlib import Path

from telltime.datasets.lists import check_root, check_split, lines, look
from telltime.datasets.record import DatasetError, Table
from telltime.datasets.scan import printable
from telltime.datasets.sequences import read_sequences, resolution, subfolders

NAME = "davis"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
"""Either of them may not have been downloaded."""
LISTS = ("train", "val", "test-dev", "test-challenge")
PUBLISHED = {"train": 60, "val": 30, "test-dev": 30, "test-challenge": 30, "all": 90}
LIST_FOLDERS = ("2017", "2019", ".")
_MASKS = ("Annotations", "Annotations_unsupervised", "Annotations_2017", "Annotations_2016")


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of DAVIS-2017; ``"all"`` is all sequences that lists name, or without lists all that are there.

    Args:
        root: folder of the layout above, or one that holds it.
        split: ``"train"``, ``"test"`` (or ``"val"``), ``"test-dev"``, ``"test-challenge"`` or ``"all"``.
        fold: not used.
        annotation: a text file of sequences, or the folder of masks to read instead.

    Raises:
        DatasetError: the layout is not as above, or there is no list of the split.
    """
    return load_lists(NAME, Path(root), split, annotation, LIST_FOLDERS, _MASKS, None, PUBLISHED)


def load_lists(
    name: str,
    root: Path,
    split: str,
    annotation: str | Path | None,
    lists: tuple[str, ...],
    kinds: tuple[str, ...],
    meaning: tuple[int, ...] | None,
    published: Mapping[str, int],
) -> Table:
    """One split of a data set in DAVIS's layout.

    Args:
        lists: folders below ``ImageSets`` to look for lists in, in this order.
        kinds: folders of masks to look for.
        meaning: of the numbers in masks; ``None`` to look into them.
        published: sizes of the splits.
    """
    check_split(name, split, (*SPLITS, *LISTS, "trainval", "all"))
    split = {"test": "val", "trainval": "all"}.get(split, split)
    root = check_root(name, root)
    home = look(root, lambda place: (place / "JPEGImages").is_dir())
    if home is None:
        raise DatasetError(
            f"{name}: there is no folder JPEGImages at or below {printable(root)}; expected"
            " JPEGImages/480p/<sequence>/00000.jpg"
        )
    frames = resolution(home / "JPEGImages")
    given = Path(annotation).expanduser() if annotation is not None else None
    if given is not None and not given.exists():
        raise DatasetError(f"{name}: there is no {printable(given)}; --annotation names a list or a folder of masks")
    masks = given if given is not None and given.is_dir() else _masks(home, frames.name, kinds)
    listed = given if given is not None and given.is_file() else None
    names, notes = _names(name, home, frames, split, lists, listed)
    read = read_sequences(frames, masks, names, meaning)
    if kinds == _MASKS and masks is not None and masks.parent.name != kinds[0] and given is None:
        notes.append(f"there is no folder {kinds[0]}; masks are read from {printable(masks.parent.name)}")
    return Table(
        name,
        {"val": "test"}.get(split, split),
        root,
        records=read.records,
        missing=read.missing,
        published=None if listed else published.get(split),
        notes=(*notes, *read.notes),
    )


def sequence_names(path: Path) -> list[str]:
    """The sequences that a list names, each once: by their name, or by paths to frames and masks as in DAVIS-2016."""
    names = []
    for line in lines(path):
        first = line.split()[0].strip("/")
        names.append(first.split("/")[-2] if "/" in first else first)
    return list(dict.fromkeys(names))


def find_list(home: Path, split: str, lists: tuple[str, ...] = LIST_FOLDERS) -> Path | None:
    """The list of a split in one of the folders ``lists`` below ``home``'s ``ImageSets``."""
    places = (home / "ImageSets" / folder / f"{split}.txt" for folder in lists)
    return next((path for path in places if path.is_file()), None)


def _names(
    name: str, home: Path, frames: Path, split: str, folders: tuple[str, ...], given: Path | None
) -> tuple[list[str], list[str]]:
    if given is not None:
        return sequence_names(given), []
    lists = {part: path for part in LISTS if (path := find_list(home, part, folders)) is not None}
    there = subfolders(frames)
    if split == "all":
        named = dict.fromkeys(n for path in lists.values() for n in sequence_names(path))
        if not named:
            return there, []
        rest = [n for n in there if n not in named]
        notes = [f"{len(rest)} sequences in no list are left out, e.g. {printable(rest[0])}"] if rest else []
        return [n for n in named if n in there] or list(named), notes
    if split not in lists:
        raise DatasetError(
            f"{name}: there is no list {folders[0]}/{split}.txt in {printable(home / 'ImageSets')}; name a list with"
            f" --annotation, or take all {len(there)} sequences with split 'all'"
        )
    return sequence_names(lists[split]), []


def _masks(home: Path, size: str, kinds: tuple[str, ...]) -> Path | None:
    """The folder of masks that belongs to frames of ``size``; of another one if there is none."""
    found = [home / kind for kind in kinds if (home / kind).is_dir()]
    for folder in found:
        if (folder / size).is_dir():
            return folder / size
    return resolution(found[0]) if found else None
