"""Any folder of videos or frame folders, with or without a folder a class.

What is found decides. After single folders on the way down are passed through:

- folders named ``train`` and ``test`` (else ``val``, ``valid``, ``validation``) are the splits;
- two or more folders that hold videos, and no video beside them, are classes, sorted by name;
- otherwise the videos have no label.

Folders of masks, such as ``Annotations``, are no videos; their masks become those of the videos that they are named
after, see :mod:`telltime.datasets.found_masks`.

Without split folders the test split is drawn by :func:`draw_split`. The train split is the rest, or everything when no
video has a label: then there are no scores that could be flattered.
"""

import hashlib
import math
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from telltime.datasets.found_masks import set_apart
from telltime.datasets.lists import check_split
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Scan, printable, scan

NAME = "folder"
FOLDS = (None,)
SPLITS = ("train", "test")
TEST_SHARE = 0.3
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")
_FRAMES = ("jpegimages", "images", "frames", "videos", "rgb_frames", "rgb", "480p")
_GROUP = re.compile(r"_(g\d+)_c\d+$", re.IGNORECASE)


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """The videos below ``root``, or the single video file ``root``.

    Args:
        root: folder, frame folder or video file.
        split: ``"train"``, ``"test"`` or ``"all"``.
        fold: seed of the drawn split; any whole number.
        annotation: a list of path and label (see :mod:`telltime.datasets.kinetics`) that gives the labels instead of
            the folders; paths relative to ``root``.

    Raises:
        DatasetError: no such folder, no video in it, or a list that does not read.
    """
    check_split(NAME, split)
    root = Path(root).expanduser()
    if root.is_file():
        record = Record(printable(root.name), root)
        return Table(NAME, split, root, records=(record,), fold=fold)
    if not root.is_dir():
        raise DatasetError(f"{NAME}: there is no folder {printable(root)}; give the folder of your videos with --root")
    found = scan(root)
    if not found.videos:
        raise DatasetError(_nothing(root, found))
    found, masks = set_apart(found)
    notes = [*found.notes(), *masks.notes]
    return masks.attach(_found(found, split, fold, annotation, notes))


def _found(found: Scan, split: str, fold: int, annotation: str | Path | None, notes: list[str]) -> Table:
    root = found.root
    if annotation is not None:
        return _listed(found, split, fold, Path(annotation).expanduser(), notes)

    base = _descend(found.videos)
    tops = {_top(v, base) for v in found.videos}
    if halves := _halves(tops):
        return _halved(found, base, halves, split, notes)
    loose = "" in tops
    classes = tuple(sorted(tops)) if len(tops) > 1 and not loose else ()
    if loose and len(tops) > 1:
        notes.append("videos lie both beside and in subfolders, so no class is read from the folders")
    records = tuple(_record(root, v, base, classes) for v in found.videos)
    return _split(Table(NAME, split, root, tuple(map(printable, classes)), records, fold=fold), notes)


