"""HMDB51 (Kuehne et al., ICCV 2011): 6,766 videos of 51 actions, three folds of 70 training and 30 test videos a class.

Layout::

    ROOT/<class>/<name>.avi                                       (or below a folder such as hmdb51_org)
    ROOT/testTrainMulti_7030_splits/<class>_test_split{1,2,3}.txt  (or ROOT/splits, or ROOT itself)

Lines are ``name.avi 1|2|0``: 1 trains, 2 tests, 0 is unused in that fold. Classes are numbered alphabetically.
"""

import re
from pathlib import Path

from telltime.datasets.lists import annotation_folder, check_fold, check_root, check_split, lines, look
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, printable, scan

NAME = "hmdb51"
FOLDS = (1, 2, 3)
SPLITS = ("train", "test")
PUBLISHED = {"train": 3570, "test": 1530, "all": 6766}
_LIST_FOLDERS = ("testTrainMulti_7030_splits", "splits", "test_train_splits")
_LIST = re.compile(r"^(?P<title>.+)_test_split(?P<fold>[123])\.txt$")
_MARK = {"1": "train", "2": "test", "0": "unused"}


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of HMDB51; ``"all"`` is all 6,766 videos, those unused in the fold included.

    Args:
        root: folder of the layout above.
        split: ``"train"``, ``"test"`` or ``"all"``.
        fold: 1, 2 or 3.
        annotation: folder of the 153 split files, or one of them, where they lie elsewhere.

    Raises:
        DatasetError: the split files are absent or do not read, or the split or fold does not exist.
    """
    check_split(NAME, split)
    check_fold(NAME, fold)
    root = check_root(NAME, Path(root))
    files = _files(root, annotation, fold)
    classes = tuple(sorted(files))
    found = scan(root)
    shelf = Shelf(found)

    records: list[Record] = []
    missing: list[str] = []
    for label, title in enumerate(classes):
        for line in lines(files[title]):
            *head, mark = line.rsplit(None, 1)
            if mark not in _MARK or not head:
                raise DatasetError(
                    f"{printable(files[title])}: expected lines such as 'name.avi 1', found {printable(line)!r}"
                )
            listed = f"{title}/{head[0]}"
            video = shelf.find(listed)
            if split not in ("all", _MARK[mark]):
                continue
            if video is None:
                missing.append(printable(listed))
                continue
            records.append(Record(printable(listed), video, label, _source(head[0], title)))
    notes = list(found.notes(expected=(".txt",)))
    notes += shelf.strays()
    return Table(
        NAME, split, root, classes, tuple(records), tuple(missing), PUBLISHED[split], fold=fold, notes=tuple(notes)
    )


def _files(root: Path, annotation: str | Path | None, fold: int) -> dict[str, Path]:
    """Class to split file of one fold."""
    if annotation is not None:
        folder: Path | None = annotation_folder(NAME, Path(annotation))
    else:
        preferred = [root / name for name in _LIST_FOLDERS]
        folder = next((p for p in preferred if _split_files(p, fold)), None)
        folder = folder or look(root, lambda f: bool(_split_files(f, fold)), beside=_LIST_FOLDERS)
    files = _split_files(folder, fold) if folder else {}
    if not files:
        where = folder or root / _LIST_FOLDERS[0]
        raise DatasetError(
            f"{NAME}: no split files found: looked for {printable(where / f'*_test_split{fold}.txt')};"
            " unpack test_train_splits.rar there, or name its folder with --annotation"
        )
    return files


def _split_files(folder: Path, fold: int) -> dict[str, Path]:
    try:
        matches = [(m, p) for p in folder.iterdir() if (m := _LIST.match(p.name))]
    except OSError:
        return {}
    return {m["title"]: p for m, p in matches if m["fold"] == str(fold)}


def _source(name: str, title: str) -> str | None:
    """The film a clip was cut from: what stands before the class in its name."""
    source = name.rpartition(f"_{title}_")[0]
    return source or None
