"""Carrying labels through a 480p video: full affinity matrices, as published, against local windows.

The published way, written out here: all places of the next frame are compared with all places of the frames asked, the
exponentials of these affinities are multiplied with a matrix that is 0 where places are too far apart, all but the
largest few of each place are zeroed, and what is left is normalised and multiplied with the labels. telltime compares a
tile of places with what it can reach. Both ways are given the same features of textures that drift, with the queue of
frames full. Equal maps are asserted first. Seconds are processor time of a frame, runs alternate; the peak of memory is
that of a process of its own for either way.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import _measure as measure
from telltime.losses.forwarding import Forwarder

GRIDS = {
    "places of 16 pixels, ViT-S": (30, 52, 384),
    "places of 8 pixels, ViT-S": (60, 104, 384),
    "places of 8 pixels, embedded encoder": (60, 104, 152),
}
LAST, RADIUS, TOPK, TEMPERATURE, LABELS = 7, 12, 5, 0.1, 4


def drifting(height: int, width: int, channels: int, frames: int, seed: int = 0) -> Tensor:
    """Features ``[frames, channels, height, width]`` of a texture that moves a place to the right each frame."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(channels, height, width, generator=generator)
    noise = torch.randn(frames, channels, height, width, generator=generator)
    return torch.stack([torch.roll(base, t, dims=-1) for t in range(frames)]) + 0.5 * noise


class Published:
    """The published way, one step at a time."""

    def __init__(self, features: Tensor, first: Tensor) -> None:
        self.features, self.maps = [features], [first]
        height, width = features.shape[-2:]
        rows, columns = torch.arange(height), torch.arange(width)
        near_rows = (rows[:, None] - rows).abs() <= RADIUS
        near_columns = (columns[:, None] - columns).abs() <= RADIUS
        near = near_rows[:, None, :, None] & near_columns[None, :, None, :]
        self.near = near.flatten(2).flatten(0, 1).float()

    def step(self, features: Tensor) -> Tensor:
        start = max(1, len(self.features) - LAST)
        asked = [self.features[0], *self.features[start:]]
        labels = torch.stack([self.maps[0], *self.maps[start:]])  # [frames, K, h, w]
        query = F.normalize(features, dim=0).flatten(1).T
        sources = F.normalize(torch.stack(asked), dim=1).flatten(2)  # [frames, C, places]
        alike = torch.exp(torch.bmm(query.expand(len(sources), -1, -1), sources) / TEMPERATURE)
        alike = alike * self.near
        alike = alike.transpose(1, 2).reshape(-1, query.shape[0])  # [frames * places, queries]
        least = alike.topk(TOPK, dim=0).values[-1]
        alike[alike < least] = 0
        alike = alike / alike.sum(0, keepdim=True)
        found = (labels.transpose(0, 1).flatten(1) @ alike).unflatten(1, tuple(features.shape[-2:]))
        self.features.append(features)
        self.maps.append(found)
        return found


def ways(height: int, width: int, channels: int) -> tuple[Published, Forwarder, Tensor]:
    """Both ways with full queues, checked to agree on the way there, and the features of the next frame."""
    frames = drifting(height, width, channels, LAST + 2)
    first = torch.randn(LABELS, height, width, generator=torch.Generator().manual_seed(1)).softmax(0)
    published = Published(frames[0], first)
    ours = Forwarder(frames[:1], first[None], LAST, RADIUS, TOPK, TEMPERATURE)
    for each in frames[1:-1]:
        torch.testing.assert_close(ours.step(each[None])[0], published.step(each), rtol=0, atol=1e-5)
    return published, ours, frames[-1]


def compare(shape: tuple[int, int, int], repeats: int) -> dict[str, Any]:
    """Seconds a frame of both ways with the queue full."""
    published, ours, frame = ways(*shape)
    taken = measure.alternate(
        {"published": lambda _: published.step(frame), "telltime": lambda _: ours.step(frame[None])}, repeats
    )
    return {name: measure.spread(seconds) for name, seconds in taken.items()} | {
        "ratio": measure.ratio(taken["published"], taken["telltime"])
    }


def _peak(name: str, which: str) -> int:
    """Bytes that a way takes at its peak above those of the process before its first step, in another process."""
    run = [sys.executable, "-m", "benchmarks.dense_propagation", "--peak", name, which]
    return int(json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout))


def _print_peak(name: str, which: str) -> None:
    height, width, channels = GRIDS[name]
    frames = drifting(height, width, channels, LAST + 2)
    first = torch.full((LABELS, height, width), 1 / LABELS)
    Path("/proc/self/clear_refs").write_text("5")  # the high water begins anew at what is held now
    before = _high_water()
    if which == "published":
        published = Published(frames[0], first)
        for each in frames[1:]:
            published.step(each)
    else:
        ours = Forwarder(frames[:1], first[None], LAST, RADIUS, TOPK, TEMPERATURE)
        for each in frames[1:]:
            ours.step(each[None])
    print(_high_water() - before)


def _high_water() -> int:
    """The most bytes this process has held; unlike ``ru_maxrss`` without those of the one that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        _print_peak(*options.peak)
        return
    results, rows = {}, []
    for name, shape in GRIDS.items():
        found = compare(shape, options.repeats)
        found["peak_bytes"] = {which: _peak(name, which) for which in ("published", "telltime")}
        results[name] = found
        gain, peak = found["ratio"], found["peak_bytes"]
        rows.append(
            (
                f"{name}, {shape[0]}x{shape[1]}",
                f"{found['published']['median']:.3f}",
                f"{found['telltime']['median']:.3f}",
                f"{gain['median']:.1f} ({gain['q25']:.1f}-{gain['q75']:.1f})",
                f"{peak['published'] / 1e6:.0f}",
                f"{peak['telltime'] / 1e6:.0f}",
            )
        )
    header = ("grid at 480x832", "published, s a frame", "telltime, s a frame", "times faster", "MB", "MB, telltime")
    measure.table("Labels carried through a 480p video", header, rows)
    print(f"\nwritten: {measure.write('dense_propagation', {'grids': results}, options.out)}")


if __name__ == "__main__":
    main()
