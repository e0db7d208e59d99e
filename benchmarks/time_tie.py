"""What attending to time does where looks mislead: a small transformer with TIME's three tasks, and without.

Footage is drawn in which look and motion go together in most training videos and are independent at test; the label is
the motion, which no single frame shows. Both networks, a Motionformer of 0.2 million parameters on tubes of two frames,
see the same clips in the same order, for as many steps. At test the same clips are also shuffled: who is sure of a
class then has not looked at time. Network, rate and length were chosen on the footage of the first seed; the others had
no part in it.

    python -m benchmarks.time_tie     (about a quarter of an hour on two cores)
    python -m benchmarks.time_tie --seeds 1 --epochs 4
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks._measure import table, write

FRAMES = 16
WAYS = {"without": 0.0, "with TIME": 1.0}


class Clips:
    """Clips of videos held in memory: one frame of each segment, one crop, mirrored or not."""

    def __init__(self, videos: list[Tensor], labels: Tensor, frames: int, size: int, batch: int, seed: int) -> None:
        self.videos, self.labels, self.frames, self.size, self.batch, self.seed = (
            videos, labels, frames, size, batch, seed
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.videos) // self.batch

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[dict[str, Tensor]]:
        from telltime.clips.segments import random_frames

        rng = np.random.default_rng([self.seed, epoch])
        dice = Random(f"{self.seed} {epoch}")
        order = rng.permutation(len(self.videos))
        for number in range(len(self)):
            rows = order[number * self.batch : (number + 1) * self.batch]
            clips = torch.stack([self._clip(self.videos[row], rng, random_frames, dice) for row in rows])
            if number >= skip_batches:
                yield {"clips": clips, "label": self.labels[rows]}

    def _clip(self, video: Tensor, rng: Any, choose: Any, dice: Random) -> Tensor:
        chosen = video[choose(len(video), self.frames, dice)]
        top, left = (int(rng.integers(0, length - self.size + 1)) for length in chosen.shape[-2:])
        clip = chosen[..., top : top + self.size, left : left + self.size]
        return clip.flip(-1) if rng.uniform() < 0.5 else clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--videos", type=int, default=140, help="of each class, a quarter of them for testing")
    parser.add_argument("--tie", type=float, default=0.9, help="how often look and motion go together in training")
    parser.add_argument("--epochs", type=int, default=22)
    parser.add_argument("--jobs", type=int, default=2, help="networks that are trained at a time")
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="KEY=VALUE")
    args = parser.parse_args()
    settings: dict[str, Any] = {"size": 32, "patch": 8, "dim": 64, "depth": 3, "heads": 4, "rate": 2e-3, "batch": 16}
    settings |= {"flow": 1.0, "order": 1.0, "debias": 1.0, "smoothing": 0.1, "floor": 0.25}
    for assignment in args.assignments:
        key, _, value = assignment.partition("=")
        settings[key] = type(settings[key])(value)
    asked = [(args, settings, seed, way) for seed in range(args.seeds) for way in reversed(WAYS)]
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        runs = list(pool.map(_run, asked))
    _told(args, settings, runs)


def _run(asked: tuple[argparse.Namespace, dict[str, Any], int, str]) -> dict[str, Any]:
    """Draw the footage of a seed, train one network on it, and measure it."""
    args, settings, seed, way = asked
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="telltime-") as folder:
        data = _drawn(args, settings["size"], Path(folder) / "footage", seed)
    run = {"seed": seed, "way": way} | _trained(args, settings, data, seed, WAYS[way])
    print({key: round(value, 3) if isinstance(value, float) else value for key, value in run.items()}, flush=True)
    return run


def _told(args: argparse.Namespace, settings: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    header = ("top1", "sure, ordered", "sure, shuffled", "top1, shuffled")
    keys = ("top1", "confidence", "confidence_shuffled", "top1_shuffled")
    rows = []
    for way in WAYS:
        found = [[run[key] for run in runs if run["way"] == way] for key in keys]
        rows.append([way, *(f"{np.mean(f):.3f} ({min(f):.3f} to {max(f):.3f})" for f in found)])
    table(f"means of {args.seeds} seeds, least and most; chance is {1 / args.classes:.2f}", ["", *header], rows)
    about = {key: value for key, value in vars(args).items() if key != "assignments"}
    write("time_tie", {"arguments": about, "settings": settings, "runs": runs})


def _drawn(args: argparse.Namespace, size: int, root: Path, seed: int) -> dict[str, tuple[list[Tensor], Tensor]]:
    """Videos of both splits in memory, with the motion as label."""
    from telltime.datasets._scene import Style
    from telltime.datasets.generated import generate, load
    from telltime.datasets.record import Table
    from telltime.media.video import Video

    style = Style(objects=1, passers=0, clutter=0.15, light=0.1, colours=0.4, size=0.36, life=(36, 38))
    shape = (size + size // 8, size + size // 4)
    generate(root, args.classes, args.videos, 50, 36, shape, args.tie, 0.0, seed, style=style)
    splits = {}
    for split in ("train", "test"):
        found: Table = load(root, split, 1, "motion")
        videos = []
        for record in found.records:
            with Video(record.path) as video:
                videos.append(video.frames(range(video.probe().frames)).pixels)
        splits[split] = (videos, torch.as_tensor(found.labels()))
    return splits


def _trained(args: argparse.Namespace, settings: dict[str, Any], data: Any, seed: int, weight: float) -> dict[str, Any]:
    from telltime.backbones.motionformer import Motionformer
    from telltime.methods.time import TIME
    from telltime.training.loop import Settings, fit
    from telltime.training.optim import parameter_groups
    from telltime.training.schedules import Cosine
    from telltime.views.time_reader import TimeReader

    started = time.process_time()
    torch.manual_seed(seed)
    sizes = {key: settings[key] for key in ("size", "patch", "dim", "depth", "heads")}
    backbone = Motionformer(FRAMES, **sizes, tube=2, drop_path=0.0)
    method = TIME(
        backbone,
        TimeReader(settings["size"], FRAMES, values="none"),
        args.classes,
        order=weight * settings["order"],
        debias=weight * settings["debias"],
        flow=weight * settings["flow"],
        smoothing=settings["smoothing"],
        permutation="sample",
        flow_floor=settings["floor"],
    )
    groups = parameter_groups(method, decay_norms=False)
    optimiser = torch.optim.AdamW(groups, lr=settings["rate"], weight_decay=0.05, amsgrad=True)
    loader: Any = Clips(*data["train"], FRAMES, settings["size"], settings["batch"], seed)
    how = Settings(epochs=args.epochs, seed=seed, device="cpu", precision="fp32", clip_norm=1.0, log_every=10**9)
    trained = fit(method, loader, optimiser, Cosine(warmup=1), how)
    seconds = time.process_time() - started
    return {"steps": trained.step, "seconds": seconds} | _measured(method.eval(), data, settings, seed)


@torch.no_grad()
def _measured(method: Any, data: Any, settings: dict[str, Any], seed: int) -> dict[str, float]:
    from telltime.clips.segments import even_frames

    size, found = settings["size"], {}
    for split, (videos, labels) in data.items():
        frames = [video[even_frames(len(video), FRAMES, 1)[0]] for video in videos]
        top, left = ((length - size) // 2 for length in frames[0].shape[-2:])
        clips = torch.stack([clip[..., top : top + size, left : left + size] for clip in frames])
        drawn = torch.rand(len(clips), FRAMES, generator=torch.Generator().manual_seed(seed)).argsort(1)
        shuffled = clips[torch.arange(len(clips))[:, None], drawn]
        for name, taken in (("", clips), ("_shuffled", shuffled)):
            pixels = (taken.transpose(1, 2).float() / 255 - 0.5) / 0.5
            seen = torch.cat([method.backbone.tokens_and_class(part)[1] for part in pixels.split(32)])
            shares = method.classifier(seen).softmax(1)
            found[f"{split}_top1{name}"] = float((shares.argmax(1) == labels).float().mean())
            found[f"{split}_confidence{name}"] = float(shares.amax(1).mean())
    return {key.removeprefix("test_"): value for key, value in found.items()}


if __name__ == "__main__":
    main()
