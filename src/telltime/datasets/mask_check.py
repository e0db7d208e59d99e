"""What the doctor says of masks: how many there are, what they hold, and which do not fit their frames."""

from statistics import median
from typing import Any

import numpy as np

from telltime.datasets.masks import VOID
from telltime.datasets.record import Record
from telltime.datasets.scan import printable
from telltime.media.errors import MediaError
from telltime.media.image import SUFFIXES, image_size
from telltime.media.mask import mask_size, read_mask
from telltime.media.video import Video

OPENED = 8
"""Masks of a record that are decoded, spread over it; of the others only the size is read."""


def check_masks(records: list[Record]) -> dict[str, Any]:
    """Examine the masks of records; nothing is written.

    Returns:
        A dict ready for JSON, empty where no record has masks:

        - ``records``, ``files``: how many records have masks, and how many masks there are;
        - ``without``: ids of the records that have none;
        - ``objects``: labels in a record's masks, void and background apart: min, median, max;
        - ``void``: records with void pixels;
        - ``sizes``: ``{id, path, reason}`` of the first mask of a record that has another size than its frame;
        - ``unreadable``: ``{id, path, reason}`` of each mask that does not read;
        - ``empty``: ids of records in whose masks no object was seen.
    """
    if not any(record.masks for record in records):
        return {}
    sizes: list[dict[str, str]] = []
    unreadable: list[dict[str, str]] = []
    empty, counts = [], []
    files = void = 0
    for record in records:
        if not record.masks:
            continue
        paths = [record.masks.files[at] for at in sorted(record.masks.files)]
        files += len(paths)
        opened = set(np.linspace(0, len(paths) - 1, min(OPENED, len(paths))).astype(int).tolist())
        frame = _frame(record)
        seen: set[int] = set()
        for at, path in enumerate(paths):
            try:
                if at in opened:
                    stored = read_mask(path)
                    seen |= set(np.unique(record.masks.translate(stored)).tolist())
                    size: tuple[int, ...] = stored.shape
                else:
                    size = mask_size(path)
            except MediaError as error:
                unreadable.append({"id": record.id, "path": printable(path), "reason": error.reason})
                continue
            if frame is not None and size != frame and (not sizes or sizes[-1]["id"] != record.id):
                reason = f"{size[1]}x{size[0]} where the frame is {frame[1]}x{frame[0]}"
                sizes.append({"id": record.id, "path": printable(path), "reason": reason})
        void += VOID in seen
        counts.append(len(seen - {0, VOID}))
        if not seen - {0, VOID}:
            empty.append(record.id)
    return {
        "records": len(counts),
        "files": files,
        "without": [record.id for record in records if not record.masks],
        "objects": {"min": min(counts), "median": median(counts), "max": max(counts)},
        "void": void,
        "sizes": sizes,
        "unreadable": unreadable,
        "empty": empty,
    }


def sentences(masks: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Notes and problems to tell of what :func:`check_masks` found."""
    if not masks:
        return [], []
    notes = [
        f"{masks['files']:,} masks of {masks['records']:,} records, objects in each"
        f" {masks['objects']['min']} to {masks['objects']['max']} (median {masks['objects']['median']:g})"
    ]
    if masks["without"]:
        notes.append(f"{len(masks['without'])} without masks, e.g. {masks['without'][0]}")
    if masks["empty"]:
        notes.append(f"{len(masks['empty'])} with masks of no object, e.g. {masks['empty'][0]}")
    if masks["sizes"]:
        first = masks["sizes"][0]
        notes.append(
            f"{len(masks['sizes'])} with masks of another size than their frames, which are brought to it,"
            f" e.g. {first['path']}: {first['reason']}"
        )
    if not masks["unreadable"]:
        return notes, []
    first = masks["unreadable"][0]
    count = len(masks["unreadable"])
    return notes, [f"{count} mask{'s are' if count > 1 else ' is'} unreadable, e.g. {first['path']}: {first['reason']}"]


def _frame(record: Record) -> tuple[int, int] | None:
    """Height and width of the record's frames; ``None`` where they do not read, which is told elsewhere."""
    try:
        if record.path.suffix.lower() in SUFFIXES and record.path.is_file():
            return image_size(record.path)
        with Video(record.path) as video:
            probe = video.probe()
        return probe.height, probe.width
    except (MediaError, OSError):
        return None
