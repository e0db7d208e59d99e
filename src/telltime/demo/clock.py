"""Telling times: drawn photos of two cameras, one of which has a wrong clock, and the head that ships."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from telltime.checkpoints.clock import load_clock
from telltime.datasets.generated_photos import generate_photos
from telltime.datasets.photos import load as load_photos
from telltime.metrics.circular import distance
from telltime.search.clock_offset import Offset, best_offset
from telltime.search.telling import Told, tell_table

PHOTOS, WRONG_BY = 96, 7
_SEED = 1000  # scenes that the head, whose own seeds are below, was not trained on


@dataclass(frozen=True)
class Times:
    """What the head told.

    Attributes:
        photos: how many.
        error: mean circular error, hours.
        constant: that of the best constant answer.
        wrong_by: hours that the second camera's clock is ahead.
        offsets: by camera, what was found.
        shown: some photos with their clocks, along the day.
    """

    photos: int
    error: float
    constant: float
    wrong_by: float
    offsets: dict[str, Offset]
    shown: list[Told] = field(repr=False)


def tell_times(folder: Path, seed: int, photos: int = PHOTOS) -> Times:
    """Draw photos of one place by two cameras, tell their times, and find which camera's clock is wrong."""
    root = generate_photos(
        folder / "photos", photos, seed=_SEED + seed, days=6, places=1, cameras=2, wrong_clocks={1: WRONG_BY}
    )
    truth = {row["ground_path"]: row["time"] for row in json.loads((root / "metadata.json").read_text())}
    told = tell_table(load_clock(), load_photos(root, "all"))
    hours = np.array([_hour(truth[one.path.name]) for one in told])
    by_camera: dict[str, list[Told]] = {}
    for one in told:
        by_camera.setdefault(one.capture.camera or "unknown", []).append(one)
    offsets = {
        camera: best_offset(
            np.stack([one.density for one in some]), np.array([one.capture.hour for one in some], dtype=np.float64)
        )
        for camera, some in sorted(by_camera.items())
    }
    constant = min(distance(np.full(len(hours), answer), hours).mean() for answer in np.arange(0, 24, 0.25))
    error = distance(np.array([one.median for one in told]), hours).mean()
    order = np.argsort(hours)
    shown = [told[i] for i in order[np.linspace(0, len(order) - 1, min(8, len(order))).round().astype(int)]]
    return Times(len(told), float(error), float(constant), WRONG_BY, offsets, shown)


def _hour(time: str) -> float:
    """Of ``YYYY-MM-DD HH:MM:SS.0``."""
    hours, minutes = time.split(" ")[1].split(":")[:2]
    return int(hours) + int(minutes) / 60
