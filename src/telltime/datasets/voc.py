"""Pascal VOC 2012 segmentation (Everingham et al., 2010): 20 classes and background; 1,449 pictures to test on.

Layout::

    ROOT/images/<picture>.jpg                   (or JPEGImages)
    ROOT/SegmentationClass/<picture>.png        palette indices are the classes, 255 is void
    ROOT/SegmentationClassAug/<picture>.png     of train and trainaug; SegmentationClass where it is absent
    ROOT/sets/{train,trainaug,val}.txt          (or ImageSets/Segmentation)

``train`` is the list ``trainaug`` of 10,582 pictures where there is one, as in the published protocols, else ``train``;
``train-plain`` is the list ``train`` in any case. ``test`` is the list ``val``.
"""

from pathlib import Path

from telltime.datasets.lists import check_root, check_split, lines, look
from telltime.datasets.masks import AS_STORED
from telltime.datasets.pictures import read_pictures
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import printable

NAME = "voc"
KIND = "picture"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
"""Either of them may not have been downloaded."""
PUBLISHED = {"trainaug": 10582, "train": 1464, "val": 1449}
CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_PICTURES = ("images", "JPEGImages")
_LISTS = ("sets", "ImageSets/Segmentation")


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of Pascal VOC; ``"all"`` is that of every list.

    Args:
        root: folder of the layout above, or one that holds it, such as ``VOCdevkit``.
        split: ``"train"`` (or ``"trainaug"``), ``"train-plain"``, ``"test"`` (or ``"val"``) or ``"all"``.
        fold: not used.
        annotation: a text file of names to use instead of the split's list.

    Raises:
        DatasetError: the layout is not as above, or there is no list of the split.
    """
    check_split(NAME, split, ("train", "trainaug", "train-plain", "test", "val", "all"))
    root = check_root(NAME, Path(root))
    home = look(root, lambda place: (place / "SegmentationClass").is_dir() or (place / "SegmentationClassAug").is_dir())
    if home is None:
        raise DatasetError(f"{NAME}: there is no folder SegmentationClass at or below {printable(root)}")
    pictures = next((home / name for name in _PICTURES if (home / name).is_dir()), None)
    if pictures is None:
        raise DatasetError(f"{NAME}: there is neither {_PICTURES[0]} nor {_PICTURES[1]} in {printable(home)}")
    lists = next((home / name for name in _LISTS if (home / name).is_dir()), home / _LISTS[0])
    given = Path(annotation).expanduser() if annotation is not None else None
    train = _list_name("train", lists)
    parts = [train, "val"] if split == "all" else [_list_name(split, lists)]
    if split == "all":
        parts = [part for part in parts if (lists / f"{part}.txt").is_file()] or parts
    records: list[Record] = []
    missing: list[str] = []
    notes: list[str] = []
    for part in parts:
        path = given or lists / f"{part}.txt"
        if not path.is_file():
            raise DatasetError(f"{NAME}: there is no list {printable(path)}; name one with --annotation")
        names = list(dict.fromkeys(Path(line.split()[0]).stem for line in lines(path)))
        found, lacking, said = read_pictures(pictures, _masks(home, part), names, AS_STORED)
        records += found
        missing += lacking
        notes += said
    if split == "train":
        notes.append(f"the train split is the list {parts[0]}")
    return Table(
        NAME,
        {"val": "test", "trainaug": "train"}.get(split, split),
        root,
        CLASSES,
        tuple({record.id: record for record in records}.values()),
        tuple(dict.fromkeys(missing)),
        None if given or split == "all" else PUBLISHED[parts[0]],
        notes=tuple(dict.fromkeys(notes)),
    )


def _list_name(split: str, lists: Path) -> str:
    if split == "train":
        return "trainaug" if (lists / "trainaug.txt").is_file() else "train"
    return {"test": "val", "train-plain": "train"}.get(split, split)


def _masks(home: Path, part: str) -> Path:
    """Masks of the augmented set for training, where it is there; for validation those with void edges."""
    order = ["SegmentationClass", "SegmentationClassAug"]
    if part != "val":
        order.reverse()
    return next(home / name for name in order if (home / name).is_dir())
