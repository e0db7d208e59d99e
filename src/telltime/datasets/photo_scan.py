"""From a folder of photos to rows worth learning from: times read, what misleads left out, train and test drawn."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telltime.datasets._photo_filters import FILTERS, Photo, look, reason, repeats
from telltime.datasets._pictures import Pictures
from telltime.datasets.photo_rows import Row, group_of, write_rows
from telltime.datasets.photos import captured, held_out
from telltime.datasets.record import DatasetError, Record
from telltime.datasets.scan import printable
from telltime.media.files import whole
from telltime.media.zones import zone_of

__all__ = ["ALWAYS", "FILTERS", "Left", "PhotoScan", "scan_photos"]

NAME = "photos"
ALWAYS = ("unreadable", "no-time")
"""Filters that cannot be waived: a row needs a picture and a time."""

_REPEATS = ("duplicate", "frozen", "near-duplicate")


@dataclass(frozen=True)
class Left:
    """A photo left out: path below the root, the first filter that spoke, and its sentence."""

    file: str
    filter: str
    reason: str


@dataclass(frozen=True)
class PhotoScan:
    """What a scan found.

    Attributes:
        root: folder scanned.
        rows: photos kept, by path, each with ``split`` ``"train"`` or ``"test"``.
        left: photos left out, by path.
        kept: filters that were waived.
        notes: sentences on the folder and on what could not be checked.
    """

    root: Path
    rows: tuple[Row, ...]
    left: tuple[Left, ...]
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def counts(self) -> dict[str, int]:
        """How many photos each filter left out, in the order of the filters, zeros included."""
        found = Counter(one.filter for one in self.left)
        return {name: found[name] for name in FILTERS}

    def summary(self) -> dict[str, Any]:
        """Counts ready for JSON."""
        sources = Counter(row.capture.source for row in self.rows)
        sure = Counter(row.capture.sure for row in self.rows)
        return {
            "root": printable(self.root),
            "photos": len(self.rows) + len(self.left),
            "kept": len(self.rows),
            "train": sum(row.split == "train" for row in self.rows),
            "test": sum(row.split == "test" for row in self.rows),
            "groups": len({group_of(row.capture) for row in self.rows}),
            "left_out": self.counts(),
            "waived": list(self.kept),
            "sources": dict(sources.most_common()),
            "sure": dict(sure.most_common()),
            "notes": list(self.notes),
        }

    def write(self, out: str | Path) -> Path:
        """Write the annotation to ``out``, and beside it why each other photo was left out, as JSON lines.

        Returns:
            The file of reasons: ``out`` with the suffix ``.dropped.jsonl``.
        """
        out = Path(out)
        write_rows(out, self.rows)
        reasons = out.with_suffix(".dropped.jsonl")
        with whole(reasons) as beside:
            lines = [
                {"file": printable(one.file), "filter": one.filter, "reason": printable(one.reason)}
                for one in self.left
            ]
            beside.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
        return reasons


def scan_photos(
    root: str | Path,
    zone: str | None = None,
    keep: Iterable[str] = (),
    fold: int = 1,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoScan:
    """Scan the photos below ``root``; nothing there is changed.

    Args:
        root: folder of photos.
        zone: IANA zone to assume for photos that tell UTC and no place.
        keep: filters to waive, of :data:`FILTERS` but for :data:`ALWAYS`.
        fold: seed of the split, any whole number: a fifth of the groups of one day and place is for testing.
        workers: photos read at a time; by default one a core.
        progress: called with photos read and photos in all.

    Raises:
        DatasetError: no such folder, or no picture in it.
        UnknownZone: ``zone`` is none.
        ValueError: a filter in ``keep`` does not exist or cannot be waived.
    """
    kept = tuple(dict.fromkeys(keep))
    for name in kept:
        if name not in FILTERS or name in ALWAYS:
            raise ValueError(f"no filter {name!r} can be waived; choose of {', '.join(waivable())}")
    if zone is not None:
        zone_of(zone)
    pictures = Pictures(NAME, root)
    if not pictures.files:
        raise DatasetError(pictures.nothing())
    active = [name for name in FILTERS if name not in kept]
    photos = _read_all(pictures, zone, workers, progress)
    left: dict[str, Left] = {}
    for photo in photos:
        for name in active:
            if why := reason(photo, name):
                left[photo.file] = Left(photo.file, name, why)
                break
    rest = [photo for photo in photos if photo.file not in left]
    for index, (name, why) in repeats(rest, {name for name in _REPEATS if name in active}).items():
        left[rest[index].file] = Left(rest[index].file, name, why)
    chosen = [photo for photo in rest if photo.file not in left]
    records = [Record(p.file, pictures.root / p.file, group=group_of(p.capture), capture=p.capture) for p in chosen]
    test = held_out(records, fold)
    rows = tuple(Row(p.file, p.capture, "test" if p.file in test else "train") for p in chosen)
    return PhotoScan(
        pictures.root,
        rows,
        tuple(left[photo.file] for photo in photos if photo.file in left),
        kept,
        (*pictures.notes(), *_remarks(chosen, test)),
    )


def waivable() -> list[str]:
    """Filters that ``keep`` may name."""
    return [name for name in FILTERS if name not in ALWAYS]


def _read_all(
    pictures: Pictures, zone: str | None, workers: int | None, progress: Callable[[int, int], None] | None
) -> list[Photo]:
    def read(file: str) -> Photo:
        path = pictures.root / file
        return Photo(file, captured(path, zone), look(path))

    photos = []
    with ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1)) as pool:
        for photo in pool.map(read, pictures.files):
            photos.append(photo)
            if progress:
                progress(len(photos), len(pictures.files))
    return photos


def _remarks(chosen: list[Photo], test: set[str]) -> list[str]:
    notes = []
    if unchecked := sum(p.capture.utc is None or p.capture.latitude is None for p in chosen):
        notes.append(f"{unchecked} kept photos tell no place or no UTC: daylight at night was not looked for in them")
    if weak := [p for p in chosen if p.capture.sure == "weak"]:
        notes.append(f"the times of {len(weak)} kept photos are weak, e.g. {printable(weak[0].file)}")
    if chosen and not test:
        notes.append("all kept photos are of one day and place: none could be set aside for testing")
    return notes
