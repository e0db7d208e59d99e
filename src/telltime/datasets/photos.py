"""Any folder of photos, with the times that the photos themselves or an annotation tell.

Layout::

    ROOT/**/*.jpg (or .png, .webp, .tif, .heic, ...)   photos, in any folders
    FILE.json                                          optional, with --annotation: rows of time and place

Without an annotation, times are read from the files (:func:`telltime.media.capture_time.read_capture`), and a fifth of
the groups (photos of one day and place, or of one day and camera where no place is known) is held out for testing.
With one, every row is used for every split unless the rows carry a ``split``; ``telltime photos scan`` writes such a
file and leaves out what would mislead.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from telltime.datasets._pictures import Pictures, table_of, times_told
from telltime.datasets.folder import draw_split
from telltime.datasets.lists import check_split
from telltime.datasets.photo_rows import Row, group_of, read_rows
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import printable
from telltime.media.capture_time import Capture, read_capture
from telltime.media.errors import MediaError

NAME = "photos"
KIND = "photo"
FOLDS = (None,)
SPLITS = ("train", "test")
TEST_SHARE = 0.2


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """The photos below ``root``.

    Args:
        root: folder of photos, or one photo.
        split: ``"train"`` or ``"test"``, the photos whose time is known; or ``"all"``, every picture.
        fold: seed of the drawn split; any whole number.
        annotation: JSON of rows (:mod:`telltime.datasets.photo_rows`).

    Raises:
        DatasetError: no such folder, no picture in it, no group to hold out, or an annotation that does not read.
    """
    check_split(NAME, split)
    place = Path(root).expanduser()
    if place.is_file():
        return Table(NAME, split, place, records=(_record(printable(place.name), place, captured(place)),), fold=fold)
    pictures = Pictures(NAME, place)
    if not pictures.files:
        raise DatasetError(pictures.nothing())
    if annotation is not None:
        file = Path(annotation).expanduser()
        if not file.is_file():
            raise DatasetError(f"{NAME}: there is no file {printable(file)}; --annotation names a JSON of rows")
        return _annotated(pictures, split, fold, read_rows(file))
    records = tuple(_record(printable(f), pictures.root / f, captured(pictures.root / f)) for f in pictures.files)
    everything = Table(NAME, split, pictures.root, records=records, fold=fold)
    notes = (*pictures.notes(), *times_told(everything))
    if split == "all":
        return replace(everything, notes=notes)
    return _drawn(everything, split, fold, notes)


def captured(path: Path, zone: str | None = None) -> Capture:
    """:func:`telltime.media.capture_time.read_capture`, once for a file as it is; what cannot be read tells nothing."""
    try:
        state = os.stat(path)
        return _captured(str(path), state.st_size, state.st_mtime_ns, zone)
    except (OSError, MediaError) as error:
        return Capture(notes=(f"not read: {error}",))


@lru_cache(maxsize=1 << 18)
def _captured(path: str, size: int, changed: int, zone: str | None) -> Capture:
    return read_capture(path, zone)


def held_out(records: Sequence[Record], fold: int = 1) -> set[str]:
    """Ids of the photos to test on: a fifth of the groups, by a hash of ``fold`` and group."""
    return draw_split((r for r in records if r.capture is not None and r.capture.local is not None), fold, TEST_SHARE)


def _record(identity: str, path: Path, capture: Capture) -> Record:
    return Record(identity, path, group=group_of(capture), capture=capture)


def _drawn(everything: Table, split: str, fold: int, notes: tuple[str, ...]) -> Table:
    timed = tuple(r for r in everything.records if r.capture is not None and r.capture.local is not None)
    if not timed:
        raise DatasetError(
            f"{NAME}: none of the {len(everything)} photos in {printable(everything.root)} tells when it was taken;"
            " name a JSON of times with --annotation"
        )
    test = held_out(timed, fold)
    if split == "test" and not test:
        raise DatasetError(
            f"{NAME}: all {len(timed)} photos in {printable(everything.root)} are of one day and place, so that none"
            " can be held out for testing; add photos of other days, or give them with --annotation"
        )
    records = tuple(r for r in timed if (r.id in test) == (split == "test"))
    drawn = f"{len(records)} of {len(timed)} photos are in the {split} split, drawn by day and place with seed {fold}"
    return replace(everything, records=records, notes=(*notes, drawn))


def _annotated(pictures: Pictures, split: str, fold: int, rows: list[Row]) -> Table:
    if split != "all" and any(row.split for row in rows):
        rows = [row for row in rows if (row.split or "train") == split]
    table = table_of(NAME, split, pictures, rows, fold)
    if split == "all":
        return table
    timed = tuple(r for r in table.records if r.capture is not None and r.capture.local is not None)
    return replace(table, records=timed)
