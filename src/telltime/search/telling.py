"""What a model says about the time of photos, beside what their files say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from telltime.datasets.suns import Sun, sun_of
from telltime.media.capture_time import Capture, read_capture
from telltime.media.errors import MediaError
from telltime.metrics import circular
from telltime.metrics.circular import Arc, Peak
from telltime.search.sun_aware import carried, elevations

if TYPE_CHECKING:
    from telltime.checkpoints.clock import Clock
    from telltime.datasets.record import Table

BINS = 96
SHARES = (50, 80)
_BATCH = 16
_UNLIKELY = 0.05
_SUN = ("day", "latitude", "longitude", "zone")


@dataclass(frozen=True)
class Told:
    """The time of one photo, as it looks and as its file claims.

    Attributes:
        path: the file.
        capture: what the file says about time and place.
        density: float64 ``[bins]`` over the civil day.
        arcs: by percentage, the arc that holds the true time so often.
        p_value: of the claimed time: how often a right one fits no better; ``None`` where none is claimed.
        sun: day and place, where the density was carried over by the sun; ``None`` where it was not.
        feature: float32 ``[D]``, what the image tower made of it.
        learnt: the model learnt from this very photo, with the time it claims.
    """

    path: Path
    capture: Capture
    density: np.ndarray
    arcs: Mapping[int, Arc]
    p_value: float | None = None
    sun: Sun | None = None
    feature: np.ndarray | None = field(default=None, repr=False)
    learnt: bool = False

    @cached_property
    def median(self) -> float:
        """The hour with the least expected circular error."""
        return float(circular.circular_median(self.density))

    @cached_property
    def mode(self) -> float:
        """The likeliest hour."""
        return float(circular.mode(self.density))

    @cached_property
    def confidence(self) -> float:
        """Length of the mean resultant vector: 1 where all is at one time, 0 where nothing is told."""
        return float(circular.resultant(self.density))

    @cached_property
    def peaks(self) -> list[Peak]:
        """The one or more times it gathers around, the likeliest first."""
        return list(circular.peaks(self.density))  # type: ignore[arg-type]

    @property
    def question(self) -> str | None:
        """``"morning or evening?"`` where two times fit; ``None`` where one does."""
        if len(self.peaks) < 2:
            return None
        first, second = sorted(self.peaks[:2], key=lambda peak: peak.hour)
        names = part_of_day(first.hour), part_of_day(second.hour)
        return f"{names[0]} or {names[1]}?" if names[0] != names[1] else f"earlier or later in the {names[0]}?"

    @property
    def doubtful(self) -> bool:
        """Whether the claimed time fits so badly that one right time in twenty does."""
        return self.p_value is not None and self.p_value < _UNLIKELY

    @property
    def elevation(self) -> float | None:
        """Sun elevation in degrees at the median, where day and place are known."""
        sun = self.sun or sun_of(self.capture)
        return None if sun is None else float(np.interp(self.median, _middles(), elevations(sun, BINS), period=24))

    def within(self, hour: float, hours: float) -> float:
        """Probability that the time lies within ``hours`` of ``hour``."""
        fine = circular.rebin(self.density, 1440)
        near = circular.distance((np.arange(1440) + 0.5) / 60, hour) <= hours
        return float(fine[near].sum())

    def to_json(self) -> dict[str, Any]:
        """Everything, hours in [0, 24)."""
        from telltime.datasets.scan import printable

        return {
            "path": printable(self.path),
            "time": clock_time(self.median),
            "hour": round(self.median, 4),
            "mode": round(self.mode, 4),
            "arcs": {str(share): [round(float(end), 4) for end in arc] for share, arc in self.arcs.items()},
            "confidence": round(self.confidence, 4),
            "peaks": [{"hour": round(peak.hour, 4), "share": round(peak.share, 4)} for peak in self.peaks],
            "question": self.question,
            "claimed": _claim(self.capture, self.p_value),
            "sun": None
            if self.sun is None
            else dict(zip(("day", "latitude", "longitude", "zone"), self.sun, strict=True)),
            "density": [round(float(share), 6) for share in self.density],
        }


@dataclass(frozen=True)
class Untold:
    """A file that is no photo that can be read."""

    path: Path
    reason: str


def part_of_day(hour: float) -> str:
    """``night``, ``morning``, ``midday``, ``afternoon`` or ``evening``."""
    for end, name in ((4, "night"), (11, "morning"), (14, "midday"), (17, "afternoon"), (22, "evening")):
        if hour < end:
            return name
    return "night"


def clock_time(hour: float) -> str:
    """``17.75`` as ``17:45``."""
    minutes = round(hour * 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def tell(
    clock: "Clock", paths: Sequence[Path], *, zone: str | None = None, sun: bool | None = None
) -> Iterator[Told | Untold]:
    """Read photos and tell their times, in order; one that cannot be read costs the others nothing.

    Args:
        clock: image tower, head and calibration.
        paths: pictures.
        zone: IANA name to assume for photos that tell UTC and no position.
        sun: carry densities over to place and day where a photo states both; ``None``: if the model says which
            suns it learnt from.

    Raises:
        UnknownZone: ``zone`` is none.
    """
    import torch

    from telltime.media.image import read_image

    for start in range(0, len(paths), _BATCH):
        found: dict[Path, Any] = {}
        bad: dict[Path, str] = {}
        for path in paths[start : start + _BATCH]:
            try:
                found[path] = clock.tower.prepare(read_image(path, least=clock.tower.least))
            except MediaError as error:
                bad[path] = error.reason
        told: dict[Path, Told] = {}
        if found:
            with torch.inference_mode():
                rows = clock.tower(torch.stack(list(found.values())).to(_device(clock)))
            captures = [read_capture(path, zone) for path in found]
            told = dict(zip(found, told_of(clock, rows, list(found), captures, sun), strict=True))
        for path in paths[start : start + _BATCH]:
            yield told[path] if path in told else Untold(path, bad[path])


def tell_table(
    clock: "Clock",
    table: "Table",
    *,
    store: Path | None = None,
    policy: Any = None,
    workers: int = 0,
    sun: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Told]:
    """The times of all photos of a table whose records have captures; features are kept in ``store`` if one is named.

    Raises:
        MediaError, TooManyDropped: as ``policy`` says.
        StoreError: ``store`` holds features of something else.
    """
    from telltime.features.photos import embed_photos

    kept = embed_photos(clock.tower, table, store, policy, workers, progress)
    here = set(kept.ids)
    records = [record for record in table.records if record.id in here]
    if not records:
        return []
    rows = kept.read("feature", [record.id for record in records])
    captures = [record.capture or Capture() for record in records]
    told = told_of(clock, rows, [record.path for record in records], captures, sun)
    known = set(clock.meta.get("photos") or ())
    return [replace(one, learnt=kept.mark(record.id) in known) for one, record in zip(told, records, strict=True)]


def told_of(
    clock: "Clock", features: Any, paths: Sequence[Path], captures: Sequence[Capture], sun: bool | None = None
) -> list[Told]:
    """The times of photos with features ``[N, D]``; see :func:`tell` for ``sun``."""
    import torch

    learnt = [(str(day), float(lat), float(lon), str(zone)) for day, lat, lon, zone in clock.meta.get("suns") or ()]
    with torch.inference_mode():
        densities = clock.density(features.to(_device(clock)), bins=BINS).double().cpu().numpy()
    wanted = bool(learnt) if sun is None else sun
    suns = [sun_of(capture) if wanted else None for capture in captures]
    known = [row for row, one in enumerate(suns) if one is not None]
    if known:
        densities[known] = carried(densities[known], [one for one in suns if one is not None], learnt)
    arcs = {share: clock.arc(densities, share / 100) for share in SHARES}
    claimed = [row for row, capture in enumerate(captures) if capture.hour is not None]
    fits: dict[int, float] = {}
    if claimed:
        hours = np.array([captures[row].hour for row in claimed], dtype=np.float64)
        fits = dict(zip(claimed, map(float, clock.p_value(densities[claimed], hours)), strict=True))
    rows = features.float().cpu().numpy()
    return [
        Told(
            path,
            capture,
            densities[row],
            {share: Arc(float(arc.start[row]), float(arc.end[row])) for share, arc in arcs.items()},
            fits.get(row),
            suns[row],
            rows[row],
        )
        for row, (path, capture) in enumerate(zip(paths, captures, strict=True))
    ]


def _device(clock: "Clock") -> Any:
    return next(clock.parameters()).device


def _middles() -> np.ndarray:
    return (np.arange(BINS) + 0.5) / BINS * 24


def _claim(capture: Capture, p_value: float | None) -> dict[str, Any] | None:
    if capture.local is None and capture.moment is None:
        return None
    return {
        "local": None if capture.local is None else capture.local.isoformat(),
        "utc": None if capture.utc is None else capture.utc.isoformat(),
        "hour": None if capture.hour is None else round(capture.hour, 4),
        "zone": capture.zone,
        "source": capture.source,
        "sure": capture.sure,
        "camera": capture.camera,
        "notes": list(capture.notes),
        "p_value": None if p_value is None else round(p_value, 4),
    }
