"""Bringing an index up to date: one writer, many small commits, each of which leaves it whole.

``videos`` is what counts: a video is in the index once its row there is committed. The other tables are made of it and
can be made again, so a writer that dies between them costs nothing but the making.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from telltime.checkpoints.describer import Describer
from telltime.clips.policy import BadMedia
from telltime.clips.ragged import Ragged
from telltime.media.errors import MediaError
from telltime.media.video import Limits, Video
from telltime.search.about import TABLE, About
from telltime.search.changes import Changes, Found, Known, absolute, compare, is_below
from telltime.search.derive import derive, distinct, fit, wants_fit
from telltime.search.errors import SearchError
from telltime.search.first_stage import BUILT_FROM, FirstStage
from telltime.search.rows import (
    FACTS,
    VIDEOS,
    Entry,
    facts,
    frames_schema,
    pack_frames,
    pack_rows,
    pack_stamps,
    pack_videos,
    rows_schema,
    times_of,
    unpack,
    unpack_columns,
    videos_schema,
)
from telltime.search.sizes import EXACT_FRAMES
from telltime.search.tables import Tables

COMMIT_VIDEOS = 64
COMMIT_SECONDS = 20.0
_BATCH = 256
_SAME_FRAME = 0.9
_TIDY_FROM = 20  # commits, as LanceDB advises

Progress = Callable[[str, int, int], None]


@dataclass
class Added:
    """What a run did.

    Attributes:
        new, changed, moved, removed: videos added, described again, found under another name or a second time, and
            taken out because their file is gone.
        same: videos that had not changed.
        dropped: files that could not be read.
        videos, frames: in the index now.
        refitted: whether the whitening was fitted.
        seconds: the run took.
    """

    new: int = 0
    changed: int = 0
    moved: int = 0
    removed: int = 0
    same: int = 0
    dropped: int = 0
    videos: int = 0
    frames: int = 0
    refitted: bool = False
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Writer:
    """Writes to one index, whose lock its user holds."""

    def __init__(self, tables: Tables, about: About, describer: Describer) -> None:
        self.tables, self.about, self.describer = tables, about, describer
        self._last = 0
        if TABLE not in tables.names():
            about.write(tables)
        if VIDEOS not in tables.names():
            tables.create(VIDEOS, videos_schema())
        for name in tables.names():
            kind, _, generation = name.rpartition("_")
            if kind in ("rows", "frames") and int(generation) != about.generation:
                tables.drop(name)

    def add(
        self,
        found: Sequence[str],
        paths: Sequence[str | os.PathLike[str]],
        policy: BadMedia,
        workers: int = 1,
        refit: bool = False,
        limits: Limits | None = None,
        progress: Progress | None = None,
    ) -> Added:
        """Make the index hold the videos ``found`` at ``paths``; see :meth:`telltime.search.index.Index.add`."""
        began = time.monotonic()
        known = self.known()
        changes = compare(found, known, [absolute(path) for path in paths])
        done = Added(same=changes.same)
        self._copy(changes, done)
        self._describe(changes, done, policy, workers, limits, progress)
        self._remove(changes, done)
        self.settle(done, refit, workers, progress)
        done.seconds = time.monotonic() - began
        return done

    def remove(self, paths: Sequence[str | os.PathLike[str]]) -> int:
        """Take videos out by path or folder, whether or not they are still on disk; how many there were."""
        roots = [absolute(path) for path in paths]
        known = self.known()
        gone = [video.number for path, video in known.items() if is_below(path, roots)]
        for root in roots:
            if not any(is_below(path, [root]) for path in known):
                raise SearchError(f"the index holds nothing at {root}; telltime index --list shows what it holds")
        self.tables.delete(VIDEOS, gone)
        self.settle(Added(), False)
        return len(gone)

    def known(self) -> dict[str, Known]:
        """What the index holds, by path."""
        return facts(self.tables.read(VIDEOS, FACTS))

    def settle(self, done: Added, refit: bool, workers: int = 1, progress: Progress | None = None) -> None:
        """Make what searches need of what is described: whitening, rows, frames, calibration."""
        from telltime.search.calibrating import calibrate

        known = self.known()
        numbers = [video.number for video in known.values()]
        stale = set(self.tables.read(VIDEOS, ["number"])["number"].to_pylist()) - set(numbers)
        self.tables.delete(VIDEOS, stale)
        done.videos, done.frames = len(known), sum(video.frames for video in known.values())
        if refit and not self.about.fits:
            raise SearchError(f"{self.about.model} brings its own whitening; there is none to fit again")
        about = self.about
        if known and (refit or wants_fit(about, done.frames)):
            told = partial(progress, "fitting the whitening") if progress else None
            whitening = fit(self.describer, list(known.values()), workers, told)
            if whitening is not None:
                about = about.refitted(whitening, done.frames)
                done.refitted = True
        changed = self._rows(about, numbers)
        if done.frames > EXACT_FRAMES:
            self._frames(about, numbers)
        if changed or about.calibration is None:
            about = replace(about, calibration=calibrate(self.tables, about, known) if known else None)
        if about != self.about:
            about.write(self.tables)
            self.about = about
        self._tidy()

    def _describe(
        self,
        changes: Changes,
        done: Added,
        policy: BadMedia,
        workers: int,
        limits: Limits | None,
        progress: Progress | None,
    ) -> None:
        held: list[Entry] = []
        since = time.monotonic()
        todo = changes.describe
        videos = (Video(each.path, limits=limits or Limits()) for each in todo)
        total = max(1, len(todo) + changes.same + len(changes.copies))

        def commit() -> None:
            if not held:
                return
            self.tables.add(VIDEOS, pack_videos(held))
            again = [changes.replaced.pop(e.known.path) for e in held if e.known.path in changes.replaced]
            self.tables.delete(VIDEOS, [video.number for video in again])
            done.changed += len(again)
            done.new += len(held) - len(again)
            held.clear()

        try:
            for count, (each, (rows, times)) in enumerate(
                zip(todo, self.describer.stream(videos, workers), strict=True), 1
            ):
                if isinstance(rows, MediaError):
                    policy.handle(each.record, rows)
                    done.dropped += 1
                    policy.check(total)
                elif isinstance(rows, Exception):
                    raise rows
                else:
                    held.append(self._entry(each, rows, times))
                if len(held) >= COMMIT_VIDEOS or time.monotonic() - since > COMMIT_SECONDS:
                    commit()
                    since = time.monotonic()
                if progress:
                    progress("describing", count, len(todo))
        finally:
            commit()

    def _entry(self, found: Found, rows: torch.Tensor, times: np.ndarray) -> Entry:
        rows, times = distinct(rows, times)
        step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        seconds = float(times[-1]) + step if len(times) else 0.0
        known = Known(self._number(), found.path, found.stamp, found.digest, seconds, len(rows))
        return Entry(known, times, rows)

    def _copy(self, changes: Changes, done: Added) -> None:
        """Videos whose content is in the index under another name: nothing needs to be decoded."""
        sources = {number for _, number in changes.copies}
        columns = [*FACTS, "times", "rows"]
        held = {row["number"]: row for row in self.tables.read(VIDEOS, columns, sorted(sources)).to_pylist()}
        entries = []
        for found, source in changes.copies:
            row = held[source]
            known = Known(self._number(), found.path, found.stamp, found.digest, row["seconds"], row["frames"])
            entries.append(Entry(known, times_of(row), unpack_columns([row["frames"]], [row["rows"]]).rows))
        for start in range(0, len(entries), _BATCH):
            self.tables.add(VIDEOS, pack_videos(entries[start : start + _BATCH]))
        done.moved = len(entries)
        gone = [changes.replaced.pop(e.known.path).number for e in entries if e.known.path in changes.replaced]
        self.tables.delete(VIDEOS, gone)
        self.tables.update(VIDEOS, pack_stamps(changes.touched))

    def _remove(self, changes: Changes, done: Added) -> None:
        """What is gone, and what has become unreadable: its old rows describe nothing that is there."""
        gone = [video.number for video in (*changes.gone, *changes.replaced.values())]
        self.tables.delete(VIDEOS, gone)
        done.removed = len(gone)

    def _number(self) -> int:
        """A number larger than all before, and than those of writers on other machines at the same microsecond."""
        now = (time.time_ns() // 1000 << 11) | int.from_bytes(os.urandom(2), "big") >> 5
        self._last = max(now, self._last + 1)
        return self._last

    def _described(self, numbers: Sequence[int]) -> Iterator[tuple[list[int], Ragged]]:
        """Numbers and rows of described videos, some hundred at a time."""
        for start in range(0, len(numbers), _BATCH):
            part = self.tables.read(VIDEOS, ["number", "frames", "rows"], numbers[start : start + _BATCH])
            yield part["number"].to_pylist(), unpack(part)

    def _rows(self, about: About, numbers: Iterable[int]) -> bool:
        """Bring the table of final rows in line with ``numbers``; whether it had to change."""
        wanted = set(numbers)
        there = about.rows in self.tables.names()
        made = set(self.tables.read(about.rows, ["number"])["number"].to_pylist()) if there else set()
        for some, rows in self._described(sorted(wanted - made)):
            final, vectors = derive(self.describer, about, rows)
            if not there:
                self.tables.create(about.rows, rows_schema(vectors.shape[1]))
                there = True
            self.tables.add(about.rows, pack_rows(some, final, vectors))
        if made - wanted:
            self.tables.delete(about.rows, made - wanted)
        if len(wanted) >= BUILT_FROM and there:
            stage = FirstStage(self.tables.table(about.rows))
            if not stage.built:
                stage.build()
        return made != wanted

    def _frames(self, about: About, numbers: Sequence[int]) -> None:
        """Bring the table of single frames in line, frames left out that look like the one before."""
        there = about.frames in self.tables.names()
        made = set(self.tables.read(about.frames, ["number"])["number"].to_pylist()) if there else set()
        todo = sorted(set(numbers) - made)
        for start in range(0, len(todo), _BATCH):
            part = self.tables.read(about.rows, ["number", "frames", "rows"], todo[start : start + _BATCH])
            rows = unpack(part)
            kept = telling_frames(rows)
            owners = np.array(part["number"].to_pylist(), dtype=np.int64)[rows.owners[kept].numpy()]
            if not there:
                self.tables.create(about.frames, frames_schema(rows.rows.shape[1]))
                there = True
            self.tables.add(about.frames, pack_frames(owners, rows.rows[kept]))
        if made - set(numbers):
            self.tables.delete(about.frames, made - set(numbers))
        stage = FirstStage(self.tables.table(about.frames))
        if not stage.built and self.tables.count(about.frames) >= BUILT_FROM:
            stage.build()

    def _tidy(self) -> None:
        for name in (VIDEOS, self.about.rows, self.about.frames):
            if name in self.tables.names() and self.tables.commits(name) >= _TIDY_FROM:
                self.tables.tidy(name)


def telling_frames(rows: Ragged) -> torch.Tensor:
    """Indices of rows, int64: of every video the first, and those not like the one before."""
    values = rows.rows.float()
    alike = torch.zeros(len(values), dtype=torch.bool)
    alike[1:] = (values[1:] * values[:-1]).sum(1) > _SAME_FRAME
    alike[rows.offsets[:-1][rows.lengths > 0]] = False
    return (~alike).nonzero().squeeze(1)
