"""A training step of TIME's transformers against the step as published: two passes, scores kept, all trajectories.

``python -m benchmarks.time_training_step [--backbone motionformer] [--clips 1] [--depth 2] [--runs 3] [--memory 3]``

Equal losses and gradients are asserted first, in double precision at a small size. Then the ways run in turn at 8 x 224
and full width; peak memory is that of a child process each, at more clips, so that what is kept for the backward pass
outweighs weights and the library itself. Drop path and dropout are off in both, so that they compute the same. On a
processor there are 2 of the 12 blocks, because a block is what differs, and ours is also run under bf16 autocast, as
``--precision bf16`` trains, where the processor has it. On a GPU there are 12, and both ways run under autocast too.
"""

import argparse
import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._measure import alternate, milliseconds, ratio, spread, table, write
from benchmarks._published_time import Published
from benchmarks.training_step import _resident_peak
from telltime.backbones.motionformer import Motionformer
from telltime.backbones.timesformer import TimeSformer
from telltime.backbones.transformer import VideoTransformer
from telltime.backbones.xvit import XViT
from telltime.methods.time import TIME, Views
from telltime.views.time_reader import TimeReader

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLASSES = 174
BACKBONES: dict[str, tuple[type[VideoTransformer], dict[str, Any]]] = {
    "timesformer": (TimeSformer, {}),
    "motionformer": (Motionformer, {"value_slip": True}),
    "xvit": (XViT, {"dropout": 0.0}),
}
BARS = {"timesformer": 1.5, "motionformer": 2.0, "xvit": 1.5}
MEMORY_BAR = 0.6


class Ours(nn.Module):
    """The same loss as :class:`~telltime.methods.time.TIME` takes it."""

    def __init__(self, method: TIME) -> None:
        super().__init__()
        self.method = method

    def forward(self, video: Tensor, labels: Tensor, flow: Tensor, permutation: Tensor) -> Tensor:
        loss: Tensor = self.method(Views(video.transpose(1, 2), permutation[None], labels, flow)).loss
        return loss


WAYS: dict[str, type[nn.Module]] = {"published": Published, "ours": Ours}
BF16 = "ours, bf16"
"""The third way, of processors that multiply it."""


