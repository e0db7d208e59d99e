"""COCO-Stuff (Caesar et al., CVPR 2018): pictures of COCO 2017 with 15 super-classes of stuff; the rest is void.

Layout::

    ROOT/images/train2017/<picture>.jpg         (or ROOT/train2017, or ROOT/coco/images/train2017; and val2017)
    ROOT/stuffthingmaps/train2017/<picture>.png numbers are COCO's ids less one, 255 is void (COCO-Stuff 164k)

or, as Leopart has them, with COCO's ids as numbers, 0 for things and 183 for the rest::

    ROOT/annotations/stuff_annotations/stuff_train2017_pixelmaps/<picture>.png

``test`` is val2017. Labels are 0 to 14 in alphabetical order of the super-classes, as in Leopart's protocol.
"""

from collections.abc import Mapping
from pathlib import Path

from telltime.datasets.lists import check_root, check_split, lines
from telltime.datasets.masks import VOID
from telltime.datasets.pictures import groups_lookup, read_pictures
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import folders, printable

NAME = "coco-stuff"
KIND = "picture"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
"""Either of them may not have been downloaded."""
GROUPS: dict[str, tuple[int, ...]] = {
    "building": (95, 96, 128, 151, 158, 166),
    "ceiling": (102, 103),
    "floor": (101, 114, 115, 116, 117, 118),
    "food-stuff": (121, 122, 153, 170),
    "furniture-stuff": (98, 107, 108, 110, 112, 123, 130, 133, 156, 161, 165),
    "ground": (111, 125, 126, 136, 140, 144, 145, 147, 149, 154, 159),
    "plant": (94, 97, 119, 124, 129, 134, 142, 163, 169),
    "raw-material": (100, 132, 139, 143),
    "sky": (106, 157),
    "solid": (127, 135, 150, 160, 162, 182),
    "structural": (99, 113, 138, 146, 164),
    "textile": (92, 93, 104, 105, 109, 131, 137, 141, 152, 167, 168),
    "wall": (171, 172, 173, 174, 175, 176, 177),
    "water": (120, 148, 155, 178, 179),
    "window": (180, 181),
}
"""COCO's ids of stuff by super-class."""

PUBLISHED = {"train": 118287, "test": 5000}
_YEAR = {"train": "train2017", "test": "val2017", "val": "val2017"}


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of COCO-Stuff; see :func:`load_coco`."""
    return load_coco(NAME, GROUPS, "stuff_{}_pixelmaps", Path(root), split, annotation)


def load_coco(
    name: str,
    groups: Mapping[str, tuple[int, ...]],
    other_folder: str,
    root: Path,
    split: str,
    annotation: str | Path | None,
) -> Table:
    """One split of COCO 2017 with labels of super-classes.

    Args:
        groups: COCO's ids by super-class; pixels of any other id are void.
        other_folder: name of a folder whose numbers are ids, where ``{}`` is ``train2017`` or ``val2017``; folders
            named ``train2017`` hold ids less one.
        split: ``"train"``, ``"test"`` (or ``"val"``) or ``"all"``.
        annotation: a text file of pictures to read, without or with suffix; all that have masks by default.

    Raises:
        DatasetError: the layout is not as the module says.
    """
    check_split(name, split, ("train", "test", "val", "all"))
    root = check_root(name, root)
    number = groups_lookup(groups)
    parts = ("train", "test") if split == "all" else (split,)
    records: list[Record] = []
    missing: list[str] = []
    notes: list[str] = []
    for part in parts:
        year = _YEAR[part]
        pictures, masks = _folders(name, root, year, other_folder.format(year))
        shift = 1 if masks.name == year else 0
        meaning = tuple(number.get(n + shift, VOID) for n in range(256))
        wanted = None
        if annotation is not None:
            wanted = [Path(line.split()[0]).stem for line in lines(Path(annotation).expanduser())]
        found, lacking, said = read_pictures(pictures, masks, wanted, meaning)
        records += found
        missing += lacking
        notes += said
    return Table(
        name,
        "test" if split == "val" else split,
        root,
        tuple(sorted(groups)),
        tuple(records),
        tuple(missing),
        None if annotation or split == "all" else PUBLISHED["train" if split == "train" else "test"],
        notes=tuple(dict.fromkeys(notes)),
    )


def _folders(name: str, root: Path, year: str, other: str) -> tuple[Path, Path]:
    """The folders of pictures and masks of a year."""
    places = list(folders(root, 3))
    maps = [p for p in places if p.name == year and p.parent.name.startswith("stuffthingmaps")]
    maps += [p for p in places if p.name == other]
    pictures = [p for p in places if p.name == year and not p.parent.name.startswith("stuffthingmaps")]
    if not maps:
        raise DatasetError(f"{name}: there is no folder stuffthingmaps/{year} or {other} below {printable(root)}")
    if not pictures:
        raise DatasetError(f"{name}: there is no folder images/{year} below {printable(root)}")
    return pictures[0], maps[0]
