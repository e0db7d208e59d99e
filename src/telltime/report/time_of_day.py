"""What the page of a time-of-day evaluation shows beyond its scores.

``reliability``
    :class:`telltime.metrics.clock.Reliability`.
``by_hour``
    ``{"photos": int [24], "mae_hours": float [24]}`` by true hour.
``slices``
    what parts the photos to part to ``{"photos", "mae_hours", "median_hours"}``.
``worst``
    a list of ``{"id", "frames", "hour", "estimate", "error_hours"}``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from telltime.report import plots
from telltime.report.page import Page
from telltime.report.strips import Row, strip

_MOST_PARTS = 24


def sections(page: Page, details: Mapping[str, Any]) -> None:
    """Add reliability, errors by hour and by part, and the photos told most wrongly."""
    _reliability(page, details["reliability"])
    if details.get("by_hour"):
        _by_hour(page, details["by_hour"])
    for what, parts in (details.get("slices") or {}).items():
        _slice(page, what, parts)
    if details.get("worst"):
        page.section("Photos told most wrongly", "The true time, and the one that was told.")
        page.strips([_worst(row) for row in details["worst"]])


def _reliability(page: Page, found: Any) -> None:
    sure, hit, photos = (np.asarray(values) for values in found)
    there = photos > 0
    at, right = sure[there], hit[there]
    page.section(
        "How far its certainty can be trusted", "Share of the likeliest hour, and how often that hour is right."
    )
    drawn = {"photos": (at.tolist(), right.tolist()), "as claimed": ([0.0, 1.0], [0.0, 1.0])}
    page.figure(plots.curves(drawn, x="claimed", y="right", smooth=False))
    counts = [int(count) for count in photos[there]]
    rows = [(f"{a:.0%}", f"{r:.0%}", n) for a, r, n in zip(at, right, counts, strict=True)]
    page.table(["claimed", "right", "photos"], rows, folded="The same as a table")


def _by_hour(page: Page, found: Mapping[str, Any]) -> None:
    errors, counts = np.asarray(found["mae_hours"], np.float64), np.asarray(found["photos"])
    page.section("Hour by hour", "Mean error of the time told, by the true hour.")
    hours = np.arange(len(errors), dtype=np.float64)
    page.figure(plots.curves({"hours": (hours.tolist(), errors.tolist())}, x="true hour", y="hours off", smooth=False))
    rows = [
        (f"{hour:02d}:00", int(count), f"{error:.2f}")
        for hour, (count, error) in enumerate(zip(counts, errors, strict=True))
        if count
    ]
    page.table(["true hour", "photos", "mean error, hours"], rows, folded="The same as a table")


def _slice(page: Page, what: str, parts: Mapping[str, Mapping[str, float]]) -> None:
    page.section(f"By {what}")
    order = sorted(parts, key=lambda name: -parts[name]["photos"])[:_MOST_PARTS]
    order = order if what in ("camera", "phase of daylight") else sorted(order)
    rows = [
        (n, int(parts[n]["photos"]), f"{parts[n]['mae_hours']:.2f}", f"{parts[n]['median_hours']:.2f}") for n in order
    ]
    page.table([what, "photos", "mean error, hours", "median"], rows)


def _worst(row: Mapping[str, Any]) -> Row:
    name = str(row["id"]).rpartition("/")[2]
    words = f"{row['hour']}, told {row['estimate']}"
    return Row(strip(row.get("frames"), words, f"{name} · {row['error_hours']:.1f} h off", most=1, height=96))
