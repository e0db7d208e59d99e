"""Clocks of cameras that are wrong, and photos whose claimed time does not fit how they look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from telltime.search.clock_offset import Offset, best_offset, likelihoods, periods
from telltime.search.telling import Told

LEVEL = 0.02
LEAST = 8
UNKNOWN = "unknown camera"

Judge = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Period:
    """Photos of one camera over which its clock did not change.

    Attributes:
        camera: make, model and serial where known.
        photos: in the order of their claimed times.
        offset: what its claimed times lack; ``None`` where there are too few photos to tell.
    """

    camera: str
    photos: tuple[Told, ...] = field(repr=False)
    offset: Offset | None

    @property
    def wrong(self) -> bool:
        return self.offset is not None and self.offset.wrong

    @property
    def mending(self) -> int:
        """Minutes to add to the claimed times: 0 where the clock seems right or nothing can be told."""
        return self.offset.mending if self.offset is not None and self.offset.wrong else 0

    def to_json(self) -> dict[str, Any]:
        """Everything but the densities."""
        from telltime.datasets.scan import printable

        first, last = (self.photos[i].capture.local for i in (0, -1))
        return {
            "camera": self.camera,
            "first": None if first is None else first.isoformat(),
            "last": None if last is None else last.isoformat(),
            "photos": [printable(told.path) for told in self.photos],
            "offset": None if self.offset is None else self.offset.to_json(),
            "wrong": self.wrong,
            "mending_minutes": self.mending,
        }


@dataclass(frozen=True)
class Suspect:
    """A photo that does not fit its claimed time, not even mended by its camera's offset."""

    told: Told
    p_value: float


@dataclass(frozen=True)
class Audit:
    """What came out.

    Attributes:
        periods: of every camera, those with wrong clocks first.
        suspects: photos that fit worst, worst first.
        unclaimed: photos that claim no time.
        level: p-value below which a photo is suspect; as large a share of right ones is, by chance.
    """

    periods: tuple[Period, ...]
    suspects: tuple[Suspect, ...]
    unclaimed: tuple[Told, ...]
    level: float

    @property
    def wrong(self) -> list[Period]:
        """Periods with a wrong clock."""
        return [period for period in self.periods if period.wrong]

    def to_json(self) -> dict[str, Any]:
        """Everything but the densities."""
        from telltime.datasets.scan import printable

        return {
            "photos": sum(len(period.photos) for period in self.periods) + len(self.unclaimed),
            "unclaimed": [printable(told.path) for told in self.unclaimed],
            "level": self.level,
            "periods": [period.to_json() for period in self.periods],
            "suspects": [
                {
                    "path": printable(one.told.path),
                    "claimed_hour": one.told.capture.hour,
                    "looks_like_hour": round(one.told.median, 4),
                    "p_value": round(one.p_value, 5),
                }
                for one in self.suspects
            ],
        }


def audit(
    told: Sequence[Told], judge: Judge, level: float = LEVEL, least: int = LEAST, step_minutes: int = 15
) -> Audit:
    """Compare claimed times with how photos look, photo by photo and clock by clock.

    Args:
        told: of :func:`telltime.search.telling.tell_table`.
        judge: densities ``[N, bins]`` and hours ``[N]`` to p-values, as ``Clock.p_value``.
        level: p-value below which a photo is suspect.
        least: photos that a clock must have to be judged.
        step_minutes: between the offsets tried.
    """
    claimed = [one for one in told if one.capture.local is not None]
    claimed.sort(key=lambda one: (one.capture.camera or UNKNOWN, str(one.capture.local), str(one.path)))
    found: list[Period] = []
    for camera, group in groupby(claimed, key=lambda one: one.capture.camera or UNKNOWN):
        photos = list(group)
        for start, end in _stretches(photos, step_minutes, least):
            found.append(_period(camera, photos[start:end], least, step_minutes))
    found.sort(key=lambda period: (not period.wrong, -len(period.photos)))
    suspects = [suspect for period in found for suspect in _suspects(period, judge, level)]
    suspects.sort(key=lambda one: one.p_value)
    unclaimed = tuple(one for one in told if one.capture.local is None)
    return Audit(tuple(found), tuple(suspects), unclaimed, level)


def _suspects(period: Period, judge: Judge, level: float) -> list[Suspect]:
    hours = (_hours(period.photos) + period.mending / 60) % 24
    fits = judge(np.stack([one.density for one in period.photos]), hours)
    return [Suspect(one, float(p)) for one, p in zip(period.photos, fits, strict=True) if p < level]


def _moments(photos: Sequence[Told]) -> list[str]:
    """What was taken within one claimed hour counts as one moment."""
    return [f"{one.capture.local:%Y-%m-%d %H}" for one in photos]


def _hours(photos: Sequence[Told]) -> np.ndarray:
    return np.array([one.capture.hour for one in photos], dtype=np.float64)


def _stretches(photos: Sequence[Told], step_minutes: int, least: int) -> list[tuple[int, int]]:
    """Where the clock was set anew; stretches too short to judge stay with the one before."""
    table = likelihoods(np.stack([one.density for one in photos]), _hours(photos), step_minutes)
    names, counts = np.unique(_moments(photos), return_inverse=True, return_counts=True)[1:]
    cut = periods(table / np.sqrt(counts[names])[:, None])
    joined: list[tuple[int, int]] = []
    for start, end in cut:
        if joined and (end - start < least or joined[-1][1] - joined[-1][0] < least):
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _period(camera: str, photos: Sequence[Told], least: int, step_minutes: int) -> Period:
    if len(photos) < least:
        return Period(camera, tuple(photos), None)
    densities = np.stack([one.density for one in photos])
    return Period(camera, tuple(photos), best_offset(densities, _hours(photos), step_minutes, _moments(photos)))


def look_command(minutes: int, files: Sequence[Path]) -> str:
    """An exiftool command that shows the mended times and writes nothing."""
    return f'exiftool -globalTimeShift "{_shift(minutes)}" -T -FileName -DateTimeOriginal {_listed(files)}'


def mend_command(minutes: int, files: Sequence[Path]) -> str:
    """The exiftool command that would mend the files; it keeps the originals beside them."""
    sign = "-" if minutes < 0 else "+"
    return f'exiftool "-AllDates{sign}={_shift(abs(minutes))}" {_listed(files)}'


def _shift(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else ''}0:0:0 {hours}:{rest}:0"


def _listed(files: Sequence[Path]) -> str:
    import os
    import shlex

    names = [os.fspath(file) for file in files]
    return " ".join(shlex.quote(f"./{name}" if name.startswith("-") else name) for name in names)


def mended(told: Told, minutes: int) -> str:
    """The time a photo would have, as ``YYYY-MM-DD HH:MM``."""
    assert told.capture.local is not None
    return f"{told.capture.local + timedelta(minutes=minutes):%Y-%m-%d %H:%M}"
