"""VISOR (Darkhalil et al., NeurIPS 2022): hands and objects in kitchens, once converted into DAVIS's layout.

Layout::

    ROOT/JPEGImages/480p/<sequence>/<frame>.jpg    (or ROOT/VISOR_2022/...)
    ROOT/Annotations/480p/<sequence>/<frame>.png   palette indices are the objects
    ROOT/ImageSets/2022/{train,val}.txt            one name of a sequence a line

``telltime data convert-visor DOWNLOAD --out ROOT`` makes it of the official files; ``test`` is the val split.
"""

from pathlib import Path

from telltime.datasets.davis import load_lists
from telltime.datasets.masks import AS_STORED
from telltime.datasets.record import Table

NAME = "visor"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of converted VISOR; see :func:`telltime.datasets.davis.load`."""
    return load_lists(NAME, Path(root), split, annotation, ("2022", "2017", "."), ("Annotations",), AS_STORED, {})
