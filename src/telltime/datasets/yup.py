"""YUP++ (Feichtenhofer, Pinz and Wildes, 2017): 1,200 videos of 20 dynamic scenes, in TICL's own split.

Layout::

    ROOT/yup_{train,val,test}_data.json    [{"path": "./camera_moving/Beach/Beach_1.mp4", "label": "Beach"}, ...]
    ROOT/camera_moving/Beach/Beach_1.mp4

The index files are not public as such: the split is 5 : 1 : 4 of the videos. An object of such entries does as well as
a list. Only a leading ``./`` is taken off a path; the published reader eats dots and slashes at both ends.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telltime.datasets.record import Table
from telltime.datasets.scenes import OPTIONAL, SPLITS, Entry, load_index, text

__all__ = ["NAME", "OPTIONAL", "SPLITS", "entry", "load"]

NAME = "yup"


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``; see :func:`telltime.datasets.scenes.load_index`."""
    return load_index(NAME, root, split, annotation, entry, ("yup", "yupenn"))


def entry(row: Mapping[str, Any]) -> Entry:
    """``{"path", "label"}`` of one video."""
    path = text(row, "path").replace("\\", "/")
    while path.startswith("./"):
        path = path[2:]
    return Entry(path, text(row, "label"))
