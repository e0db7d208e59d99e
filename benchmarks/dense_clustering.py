"""Clustering of a data set as large as Pascal VOC's val: the whole evaluation against its backbone passes alone.

Generated pictures of 500 x 375 with masks of 21 labels stand in for VOC; ``--drawn`` of them are drawn and each is
listed as often as it takes to be ``--pictures``. The whole evaluation reads files, decodes, encodes, learns scaling and
components, clusters, assigns every place and scores; the baseline is the network alone on as many pictures that lie
ready in memory. The smaller the network, the harder the bar: the embedded one is measured, of which 1,449 pictures take
minutes. Memory is the peak of a process of its own; it is also measured with a single layer of 384 channels as ViT-S/16
has them, in place of a network of that width, whose passes would take most of an hour. Seconds are the wall's.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import _measure as measure

PICTURES, DRAWN, SIZE = 1449, 120, (375, 500)
RUNS = {
    "paper, K = 21": ("clustering", "paper", {"per": "dataset", "k": 21}),
    "paper, K = 500": ("overclustering", "paper", {}),
    "leopart, K = 21, 5 seeds": ("clustering", "leopart", {"k": 21}),
}


class Patches(nn.Module):
    """One layer of 384 channels at stride 16."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.stride, self.channels = "patches", 16, 384
        self.layer = nn.Conv2d(3, 384, 16, 16)
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))

    def prepare(self, frames: Tensor) -> Tensor:
        return frames / 255

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(images)
        return found


def run(name: str, root: Path, pictures: int, wide: bool) -> dict[str, float]:
    """Seconds of the evaluation and of the network alone, and the peak memory in bytes, of this process."""
    from telltime.backbones.dense import DenseEncoder
    from telltime.datasets import load
    from telltime.features.dense import View, encode, read_frames
    from telltime.media.video import Limits
    from telltime.tasks.clustering import clustering, settings_of
    from telltime.tasks.measuring import Reading

    encoder: Any = Patches().eval() if wide else DenseEncoder()
    table = load("voc", root, "all")
    records = [table.records[i % len(table)] for i in range(pictures)]
    table = replace(table, records=tuple(replace(each, id=f"{i}") for i, each in enumerate(records)))
    task, preset, changed = RUNS[name]
    settings = settings_of(task, preset, **changed)
    reading = Reading(workers=max(1, (os.cpu_count() or 1) - 1), batch=16, device="cpu")
    view = View(settings.size)
    frames = torch.cat([read_frames(record, [0], settings.size, Limits()) for record in records[:16]])
    encode(encoder, frames, view)
    begun = time.perf_counter()
    for start in range(0, pictures, 16):
        encode(encoder, frames[: min(16, pictures - start)], view)
    alone = time.perf_counter() - begun
    result = clustering(encoder, table, settings, reading, task=task, preset=preset)
    assert result.records == pictures
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"whole": result.seconds, "network": alone, "peak": peak, "miou": result.metrics["miou"]}


def child(name: str, root: Path, pictures: int, wide: bool) -> dict[str, float]:
    """:func:`run` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.dense_clustering", "--only", name, "--root", str(root)]
    command += ["--pictures", str(pictures), *(["--wide"] if wide else [])]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    found: dict[str, float] = json.loads(told)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=PICTURES)
    parser.add_argument("--drawn", type=int, default=DRAWN)
    parser.add_argument("--root", type=Path, help="VOC, or pictures generated before, instead of drawing them")
    parser.add_argument("--only", choices=RUNS, help="this run alone, in this process, as one line of JSON")
    parser.add_argument("--wide", action="store_true", help="with the single layer of 384 channels")
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(run(options.only, options.root, options.pictures, options.wide)))
        return
    with tempfile.TemporaryDirectory() as made:
        root = options.root
        if root is None:
            from telltime.datasets.generated_masks import generate_voc

            root = generate_voc(Path(made) / "voc", options.drawn, SIZE, 3, classes=12)
        rows, results = [], {}
        for name in RUNS:
            found = child(name, root, options.pictures, wide=False)
            broad = child(name, root, options.pictures, wide=True)
            gain = found["whole"] / found["network"]
            seconds = f"{found['network']:.1f} s", f"{found['whole']:.1f} s", f"{gain:.2f} times"
            rows.append((name, *seconds, f"{found['peak'] / 1e9:.2f} GB", f"{broad['peak'] / 1e9:.2f} GB"))
            results[name] = {"times_network": gain, **found, "peak_384_channels": broad["peak"]}
            results[name]["whole_384_channels"] = broad["whole"]
    header = ("", "network alone", "whole evaluation", "is", "peak memory", "with 384 channels")
    measure.table(f"Clustering of {options.pictures:,} pictures, EfficientNet-Lite0", header, rows)
    measure.write("dense_clustering", {"pictures": options.pictures, "runs": results}, options.out)


if __name__ == "__main__":
    main()
