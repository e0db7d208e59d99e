"""Folder layouts to tables of records; one data set, one file."""

import difflib
from importlib import import_module
from pathlib import Path
from types import ModuleType

from telltime.datasets.record import DatasetError, Record, Table

__all__ = ["NAMES", "DatasetError", "Record", "Table", "load", "module"]

NAMES: dict[str, str] = {
    "ucf101": "telltime.datasets.ucf101",
    "hmdb51": "telltime.datasets.hmdb51",
    "kinetics400": "telltime.datasets.kinetics",
    "diving48": "telltime.datasets.diving48",
    "something": "telltime.datasets.something",
    "vcdb": "telltime.datasets.vcdb",
    "yup": "telltime.datasets.yup",
    "hollywood2": "telltime.datasets.hollywood2",
    "360x": "telltime.datasets.scenes_360x",
    "davis": "telltime.datasets.davis",
    "davis2016": "telltime.datasets.davis2016",
    "youtube-vos": "telltime.datasets.youtube_vos",
    "mose": "telltime.datasets.mose",
    "visor": "telltime.datasets.visor",
    "voc": "telltime.datasets.voc",
    "coco-things": "telltime.datasets.coco_things",
    "coco-stuff": "telltime.datasets.coco_stuff",
    "masked": "telltime.datasets.masked_folder",
    "folder": "telltime.datasets.folder",
    "photos": "telltime.datasets.photos",
    "toc": "telltime.datasets.toc",
    "generated": "telltime.datasets.generated",
}


def module(name: str) -> ModuleType:
    """The module of data set ``name``, imported on first use.

    Raises:
        DatasetError: there is no such data set; the nearest name is given.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name.lower().replace("-", ""), NAMES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(NAMES)}"
        raise DatasetError(f"there is no data set named {name!r}; {hint}")
    return import_module(NAMES[name])


def load(
    name: str, root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None
) -> Table:
    """One split of a data set, as a table of the videos or photos that are on disk.

    Args:
        name: a key of :data:`NAMES`.
        root: folder of the data set; its file gives the layout.
        split: ``"train"``, ``"test"`` or ``"all"``.
        fold: which of the published folds, from 1.
        annotation: file or folder of the split lists, where they do not lie below ``root``.

    Raises:
        DatasetError: the layout is not as expected, or nothing of the split is there.
    """
    from telltime.datasets.mirrors import told_apart
    from telltime.datasets.scan import printable

    source = module(name)
    table: Table = source.load(root, split, fold, annotation)
    if not table.records:
        first = f", the first one is {table.missing[0]}" if table.missing else ""
        seen = next((f"; {note}" for note in table.notes if " not read" in note), "")
        kind = f"{getattr(source, 'KIND', 'video')}s"
        raise DatasetError(
            f"{name}: none of the {len(table.missing)} {kind} listed for split {split!r} is below"
            f" {printable(Path(root))}{first}{seen}; 'telltime data check {name}' tells what is there"
        )
    return told_apart(table)
