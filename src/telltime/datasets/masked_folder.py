"""Any folder of videos or frame folders that have masks, told apart by what is found.

Layout::

    ROOT/JPEGImages/<video>/00000.jpg      ROOT/videos/<class>/<video>.mp4      ROOT/<video>.mp4
    ROOT/Annotations/<video>/00000.png     ROOT/masks/<class>/<video>/12.png    ROOT/<video>/12.png

Videos, classes and splits are read as :mod:`telltime.datasets.folder` reads them, masks as
:mod:`telltime.datasets.found_masks` finds them: palette and grey files hold labels, 255 is void, and masks of 0 and 255
alone are of one object. Videos without a mask are left out.
"""

from dataclasses import replace
from pathlib import Path

from telltime.datasets import folder
from telltime.datasets.record import DatasetError, Table
from telltime.datasets.scan import printable

NAME = "masked"
FOLDS = (None,)
SPLITS = ("train", "test")


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """The videos below ``root`` that have masks; see :func:`telltime.datasets.folder.load` for the arguments.

    Raises:
        DatasetError: no such folder, or no video with a mask in it.
    """
    table = folder.load(root, split, fold, annotation)
    records = tuple(record for record in table.records if record.masks is not None)
    if not records:
        raise DatasetError(
            f"{NAME}: none of the {len(table.records)} videos below {printable(Path(root))} has masks; expected a"
            " folder such as Annotations with a folder of PNG files for each video, named after it"
        )
    notes = table.notes
    if bare := [r.id for r in table.records if r.masks is None]:
        notes += (f"{len(bare)} videos without masks are left out, e.g. {bare[0]}",)
    return replace(table, name=NAME, records=records, notes=notes)
