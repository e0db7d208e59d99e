"""COCO-Things (Lin et al., ECCV 2014): pictures of COCO 2017 with 12 super-classes of things; the rest is void.

Layout::

    ROOT/images/train2017/<picture>.jpg         (or ROOT/train2017, or ROOT/coco/images/train2017; and val2017)
    ROOT/stuffthingmaps/train2017/<picture>.png numbers are COCO's ids less one, 255 is void (COCO-Stuff 164k)

or, as Leopart has them, with COCO's ids as numbers and 0 for void::

    ROOT/annotations/panoptic_annotations/semantic_segmentation_train2017/<picture>.png

``test`` is val2017. Labels are 0 to 11 in alphabetical order of the super-classes, as in Leopart's protocol.
"""

from pathlib import Path

from telltime.datasets.coco_stuff import load_coco
from telltime.datasets.record import Table

NAME = "coco-things"
KIND = "picture"
FOLDS = (None,)
SPLITS = ("train", "test")
OPTIONAL = SPLITS
GROUPS: dict[str, tuple[int, ...]] = {
    "accessory": tuple(range(26, 34)),
    "animal": tuple(range(16, 26)),
    "appliance": tuple(range(78, 84)),
    "electronic": tuple(range(72, 78)),
    "food": tuple(range(52, 62)),
    "furniture": tuple(range(62, 72)),
    "indoor": tuple(range(84, 92)),
    "kitchen": tuple(range(44, 52)),
    "outdoor": tuple(range(10, 16)),
    "person": (1,),
    "sports": tuple(range(34, 44)),
    "vehicle": tuple(range(2, 10)),
}
"""COCO's ids of things by super-class."""


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of COCO-Things; see :func:`telltime.datasets.coco_stuff.load_coco`."""
    return load_coco(NAME, GROUPS, "semantic_segmentation_{}", Path(root), split, annotation)
