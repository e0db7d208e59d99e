"""MOSE (Ding et al., ICCV 2023): 1,507 videos of crowded scenes to train on, 311 to validate.

Layout::

    ROOT/train/JPEGImages/<video>/00000.jpg    (and valid)
    ROOT/train/Annotations/<video>/00000.png   palette indices are the objects; of valid first frames only

``test`` is the valid split.
"""

from pathlib import Path

from telltime.datasets.lists import check_root
from telltime.datasets.record import Table
from telltime.datasets.youtube_vos import read_split, split_folders, table_of

NAME = "mose"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
PUBLISHED = {"train": 1507, "test": 311}


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of MOSE.

    Args:
        root: folder of the layout above.
        split: ``"train"``, ``"test"`` (or ``"val"``, ``"valid"``) or ``"all"``.
        fold, annotation: not used.

    Raises:
        DatasetError: the layout is not as above.
    """
    root = check_root(NAME, Path(root))
    parts = [read_split(NAME, home, split) for home in split_folders(NAME, root, split)]
    return table_of(NAME, root, split, parts, PUBLISHED.get("test" if split in ("val", "valid") else split))