def batch(clips: int, frames: int, size: int, patch: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(clips, frames, 3, size, size, generator=generator, dtype=dtype)
    labels = torch.randint(CLASSES, (clips,), generator=generator)
    flow = torch.randint(9, (clips, frames - 1, (size // patch) ** 2), generator=generator)
    return video, labels, flow, torch.randperm(frames, generator=generator)


def method(name: str, dtype: torch.dtype = torch.float32, **sizes: Any) -> TIME:
    """TIME with random weights, where published networks begin at 0 too."""
    torch.manual_seed(0)
    kind, arguments = BACKBONES[name]
    backbone = kind(drop_path=0.0, **arguments, **sizes)
    reader = TimeReader(size=backbone.size, frames=backbone.frames)
    made = TIME(backbone, reader, CLASSES).to(dtype)
    for parameter in backbone.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return made


def differences(name: str) -> dict[str, float]:
    """How far loss and gradients of a small network are from the published ones, relative, in double precision."""
    sizes = {"frames": 4, "size": 48, "dim": 64, "depth": 2, "heads": 4}
    made = method(name, torch.float64, **sizes)
    inputs = batch(3, 4, 48, 16, torch.float64)
    losses, gradients = [], []
    for way in WAYS.values():
        step = way(copy.deepcopy(made))
        losses.append(step(*inputs))
        losses[-1].backward()
        gradients.append([torch.zeros_like(p) if p.grad is None else p.grad for p in step.parameters()])
    apart = torch.stack([(a - b).norm() for a, b in zip(*gradients, strict=True)]).norm()
    length = torch.stack([a.norm() for a in gradients[0]]).norm()
    return {"loss": abs(losses[1].item() / losses[0].item() - 1), "gradient": (apart / length).item()}


class Way:
    """One way to step: a network, its optimiser, a batch."""

    def __init__(self, way: str, name: str, clips: int, depth: int, bf16: bool = False) -> None:
        made = method(name, depth=depth)
        self.step = (Ours if way == BF16 else WAYS[way])(made).to(DEVICE)
        self.optimiser = torch.optim.AdamW(self.step.parameters(), 1e-4, weight_decay=0.05, amsgrad=True)
        self.inputs = [x.to(DEVICE) for x in batch(clips, *made.grid[:1], made.reader.size, made.backbone.patch)]
        self.bf16 = bf16 or way == BF16
        self.cpu_seconds: list[float] = []

    def __call__(self, turn: int = 0) -> Tensor:
        start = time.process_time()
        self.optimiser.zero_grad()
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.bf16):
            loss: Tensor = self.step(*self.inputs)
        loss.backward()
        self.optimiser.step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        if turn >= 0:
            self.cpu_seconds.append(time.process_time() - start)
        return loss.detach()


def peak(way: str, name: str, clips: int, depth: int, bf16: bool) -> float | None:
    """GiB that a step takes in a process of its own; ``None`` where it does not fit."""
    child = [sys.executable, "-m", "benchmarks.time_training_step", "--child", way, "--backbone", name]
    child += ["--clips", str(clips), "--depth", str(depth), *(["--bf16"] if bf16 else [])]
    done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout)["gib"] if done.returncode == 0 else None


def child(way: str, name: str, clips: int, depth: int, bf16: bool) -> None:
    """One step; prints its peak of memory in GiB."""
    Way(way, name, clips, depth, bf16)()
    gib = torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else _resident_peak()
    print(json.dumps({"gib": gib}))


def has_bf16() -> bool:
    """Whether this processor multiplies bfloat16."""
    try:
        return "bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def measure(name: str, clips: int, depth: int, runs: int, bf16: bool, more: int) -> dict[str, Any]:
    names = [*WAYS, BF16] if DEVICE.type == "cpu" and has_bf16() else [*WAYS]
    memory = {way: peak(way, name, more, depth, bf16) for way in names}
    ways = {way: Way(way, name, clips, depth, bf16) for way in names}
    calls: dict[str, Callable[[int], object]] = dict(ways)
    seconds = alternate(calls, runs, clock=time.perf_counter)
    found: dict[str, Any] = {
        "seconds": {way: spread(taken) for way, taken in seconds.items()},
        "clips_per_second": {way: clips / spread(taken)["median"] for way, taken in seconds.items()},
        "peak_gib": memory,
        "milliseconds": {way: milliseconds(taken) for way, taken in seconds.items()},
    }
    first = memory["published"]
    for way in names[1:]:
        kept = memory[way]
        found[way] = {
            "gain": ratio(seconds["published"], seconds[way]),
            "gain_cpu_time": ratio(ways["published"].cpu_seconds, ways[way].cpu_seconds),
            "memory_share": kept / first if kept and first else None,
        }
    return found


def main() -> None:
    gpu = DEVICE.type == "cuda"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=BACKBONES, help="one of them; all by default")
    parser.add_argument("--clips", type=int, default=8 if gpu else 1, help="clips in a batch")
    parser.add_argument("--memory", type=int, default=8 if gpu else 3, help="clips in a batch where memory is measured")
    parser.add_argument("--depth", type=int, default=12 if gpu else 2, help="blocks")
    parser.add_argument("--runs", type=int, default=5 if gpu else 3, help="timed runs of each way")
    parser.add_argument("--bf16", action="store_true", help="under bf16 autocast only")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.backbone, arguments.clips, arguments.depth, arguments.bf16)
        return
    names = [arguments.backbone] if arguments.backbone else list(BACKBONES)
    equality = {name: differences(name) for name in names}
    for name, error in equality.items():
        assert max(error.values()) < 1e-9, (name, error)
        print(f"{name}: equal, loss to {error['loss']:.0e}, gradient to {error['gradient']:.0e} of its length")
    rows, results = [], {}
    for name in names:
        for bf16 in (True,) if arguments.bf16 else (False, True) if gpu else (False,):
            found = measure(name, arguments.clips, arguments.depth, arguments.runs, bf16, arguments.memory)
            results[f"{name}{' bf16' if bf16 else ''}"] = found
            for way, gib in found["peak_gib"].items():
                gains = found.get(way, {})
                gain = [f"{gains[key]['median']:.2f}x" if gains else "" for key in ("gain", "gain_cpu_time")]
                share = f"{gains['memory_share']:.2f}" if gains.get("memory_share") else ""
                size = f"{gib:.2f} GiB" if gib else "does not fit"
                told_bar = f"{BARS[name]}x, {MEMORY_BAR}" if gains else ""
                label = f"{way}{' bf16' if bf16 else ''}"
                rows.append((name, label, found["milliseconds"][way], *gain, size, share, told_bar))
    title = (
        f"TIME step, ViT-B/16 of {arguments.depth} blocks, {arguments.clips} clips of 8 x 224, {DEVICE.type}; "
        f"memory of {arguments.memory} clips"
    )
    header = ("backbone", "way", "ms", "gain", "gain in CPU time", "peak memory", "share", "bars")
    table(title, header, rows)
    told = {"device": DEVICE.type, "clips": arguments.clips, "memory_clips": arguments.memory}
    told |= {"depth": arguments.depth, "equality": equality}
    write("time_training_step_gpu" if gpu else "time_training_step", {**told, "bars": BARS, "backbones": results})


if __name__ == "__main__":
    main()
