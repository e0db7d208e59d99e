"""DAVIS-2016 (Perazzi et al., CVPR 2016): 50 sequences of one object; 30 to train on, 20 to validate.

Layout::

    ROOT/JPEGImages/480p/<sequence>/00000.jpg         (or 1080p)
    ROOT/Annotations/480p/<sequence>/00000.png        (or Annotations_2016; 0 and 255)
    ROOT/ImageSets/2016/{train,val}.txt               (or ImageSets/480p, with paths of frame and mask a line)

Everything but 0 is the object, so that masks of DAVIS-2017 are read too. ``test`` is the val split.
"""

from pathlib import Path

from telltime.datasets.davis import load_lists
from telltime.datasets.masks import BINARY
from telltime.datasets.record import Table

NAME = "davis2016"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
PUBLISHED = {"train": 30, "val": 20, "all": 50}
_MASKS = ("Annotations_2016", "Annotations", "Annotations_unsupervised")


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of DAVIS-2016; see :func:`telltime.datasets.davis.load`."""
    lists = ("2016", "480p", "1080p", ".")
    return load_lists(NAME, Path(root), split, annotation, lists, _MASKS, BINARY, PUBLISHED)
