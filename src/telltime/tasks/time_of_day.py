"""Time of day: how well a model tells when photos were taken that it has not learnt from.

The model's density over the day is measured as a whole (calibration, likelihood, arcs), by its best hour (top-k) and by
its circular median (errors). The published numbers (TICL, TMLR 2025: best of 24 classes, its middle as the time) stand
beside them on request, over full batches only, as they were computed.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from telltime.checkpoints.clock import Clock
from telltime.datasets.record import DatasetError, Record, Table
from telltime.media.sun import phase, sun_position
from telltime.metrics import circular, clock
from telltime.tasks.measuring import Reading
from telltime.tasks.photos import Measured, clock_text, data_of, measured, thumbnail
from telltime.tasks.result import Result

__all__ = ["time_of_day"]

_WORST = 12
_BLOCK = 4096
_FEWEST = 2
SHARES = (0.5, 0.8)


def time_of_day(
    model: Clock,
    table: Table,
    reading: Reading | None = None,
    *,
    drop_last: int | None = None,
    name: str | None = None,
) -> Result:
    """Scores of a model on all photos of a table whose time is known, but those it was trained on.

    Metrics: see :func:`telltime.metrics.clock.clock_scores`; with ``drop_last`` the published ones too, each under
    ``published_``. Chance is always naming the commonest hours, and always answering the one best time. Details:
    ``confusion``, ``reliability``, ``by_hour``, ``slices`` (phase of daylight, month, latitude, camera), ``worst``,
    ``per_photo``, ``notes``.

    Args:
        drop_last: size of the batches of which only full ones count in the published numbers (512, as published).

    Raises:
        DatasetError: no photo is left to measure on, or no full batch.
    """
    started, reading = time.monotonic(), reading or Reading()
    found = measured(model.tower, table, reading, model.meta.get("photos", ()))
    density = np.concatenate([np.asarray(model.density(part.to(model.mean.device)).cpu()) for part in _parts(found)])
    arcs = {share: model.arc(density, share) for share in SHARES}
    metrics = clock.clock_scores(density, found.hours, arcs)
    notes = found.notes()
    if drop_last is not None:
        published = _published(model, found, drop_last)
        metrics |= {f"published_{key}": value for key, value in published.items()}
        kept = clock.kept_rows(len(found), drop_last)
        notes.append(f"published_*: the first {kept:,} of {len(found):,} photos, in full batches of {drop_last}.")
    if model.calibration is None:
        notes.append("The model is not calibrated: its arcs promise nothing. 'telltime fit ... --calibrate' does that.")
    medians = np.asarray(circular.circular_median(density), np.float64)
    shares = circular.rebin(density, clock.CLASSES)
    truth = np.asarray(circular.classes_of(found.hours, clock.CLASSES))
    return Result(
        task="time-of-day",
        protocol="held-out photos, circular median" + (f", drop_last {drop_last}" if drop_last else ""),
        metrics=metrics,
        model={
            "name": name or "clock",
            "tower": model.tower.name,
            "profile": model.tower.profile,
            "classes": model.classes,
            "calibrated": model.calibration is not None,
        },
        data=data_of(found, table),
        records=len(found),
        dropped=found.dropped,
        seconds=time.monotonic() - started,
        details={
            "things": "photo",
            "chance": _chance(found.hours, truth),
            "notes": notes,
            "confusion": clock.confusion(medians, found.hours),
            "classes": [f"{hour:02d}" for hour in range(clock.CLASSES)],
            "reliability": clock.reliability(shares.max(1), shares.argmax(1) == truth),
            "by_hour": clock.by_hour(medians, found.hours),
            "slices": {what: clock.by_group(medians, found.hours, of) for what, of in _groups(found).items()},
            "worst": _worst(found, medians),
            "per_photo": _rows(found, medians, arcs),
        },
    )


def _parts(found: Measured) -> Sequence[Any]:
    return found.features.split(_BLOCK)


def _published(model: Clock, found: Measured, batch: int) -> dict[str, float]:
    scores = np.concatenate([np.asarray(model.scores(part.to(model.mean.device)).cpu()) for part in _parts(found)])
    try:
        return clock.published(scores, found.hours, batch)
    except ValueError:
        raise DatasetError(
            f"{len(found)} photos fill no batch of {batch}, of which alone the published numbers are; "
            "give a smaller --drop-last, or leave it out"
        ) from None


def _chance(hours: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """What needs no photo: the commonest hours, and the one time with the least error."""
    counts = np.bincount(truth, minlength=clock.CLASSES)
    ranked = np.sort(counts)[::-1].cumsum() / len(truth)
    best = float(circular.circular_median(np.bincount(np.asarray(circular.classes_of(hours, 96)), minlength=96)))
    found = {f"top{k}": float(ranked[k - 1]) for k in (1, 3, 5)}
    return found | clock.error_scores(np.full(len(hours), best), hours)


def _groups(found: Measured) -> dict[str, list[str]]:
    """Parts of the photos that errors are told of apart; only those that part them."""
    records = found.table.records
    made = {
        "phase of daylight": _phases(records),
        "month": [f"{r.capture.local:%m}" if r.capture and r.capture.local else "" for r in records],
        "latitude": [_band(r) for r in records],
        "camera": [(r.capture.camera or "") if r.capture else "" for r in records],
    }
    return {what: [name or "not known" for name in of] for what, of in made.items() if len({*of} - {""}) >= _FEWEST}


def _phases(records: Sequence[Record]) -> list[str]:
    """What the sun made of the light, where place and moment are known."""
    told = [""] * len(records)
    known = [
        (i, r.capture.utc.timestamp(), r.capture.latitude, r.capture.longitude)
        for i, r in enumerate(records)
        if r.capture
        and r.capture.utc is not None
        and r.capture.latitude is not None
        and r.capture.longitude is not None
    ]
    if known:
        at, seconds, north, east = zip(*known, strict=True)
        for i, name in zip(at, phase(sun_position(seconds, north, east)[0]).tolist(), strict=True):
            told[i] = name
    return told


def _band(record: Record) -> str:
    """20 degrees of latitude."""
    if record.capture is None or record.capture.latitude is None:
        return ""
    low = int(np.clip(record.capture.latitude // 20, -4, 3)) * 20
    return f"{low:+d} to {low + 20:+d}"


def _worst(found: Measured, medians: np.ndarray) -> list[dict[str, Any]]:
    """The photos told most wrongly, with small pictures."""
    errors = circular.distance(medians, found.hours)
    rows = []
    for i in np.argsort(-errors, kind="stable")[:_WORST].tolist():
        record = found.table.records[i]
        rows.append(
            {
                "id": record.id,
                "frames": thumbnail(record),
                "hour": clock_text(found.hours[i]),
                "estimate": clock_text(medians[i]),
                "error_hours": float(errors[i]),
            }
        )
    return rows


def _rows(found: Measured, medians: np.ndarray, arcs: dict[float, circular.Arc]) -> list[dict[str, Any]]:
    rows = []
    for i, record in enumerate(found.table.records):
        row: dict[str, Any] = {"id": record.id, "hour": round(float(found.hours[i]), 4)}
        row["estimate"] = round(float(medians[i]), 4)
        for share, arc in arcs.items():
            row[f"arc_{100 * share:g}"] = [round(float(arc.start[i]), 4), round(float(arc.end[i]), 4)]
        rows.append(row)
    return rows
