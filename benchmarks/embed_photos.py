"""Features of photos of 12 megapixels: one process that decodes them whole and computes in fp32, against telltime.

The baseline, written out here, is what the published script does with a network of the same size: open, decode, squash,
normalise, forward, photo after photo in batches. telltime decodes no larger than needed, in threads beside the network,
folds its norms and computes in bfloat16 where that is faster; it hashes every file too. Photos are drawn with detail of
all sizes, so that their files are as large as a camera's. That both ways give nearly the same features is asserted
first. The row of small photos, which leave nothing to save, shows where the gain ends. Seconds are the wall's.
"""

import argparse
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import _measure as measure
from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.tower import load_tower
from telltime.datasets.record import Record, Table
from telltime.features.photos import embed_photos, photo_features

SIZES = {"12 megapixels": (4000, 3000), "0.3 megapixels": (640, 480)}
DRAWN = 6
BATCH = 16


def drawn(folder: Path, photos: int, size: tuple[int, int], seed: int = 0) -> Table:
    """JPEG files: a few pictures, each under many names with a comment that makes the files differ."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    contents = []
    for _ in range(min(DRAWN, photos)):
        pixels = np.zeros((size[1], size[0], 3), np.float32)
        for cells, height in ((4, 60), (30, 30), (200, 16), (1000, 16)):
            field = random.normal(0, height, (cells * 3 // 4, cells, 3)).astype(np.float32)
            planes = [Image.fromarray(field[..., c]).resize(size, Image.Resampling.BICUBIC) for c in range(3)]
            pixels += np.stack([np.asarray(plane) for plane in planes], 2)
        buffer = io.BytesIO()
        Image.fromarray(np.clip(pixels + 120, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        contents.append(buffer.getvalue())
    records = []
    for number in range(photos):
        whole = contents[number % len(contents)]
        comment = f"photo {number}".encode()
        segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        path = folder / f"{number:05d}.jpg"
        path.write_bytes(whole[:2] + segment + whole[2:])
        records.append(Record(path.name, path))
    return Table("photos", "all", folder, records=tuple(records))


@torch.inference_mode()
def baseline(tower: ImageTower, table: Table, device: torch.device) -> torch.Tensor:
    """Features, one photo after the other, decoded whole."""
    rows = []
    for at in range(0, len(table), BATCH):
        pictures = []
        for record in table.records[at : at + BATCH]:
            with Image.open(record.path) as image:
                pictures.append(tower.prepare(image.convert("RGB")))
        rows.append(tower._pooled(tower.network, tower.normalised(torch.stack(pictures).to(device))).cpu())
    return torch.cat(rows)


def ours(tower: ImageTower, table: Table, workers: int, device: torch.device) -> torch.Tensor:
    """Features as ``telltime embed`` makes them, from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        store = embed_photos(tower, table, Path(folder) / "store", workers=workers, device=device)
        return photo_features(store, table).features


def main() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--few", type=int, default=100, help="photos the baseline is timed on")
    parser.add_argument("--tower", default="efficientnet-lite0")
    parser.add_argument("--workers", type=int, nargs="+", default=sorted({1, cores}))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    device = torch.device(options.device)
    plain, fast = (load_tower(options.tower).to(device) for _ in range(2))
    rows, results = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name, size in SIZES.items():
            table = drawn(Path(folder) / name, options.photos, size)
            few = table.take(range(min(options.few, len(table))))
            sample = table.take(range(min(DRAWN, len(table))))
            first, second = baseline(plain, sample, device), ours(fast, sample, 1, device)
            alike = torch.nn.functional.cosine_similarity(first, second).min().item()
            assert alike > 0.98, f"both ways give nearly the same features, not {alike:.3f}"
            ways = {
                f"{count} worker{'s' * (count != 1)}": (lambda _, t=table, n=count: ours(fast, t, n, device))
                for count in options.workers
            }
            taken = measure.alternate(
                {"baseline": lambda _, t=few: baseline(plain, t, device), **ways},
                options.repeats,
                0,
                time.perf_counter,
            )
            scaled = [seconds / len(few) * len(table) for seconds in taken["baseline"]]
            megabytes = sum(record.path.stat().st_size for record in sample.records) / len(sample) / 1e6
            for way in ways:
                faster = measure.ratio(scaled, taken[way])
                results[f"{name}, {way}"] = {
                    "baseline_seconds": measure.spread(scaled),
                    "telltime_seconds": measure.spread(taken[way]),
                    "ratio": faster,
                    "cosine": alike,
                    "megabytes": megabytes,
                }
                each = [1e3 * np.median(seconds) / len(table) for seconds in (scaled, taken[way])]
                spread = f"{faster['median']:.1f} ({faster['q25']:.1f}-{faster['q75']:.1f})"
                rows.append(
                    (name, f"{megabytes:.1f} MB", way, f"{each[0]:.0f}", f"{each[1]:.0f}", spread, f"{alike:.4f}")
                )
    measure.table(
        f"Features of {options.photos} photos, {options.tower} on {device.type}",
        ("photos", "files", "telltime", "baseline, ms each", "telltime, ms each", "times faster", "cosine"),
        rows,
    )
    described = {"photos": options.photos, "tower": options.tower, "device": device.type, "ways": results}
    print(f"\nwritten: {measure.write('embed_photos', described, options.out)}")


if __name__ == "__main__":
    main()
