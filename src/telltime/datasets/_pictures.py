"""The pictures below a folder, and the ones among them that an annotation names."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from telltime.datasets.lists import check_root
from telltime.datasets.photo_rows import Row, group_of
from telltime.datasets.record import DatasetError, Record, Table
from telltime.datasets.scan import Scan, printable, walk
from telltime.media.image import SUFFIXES


class Pictures:
    """Pictures below ``root``, found once.

    Attributes:
        files: ``/``-separated relative paths, sorted.
        found: everything else, as :class:`telltime.datasets.scan.Scan` tells it.

    Raises:
        DatasetError: there is no such folder.
    """

    def __init__(self, name: str, root: str | Path) -> None:
        self.name, self.root = name, check_root(name, Path(root))
        files: list[str] = []
        others: Counter[str] = Counter()
        example: dict[str, str] = {}
        troubles: list[str] = []
        for _, below in walk(self.root, troubles):
            for file in below:
                suffix = os.path.splitext(file)[1].lower()
                if suffix in SUFFIXES:
                    files.append(file)
                else:
                    others[suffix] += 1
                    example.setdefault(suffix, file)
        self.files = tuple(sorted(files))
        self.found = Scan(self.root, (), frozenset(), dict(others), example, tuple(sorted(troubles)))
        self._by_name: dict[str, list[str]] = {}
        for file in self.files:
            self._by_name.setdefault(file.rpartition("/")[2].casefold(), []).append(file)
        self._whole = frozenset(self.files)

    def notes(self) -> list[str]:
        """Sentences on what is no picture."""
        return [
            note.replace("video", "picture") for note in self.found.notes(expected=(".json", ".txt", ".csv", ".md"))
        ]

    def nothing(self) -> str:
        """The sentence to say where there is no picture."""
        found, where = self.found, printable(self.root)
        if kinds := found.archives():
            count = found.others[kinds[0]]
            return f"{self.name}: no picture in {where}, but {count} {kinds[0]} archives; extract them first"
        total = sum(found.others.values())
        beside = (
            f" among {total} other file{'s' * (total != 1)}" if total else "" if found.troubles else ", it is empty"
        )
        hint = found.troubles[0] if found.troubles else "expected files such as photo.jpg"
        return f"{self.name}: no picture found in {where}{beside}; {hint}"

    def find(self, listed: str) -> str | None:
        """The path below the root of what an annotation lists: that very path, else the file of that name.

        Of several files of that name the one counts whose folders end alike; ``None`` where there is none or no one.
        """
        listed = listed.removeprefix("./")
        if listed in self._whole:
            return listed
        near = self._by_name.get(listed.rpartition("/")[2].casefold(), [])
        if len(near) == 1:
            return near[0]
        alike = [file for file in near if f"/{file}".casefold().endswith(f"/{listed}".casefold())]
        alike = alike or [file for file in near if f"/{listed}".casefold().endswith(f"/{file}".casefold())]
        return alike[0] if len(alike) == 1 else None


def table_of(name: str, split: str, pictures: Pictures, rows: Sequence[Row], fold: int | None = None) -> Table:
    """A table of the rows whose photos are there; the rest are missing, and what is odd is said.

    Raises:
        DatasetError: there are no rows.
    """
    if not rows:
        raise DatasetError(f"{name}: the annotation has no rows for split {split!r}")
    records: dict[str, Record] = {}
    missing: dict[str, None] = {}
    twice = 0
    odd: list[str] = []
    for row in rows:
        file = pictures.find(row.file)
        if file is None:
            missing[printable(row.file)] = None
            continue
        identity = printable(file)
        if identity in records:
            twice += 1
            continue
        if row.capture.notes:
            odd.append(f"{identity}: {row.capture.notes[0]}")
        place = pictures.root / file
        records[identity] = Record(identity, place, group=group_of(row.capture), capture=row.capture)
    notes = pictures.notes()
    if twice:
        notes.append(f"{twice} rows name a photo that a row before them named; the first counts")
    if odd:
        notes.append(f"{len(odd)} rows with an odd time or place, e.g. {odd[0]}")
    table = Table(name, split, pictures.root, (), tuple(records.values()), tuple(missing), fold=fold)
    return replace(table, notes=(*notes, *times_told(table)))


def times_told(table: Table) -> tuple[str, ...]:
    """Sentences on how many photos of a table tell their time, and from what."""
    told = Counter(r.capture.source for r in table.records if r.capture is not None and r.capture.local is not None)
    if not table.records:
        return ()
    known = sum(told.values())
    sources = ", ".join(f"{source} {count}" for source, count in told.most_common())
    groups = len({r.group for r in table.records if r.group is not None})
    said = f"{known} of {len(table)} photos tell their time"
    return (f"{said} (from {sources}); {groups} groups of one day and place" if known else said,)
