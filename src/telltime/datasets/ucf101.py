"""UCF101 (Soomro, Zamir and Shah, 2012): 13,320 videos of 101 actions, three folds.

Layout::

    ROOT/UCF-101/<Class>/v_<Class>_gXX_cYY.avi
    ROOT/ucfTrainTestlist/classInd.txt, trainlist0{1,2,3}.txt, testlist0{1,2,3}.txt

The class is the folder's name: ``HandstandPushups`` holds files named ``v_HandStandPushups_...``. Its number is the one
in ``classInd.txt``, which is not alphabetical as a computer sorts. The number repeated in
the train lists is only checked.
"""

import re
from pathlib import Path

from telltime.datasets.lists import annotation_folder, check_fold, check_root, check_split, lines, look
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Shelf, printable, scan

NAME = "ucf101"
FOLDS = (1, 2, 3)
SPLITS = ("train", "test")
PUBLISHED = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
_VIDEO_FOLDERS = ("UCF-101", "UCF101", "ucf101", "videos")
_LIST_FOLDER = "ucfTrainTestlist"
_GROUP = re.compile(r"_(g\d+)_c\d+$", re.IGNORECASE)


def load(
    root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None, name: str = NAME
) -> Table:
    """One split of UCF101; ``root`` may also be the ``UCF-101`` folder itself, or a folder above.

    Args:
        root: folder of the layout above.
        split: ``"train"``, ``"test"`` or ``"all"``.
        fold: 1, 2 or 3.
        annotation: folder of the lists, or one file in it, where they lie elsewhere.
        name: what the table is called, for data sets that share the layout.

    Raises:
        DatasetError: a list is absent or does not read, or the split or fold does not exist.
    """
    check_split(name, split)
    check_fold(name, fold)
    root = check_root(name, Path(root))
    lists = _lists(name, root, annotation)
    classes = _classes(lists / "classInd.txt")
    shelf = Shelf(scan(_videos(root)))
    by_name = {c.casefold(): i for i, c in enumerate(classes)}

    records: list[Record] = []
    missing: list[str] = []
    seen: set[str] = set()
    notes: list[str] = []
    for part in SPLITS if split == "all" else (split,):
        path = lists / f"{part}list{fold:02d}.txt"
        wrong, twice = 0, 0
        for line in _list(name, path):
            listed, number = _entry(line)
            folder = listed.split("/")[0]
            label = by_name.get(folder.casefold())
            if label is None or "/" not in listed:
                raise DatasetError(
                    f"{printable(path)} names {printable(listed)!r}, but classInd.txt beside it has no class"
                    f" {printable(folder)!r}; the two files must belong together"
                )
            wrong += number is not None and number != label + 1
            if listed in seen:
                twice += 1
                continue
            seen.add(listed)
            video = shelf.find(listed)
            if video is None:
                missing.append(printable(listed))
                continue
            group = _GROUP.search(listed.rpartition(".")[0] or listed)
            group_name = f"{classes[label]}/{group[1].lower()}" if group else None
            records.append(Record(printable(listed), video, label, group_name))
        if wrong:
            notes.append(
                f"{wrong} lines of {path.name} give another class number than classInd.txt; the folder decides"
            )
        if twice:
            notes.append(f"{twice} lines of {path.name} repeat a video; each is read once")
    notes += shelf.found.notes(expected=(".txt",))
    if split == "all":
        notes += shelf.strays()
    train, test = PUBLISHED[fold]
    published = {"train": train, "test": test, "all": train + test}[split] if name == NAME else None
    return Table(name, split, root, classes, tuple(records), tuple(missing), published, fold=fold, notes=tuple(notes))


def _lists(name: str, root: Path, annotation: str | Path | None) -> Path:
    if annotation is not None:
        folder = annotation_folder(name, Path(annotation))
        if not (folder / "classInd.txt").is_file():
            raise DatasetError(f"{name}: there is no classInd.txt in {printable(folder)}, named by --annotation")
        return folder
    official = next((p for p in (root / _LIST_FOLDER,) if (p / "classInd.txt").is_file()), None)
    found = official or look(root, lambda f: (f / "classInd.txt").is_file(), beside=[_LIST_FOLDER])
    if found is None:
        raise DatasetError(
            f"{name}: no split lists found: looked for {printable(root / _LIST_FOLDER / 'classInd.txt')};"
            " unpack UCF101TrainTestSplits-RecognitionTask.zip there, or name its folder with --annotation"
        )
    return found


def _videos(root: Path) -> Path:
    """The folder of class folders at, or up to two levels below, ``root``; else ``root``."""
    names = {n.casefold() for n in _VIDEO_FOLDERS}
    return look(root, lambda f: f.name.casefold() in names and f != root) or root


def _classes(path: Path) -> tuple[str, ...]:
    numbered: dict[int, str] = {}
    for line in lines(path):
        number, title = (*line.split(None, 1), "")[:2]
        if not number.isdecimal() or not title:
            raise DatasetError(
                f"{printable(path)}: expected lines such as '1 ApplyEyeMakeup', found {printable(line)!r}"
            )
        numbered[int(number)] = title
    if sorted(numbered) != list(range(1, len(numbered) + 1)) or not numbered:
        raise DatasetError(f"{printable(path)}: the class numbers must run from 1 without a gap")
    return tuple(numbered[i] for i in sorted(numbered))


def _list(name: str, path: Path) -> list[str]:
    if not path.is_file():
        raise DatasetError(f"{name}: there is no {printable(path)}; unpack the official lists or choose another --fold")
    return lines(path)


def _entry(line: str) -> tuple[str, int | None]:
    """``"Class/name.avi 1"`` to path and number; names may hold spaces, numbers may be absent."""
    *head, tail = line.rsplit(None, 1)
    if head and tail.isdecimal():
        return head[0].replace("\\", "/"), int(tail)
    return line.replace("\\", "/"), None
