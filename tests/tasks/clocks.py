"""Photos whose light tells their time, and a clock that has learnt some of it."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from telltime.backbones.image_tower import ImageTower
from telltime.backbones.time_heads import SoftHead
from telltime.checkpoints.calibration import fit_calibration
from telltime.checkpoints.clock import Clock
from telltime.datasets.record import Record, Table
from telltime.features.photos import embed_photos, photo_features
from telltime.media.capture_time import Capture

ROME = {"latitude": 41.9, "longitude": 12.5, "zone": "Europe/Rome", "offset": timedelta(hours=1)}


def photos(folder: Path, count: int = 60, seed: int = 0) -> Table:
    """A table of ``count`` photos over the day: the hour is the colour, on every second day noise is stronger."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    records = []
    for number in range(count):
        minutes = int((number + rng.random()) * 1440 / count)
        angle = minutes / 1440 * 2 * math.pi
        colour = [128 + 100 * math.cos(angle), 128 + 100 * math.sin(angle), 128 - 80 * math.cos(angle)]
        noise = rng.normal(0, 20, (12, 16, 3))
        pixels = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8).repeat(4, 0).repeat(4, 1)
        path = folder / f"{number:03d}.png"
        Image.fromarray(pixels).save(path)
        local = datetime(2022, 1 + number // 2 % 2, 10) + timedelta(minutes=minutes)
        capture = Capture(local, source="test", sure="stated", camera=f"camera {number % 3}", **ROME)  # type: ignore[arg-type]
        records.append(Record(path.name, path, group=f"{local.date()}", capture=capture))
    return Table("photos", "all", folder, records=tuple(records))


def tower() -> ImageTower:
    """A small tower that needs no file, always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ImageTower("resnet18", size=32, stages=[0], cells=[1], pretrained=False, precision="float32")


def clock(table: Table, learnt: list[int], calibrate: bool = True, **meta: Any) -> Clock:
    """A clock fitted on some rows of a table, and calibrated on the same ones."""
    made = tower()
    part = table.take(learnt)
    found = photo_features(embed_photos(made, part), part)
    rows, hours = found.features.double(), torch.from_numpy(part.hours())
    mean, scale = rows.mean(0), rows.std(0) + 1e-3
    ready = (rows - mean) / scale
    wanted = 4 * torch.stack([torch.cos(hours * math.pi / 12), torch.sin(hours * math.pi / 12)], 1)
    gram = ready.T @ ready + 0.3 * torch.eye(made.dim, dtype=torch.float64)
    head = SoftHead(24, made.dim, harmonics=1)
    head.out.weight.data = torch.linalg.solve(gram, ready.T @ wanted).T.float()
    told = Clock(head, made, None, mean.float(), scale.float(), True, {"photos": list(found.marks), **meta})
    if calibrate:
        told.calibration = fit_calibration(told.density(found.features), part.hours())
    return told
