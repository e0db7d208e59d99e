"""What searches look through: all of a collection in memory, or of a large one what the first stage finds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from telltime.checkpoints.describer import Describer
from telltime.clips.ragged import Ragged
from telltime.search.about import TABLE, About
from telltime.search.changes import Known
from telltime.search.derive import derive
from telltime.search.errors import Damaged, damaged
from telltime.search.first_stage import FirstStage
from telltime.search.rows import FACTS, VIDEOS, facts, unpack
from telltime.search.scoring import Query
from telltime.search.sizes import CANDIDATES, EXACT_FRAMES
from telltime.search.tables import Tables

_ASKED = 32  # frames of a query that the first stage looks for
_NEAR = 50  # frames found for each

Version = tuple[int, ...]


@dataclass(frozen=True)
class Block:
    """Some videos, and those they are to be compared with: numbers, paths and rows of both."""

    numbers: np.ndarray
    paths: list[str]
    rows: Ragged
    gallery_numbers: np.ndarray
    gallery_paths: list[str]
    gallery: Ragged


@dataclass(frozen=True)
class Collection:
    """One version of an index, to be searched.

    Attributes:
        version: commits it was read at.
        about: the index of itself.
        known: its videos by path.
        numbers: int64 ``[V]``, of the videos whose rows are held.
        rows: theirs, float32, L2-normalised; ``None`` for a collection too large to be held.
    """

    version: Version
    about: About
    known: dict[str, Known]
    numbers: np.ndarray
    rows: Ragged | None
    tables: Tables = field(repr=False)
    _stages: dict[str, FirstStage] = field(default_factory=dict, repr=False)

    @property
    def videos(self) -> int:
        return len(self.known)

    @property
    def paths(self) -> dict[int, str]:
        """Path of each video by its number."""
        return {video.number: path for path, video in self.known.items()}

    @classmethod
    def version_of(cls, tables: Tables) -> Version:
        """The commits of the tables that decide what is found."""
        return tuple(tables.version(name) for name in (TABLE, VIDEOS) if name in tables.names())

    @classmethod
    def load(cls, tables: Tables, describer: Callable[[], Describer]) -> "Collection":
        """The index as it is now.

        A run that broke off may have left videos without final rows: they are made here, for this time.
        """
        try:
            return cls._load(tables, describer)
        except Damaged:  # or a writer has just put other tables in the place of those being read
            tables.forget()
            return cls._load(tables, describer)

    @classmethod
    def _load(cls, tables: Tables, describer: Callable[[], Describer]) -> "Collection":
        version = cls.version_of(tables)
        about = About.read(tables)
        known = facts(tables.read(VIDEOS, FACTS)) if VIDEOS in tables.names() else {}
        if sum(video.frames for video in known.values()) > EXACT_FRAMES:
            return cls(version, about, known, np.empty(0, np.int64), None, tables)
        wanted = {video.number for video in known.values()}
        parts, numbers = [], []
        if about.rows in tables.names():
            table = tables.read(about.rows, ["number", "frames", "rows"])
            kept = [i for i, number in enumerate(table["number"].to_pylist()) if number in wanted]
            table = table.take(kept)
            if kept:
                parts.append(_unpacked(tables, table))
                numbers += table["number"].to_pylist()
        missing = sorted(wanted - set(numbers))
        if missing:
            table = tables.read(VIDEOS, ["number", "frames", "rows"], missing)
            network: Any = None if about.fits else describer()
            parts.append(derive(network, about, _unpacked(tables, table))[0])
            numbers += table["number"].to_pylist()
        if not parts:
            return cls(
                version, about, known, np.empty(0, np.int64), Ragged(torch.zeros(0, 1), torch.zeros(1).long()), tables
            )
        rows = Ragged.of([part for each in parts for part in each.to(torch.float32)])
        return cls(version, about, known, np.array(numbers, dtype=np.int64), rows, tables)

    def times(self, numbers: Sequence[int]) -> dict[int, np.ndarray]:
        """Seconds of the frames of some videos, by number."""
        held = self.tables.read(VIDEOS, ["number", "times"], numbers)
        packed = zip(held["number"].to_pylist(), held["times"].to_pylist(), strict=True)
        return {number: np.frombuffer(times, dtype=np.float64) for number, times in packed}

    def blocks(self, frames: int, progress: Callable[[int, int], None] | None = None) -> Iterator["Block"]:
        """All videos with those they are to be compared with; ``frames`` at a time where that is all of them."""
        total, paths = self.videos, self.paths
        if self.rows is not None:
            names = [paths[number] for number in self.numbers.tolist()]
            first = 0
            while first < len(names):
                last = int((self.rows.offsets[1:] <= self.rows.offsets[first] + frames).sum())
                last = max(first + 1, last)
                some = self.rows.slice(first, last)
                yield Block(self.numbers[first:last], names[first:last], some, self.numbers, names, self.rows)
                first = last
                if progress:
                    progress(first, total)
            return
        columns = ["number", "frames", "vector", "rows"]
        for done, (path, video) in enumerate(sorted(self.known.items()), 1):
            table = self.tables.read(self.about.rows, columns, [video.number])
            if table.num_rows:
                rows = _unpacked(self.tables, table).to(torch.float32)
                vector = torch.tensor(table["vector"].to_pylist()[0])
                query = Query(path, rows.rows, np.empty(0), vector)
                yield Block(np.array([video.number]), [path], rows, *self.candidates(query))
            if progress:
                progress(done, total)

    def candidates(self, query: Query) -> tuple[np.ndarray, list[str], Ragged]:
        """Numbers, paths and rows of the videos to compare exactly: all of them while they are held in memory."""
        paths = self.paths
        if self.rows is not None:
            return self.numbers, [paths[number] for number in self.numbers.tolist()], self.rows
        wanted = [number for number in self._near(query) if number in paths]
        table = self.tables.read(self.about.rows, ["number", "frames", "rows"], wanted)
        numbers = table["number"].to_numpy()
        return numbers, [paths[n] for n in numbers.tolist()], _unpacked(self.tables, table).to(torch.float32)

    def _near(self, query: Query, most: int = CANDIDATES) -> list[int]:
        """Numbers of the videos whose vector, or one of whose frames, is near the query's."""
        names = self.tables.names()
        found: dict[int, float] = {}
        if self.about.rows in names:
            near = self._stage(self.about.rows).nearest(query.vector[None].numpy(), most // 2)
            found.update(_best(near.numbers, near.similarity, most // 2))
        if self.about.frames in names:
            for rows in [query.rows] if query.insets is None else [query.rows, query.insets.rows]:
                places = np.linspace(0, len(rows) - 1, min(_ASKED, len(rows))).round().astype(int)
                near = self._stage(self.about.frames).nearest(rows[places].numpy(), _NEAR)
                found.update(_best(near.numbers, near.similarity, most // 2))
        return list(found)

    def _stage(self, name: str) -> FirstStage:
        if name not in self._stages:
            self._stages[name] = FirstStage(self.tables.table(name))
        return self._stages[name]


def _best(numbers: np.ndarray, similarity: np.ndarray, most: int) -> dict[int, float]:
    """Videos by how much of the query they answer: the sum, over its rows, of their best similarity above none."""
    worth: dict[int, float] = {}
    for row, values in zip(numbers, similarity, strict=True):
        seen: dict[int, float] = {}
        for number, value in zip(row.tolist(), values.tolist(), strict=True):
            if number >= 0:
                seen[number] = max(seen.get(number, 0.0), value)
        for number, value in seen.items():
            worth[number] = worth.get(number, 0.0) + max(0.0, value) ** 2
    best = sorted(worth, key=lambda number: (-worth[number], number))[:most]
    return {number: worth[number] for number in best}


def _unpacked(tables: Tables, table: Any) -> Ragged:
    try:
        return unpack(table)
    except ValueError as error:
        raise damaged(tables.where) from error
