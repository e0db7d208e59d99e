"""Hollywood2-Scene (Marszalek, Laptev and Schmid, 2009): clips of films in ten scenes, by TICL's index files.

Layout::

    ROOT/hollywood2_{train,val,test}_data.json    [{"path": "sceneclipautoautotrain00001", "label": {"EXT-House": 1}}]
    ROOT/AVIClipsScenes/sceneclipautoautotrain00001.avi

A clip may have several scenes: the first that is marked counts, as published, and the table says how many had more.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telltime.datasets import yup
from telltime.datasets.record import DatasetError, Table
from telltime.datasets.scenes import OPTIONAL, SPLITS, Entry, load_index

__all__ = ["NAME", "OPTIONAL", "SPLITS", "entry", "load"]

NAME = "hollywood2"


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``; see :func:`telltime.datasets.scenes.load_index`."""
    return load_index(NAME, root, split, annotation, entry, ("hollywood2", "hollywood2_scene", "hollywood"))


def entry(row: Mapping[str, Any]) -> Entry:
    """``{"path", "label": {scene: 0 or 1}}`` of one clip; a name for the label does as well."""
    label = row.get("label")
    if isinstance(label, str):
        return yup.entry(row)
    if not isinstance(label, Mapping):
        raise DatasetError(f"expected 'label' with 0 or 1 for each scene, found {str(dict(row))[:80]!r}")
    true = [str(name) for name, value in label.items() if value]
    return Entry(yup.entry({**row, "label": "scene"}).path, true[0] if true else None, len(true) > 1)