def draw_split(records: Iterable[Record], seed: int = 1, share: float = TEST_SHARE) -> set[str]:
    """Ids of the test videos: by class, about ``share`` of the groups, the same on every machine.

    Videos of one group stay on one side. A group is what lies in one folder below the class folder, or has the same
    ``gXX`` in UCF101's ``_gXX_cYY`` names; else every video is its own. Groups are ordered by a hash of seed, class and
    group; the first ``share`` of them test, but at least one and not all. A class of one group is for training only.
    """
    groups: dict[int | None, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        groups[record.label][record.group or record.id].append(record.id)
    test: set[str] = set()
    for label, members in groups.items():
        if len(members) < 2:
            continue
        order = sorted(
            members, key=lambda g: hashlib.blake2b(f"{seed}\0{label}\0{g}".encode(), digest_size=16).digest()
        )
        count = min(len(order) - 1, max(1, math.floor(share * len(order) + 0.5)))
        test.update(i for group in order[:count] for i in members[group])
    return test


def _split(whole: Table, notes: list[str]) -> Table:
    """``whole`` cut down to its split by a draw, with what was drawn said."""
    records = whole.records
    unlabelled = all(r.label is None for r in records)
    if unlabelled and whole.split == "train":
        notes.append(f"no classes to be measured by: all {len(records)} videos are in the train split")
    elif whole.split != "all":
        test = draw_split(whole.records, whole.fold or 1)
        records = tuple(r for r in whole.records if (r.id in test) == (whole.split == "test"))
        if whole.split == "test" and not records:
            raise DatasetError(
                f"{NAME}: no test videos can be set aside in {printable(whole.root)}: every class has one group only;"
                " add videos, or sort them into train and test folders"
            )
        notes.append(
            f"no train and test folders: {len(records)} of {len(whole.records)} videos are in the {whole.split} split,"
            f" drawn by class and group with seed {whole.fold}"
            + (", and also in the train split, since there are no classes" if unlabelled else "")
        )
    return Table(whole.name, whole.split, whole.root, whole.classes, records, fold=whole.fold, notes=tuple(notes))


def _halved(found: Scan, base: str, halves: dict[str, str], split: str, notes: list[str]) -> Table:
    """The table of a tree that is sorted into split folders; ``halves`` maps ``"train"`` and ``"test"`` to theirs."""
    below = {half: [v for v in found.videos if _top(v, base) == folder] for half, folder in halves.items()}
    bases = {half: f"{base}{folder}/" for half, folder in halves.items()}
    names = {_top(v, bases[half]) for half in halves for v in below[half]}
    while len(names) == 1 and (only := next(iter(names))).casefold() in _FRAMES:
        bases = {half: f"{path}{only}/" for half, path in bases.items()}
        names = {_top(v, bases[half]) for half in halves for v in below[half]}
    classes = () if "" in names else tuple(sorted(names))
    if rest := len(found.videos) - sum(map(len, below.values())):
        used = " and ".join(printable(folder) for folder in halves.values())
        notes.append(f"{rest} videos lie outside the folders {used} and are not used")
    wanted = SPLITS if split == "all" else (split,)
    records = tuple(_record(found.root, v, bases[half], classes) for half in wanted for v in below[half])
    return Table(NAME, split, found.root, tuple(map(printable, classes)), records, notes=tuple(notes))


def _listed(found: Scan, split: str, fold: int, annotation: Path, notes: list[str]) -> Table:
    from telltime.datasets import kinetics

    table = kinetics.load(found.root, "train" if annotation.is_file() else split, fold, annotation)
    if annotation.is_dir():
        return Table(
            NAME, split, found.root, table.classes, table.records, table.missing, None, fold, (*notes, *table.notes)
        )
    whole = Table(NAME, split, found.root, table.classes, table.records, table.missing, fold=fold)
    cut = _split(whole, notes)
    return Table(NAME, split, found.root, cut.classes, cut.records, table.missing, None, fold, cut.notes)


def _record(root: Path, video: str, base: str, classes: tuple[str, ...]) -> Record:
    inside = video.removeprefix(base)
    parts = inside.split("/")
    label = classes.index(parts[0]) if classes else None
    middle = "/".join(parts[1:-1] if classes else parts[:-1])
    pattern = _GROUP.search(parts[-1].rpartition(".")[0] or parts[-1])
    group = middle or (pattern[1].lower() if pattern else None)
    if group is not None:
        group = printable(f"{parts[0]}/{group}" if classes else group)
    identity = printable(video if video != "." else root.resolve().name)
    return Record(identity, root / video if video != "." else root, label, group)


def _descend(videos: tuple[str, ...]) -> str:
    """The deepest folder that holds everything, ``""`` or ending in ``/``; never a split folder."""
    base = ""
    while True:
        tops = {_top(v, base) for v in videos}
        if len(tops) != 1 or "" in tops:
            return base
        base += f"{tops.pop()}/"


def _top(video: str, base: str) -> str:
    """First folder of ``video`` below ``base``; ``""`` when it lies directly in ``base``."""
    head, slash, _ = video.removeprefix(base).partition("/")
    return head if slash else ""


def _halves(tops: set[str]) -> dict[str, str]:
    """The split folders among ``tops``, if there are both; ``test`` goes before ``val``."""
    by_name = {top.casefold(): top for top in sorted(tops)}
    train = next((by_name[n] for n in _TRAIN if n in by_name), None)
    test = next((by_name[n] for n in _TEST if n in by_name), None)
    return {"train": train, "test": test} if train and test else {}


def _nothing(root: Path, found: Scan) -> str:
    kinds = found.archives()
    if kinds:
        return f"no video in {printable(root)}, but {found.others[kinds[0]]} {kinds[0]} archives; extract them first"
    total = sum(found.others.values())
    beside = f" among {total} other files" if total else ", it is empty" if not found.troubles else ""
    hint = found.troubles[0] if found.troubles else "expected files such as clip.mp4, or folders of images"
    return f"no video found in {printable(root)}{beside}; {hint}"
