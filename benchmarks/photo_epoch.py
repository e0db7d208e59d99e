"""An epoch over stored features of photos: rows read one by one from HDF5 and JSON, as published, against memory.

The published way, written out here: for each row of the epoch's order the feature is read from the file, its metadata
is read and decoded, the time is parsed twice, and a one-hot class is made; batches of 512 are stacked. telltime reads
the file once and hands out batches from memory; that one reading stands in a row of its own, and so does an epoch of
reading and learning together with the head of the laptop recipe. Equal rows are asserted first; the published way is
timed on a part and scaled up. Seconds are the wall's, runs alternate.
"""

import argparse
import json
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from benchmarks import _measure as measure
from telltime.backbones.time_heads import SoftHead
from telltime.clips.loader import epoch_order
from telltime.features.feature_loader import FeatureLoader
from telltime.features.hdf5_photos import import_photos
from telltime.features.photos import photo_features

ROWS, DIM, BATCH, CLASSES = 117_815, 768, 512, 24


def written(path: Path, rows: int, dim: int) -> Path:
    """A file in the published layout with random features."""
    random = np.random.default_rng(0)
    start = datetime(2009, 1, 1)
    with h5py.File(path, "w") as file:
        features = file.create_dataset("features", (rows, dim), np.float32)
        for at in range(0, rows, 8192):
            features[at : at + 8192] = random.standard_normal((min(8192, rows - at), dim), dtype=np.float32)
        told = [
            json.dumps(
                {
                    "ground_path": f"{number:010d}_{number % 977:010x}.jpg",
                    "latitude": round(float(random.uniform(-60, 70)), 6),
                    "longitude": round(float(random.uniform(-180, 180)), 6),
                    "time": f"{start + timedelta(seconds=int(random.integers(0, 150_000_000)))}.0",
                    "timezone": "Europe/Rome",
                }
            )
            for number in range(rows)
        ]
        file.create_dataset("metadata", data=told, dtype=h5py.string_dtype("utf-8"))
    return path


def published_item(file: Any, row: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Feature, one-hot class and hour of a row, as the published data set makes them."""
    feature = file["features"][row]
    told = json.loads(file["metadata"][row])
    form = "%Y-%m-%d %H:%M:%S"
    hour = datetime.strptime(told["time"].split(".")[0], form).hour
    minute = datetime.strptime(told["time"].split(".")[0], form).minute
    one_hot = np.zeros(CLASSES, np.int64)
    one_hot[int((hour + minute / 60) // (24 / CLASSES))] = 1
    return feature, one_hot, hour + minute / 60


def published_epoch(path: Path, order: np.ndarray) -> list[torch.Tensor]:
    """Batches of an order."""
    batches = []
    with h5py.File(path) as file:
        for at in range(0, len(order), BATCH):
            items = [published_item(file, int(row)) for row in order[at : at + BATCH]]
            batches.append(torch.from_numpy(np.stack([feature for feature, _, _ in items])))
            torch.from_numpy(np.stack([one_hot for _, one_hot, _ in items]))
    return batches


def loaded(path: Path) -> FeatureLoader:
    """All of a file in memory, as training has it."""
    store, table = import_photos(path)
    found = photo_features(store, table)
    empty = torch.zeros(len(table))
    return FeatureLoader(found.features, torch.from_numpy(table.hours()), empty, empty, BATCH, seed=0)


def learn(loader: FeatureLoader, epoch: int) -> float:
    """An epoch of the laptop recipe's head: soft circular labels, Adam."""
    head = SoftHead(96, loader.features.shape[1])
    optimiser = torch.optim.Adam(head.parameters(), 2e-3)
    total = 0.0
    for batch in loader.epoch(epoch):
        classes = (batch["hours"] * 4).long()
        loss = torch.nn.functional.cross_entropy(head(batch["features"]), classes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        total = float(loss.detach())
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--dim", type=int, default=DIM)
    parser.add_argument("--few", type=int, default=3000, help="rows the published way is timed on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "features.h5", options.rows, options.dim)
        start = time.perf_counter()
        loader = loaded(path)
        reading = time.perf_counter() - start
        few = min(options.few, options.rows)
        order = epoch_order(options.rows, 0, 0)[:few]
        first = next(iter(loader.epoch(0)))["features"]
        assert torch.equal(torch.cat(published_epoch(path, order[:BATCH])), first[:few]), "both ways give the same rows"

        def theirs(turn: int) -> object:
            return published_epoch(path, epoch_order(options.rows, 0, turn)[:few])

        def ours(turn: int) -> float:
            return sum(float(batch["hours"][0]) for batch in loader.epoch(turn))

        taken = measure.alternate({"published": theirs, "telltime": ours}, options.repeats, clock=time.perf_counter)
        learning = measure.alternate(
            {"learning": lambda turn: learn(loader, turn)}, min(3, options.repeats), 1, time.perf_counter
        )["learning"]
    baseline = [seconds / few * options.rows for seconds in taken["published"]]
    ways = {"an epoch": taken["telltime"], "an epoch with learning": learning}
    ways["an epoch and the first reading"] = [seconds + reading for seconds in taken["telltime"]]
    rows, results = [], {}
    for name, seconds in ways.items():
        faster = measure.ratio(baseline[: len(seconds)], seconds)
        results[name] = {"seconds": measure.spread(seconds), "ratio": faster}
        spread = f"{faster['median']:.0f} ({faster['q25']:.0f}-{faster['q75']:.0f})"
        rows.append((name, f"{np.median(baseline):.1f}", f"{np.median(seconds):.3f}", spread))
    measure.table(
        f"An epoch over {options.rows:,} features of {options.dim} numbers",
        ("", "published, s", "telltime, s", "times faster"),
        rows,
    )
    described = {
        "rows": options.rows,
        "dim": options.dim,
        "published_seconds": measure.spread(baseline),
        "ways": results,
    }
    print(f"\nwritten: {measure.write('photo_epoch', described, options.out)}")


if __name__ == "__main__":
    main()
