"""What attending to time does where looks mislead: a small transformer with TIME's three tasks, and without.

Footage is drawn in which look and motion go together in most training videos and are independent at test; the label is
the motion, which no single frame shows. Both networks see the same clips in the same order, for as many steps. At test
the same clips are also shuffled: who is sure of a class then has not looked at time.

    python -m benchmarks.time_tie
    python -m benchmarks.time_tie --seeds 1 --epochs 4
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks._measure import table, write

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
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="KEY=VALUE")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    settings = {"size": 48, "patch": 12, "dim": 96, "depth": 4, "heads": 4, "rate": 1e-3, "batch": 16}
    settings |= {"flow": 1.0, "order": 1.0, "debias": 1.0, "smoothing": 0.1, "floor": 0.25, "order_on": "ordered"}
    settings |= {"permutation": "sample", "backbone": "TimeSformer"}
    for assignment in args.assignments:
        key, _, value = assignment.partition("=")
        settings[key] = value if isinstance(settings[key], str) else type(settings[key])(value)
    runs = []
    for seed in range(args.seeds):
        with tempfile.TemporaryDirectory(prefix="telltime-") as folder:
            data = _drawn(args, Path(folder) / "footage", seed)
        for way in args.ways:
            runs.append({"seed": seed, "way": way} | _trained(args, settings, data, seed, WAYS[way]))
            print({k: round(v, 3) if isinstance(v, float) else v for k, v in runs[-1].items()}, flush=True)
    _told(args, settings, runs)


def _told(args: argparse.Namespace, settings: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    header = ("top1", "sure, ordered", "sure, shuffled", "top1, shuffled")
    keys = ("top1", "confidence", "confidence_shuffled", "top1_shuffled")
    rows = []
    for way in args.ways:
        found = [[run[key] for run in runs if run["way"] == way] for key in keys]
        rows.append([way, *(f"{np.mean(f):.3f} ({min(f):.3f} to {max(f):.3f})" for f in found)])
    table(f"means of {args.seeds} seeds, least and most; chance is {1 / args.classes:.2f}", ["", *header], rows)
    about = {key: value for key, value in vars(args).items() if key != "assignments"}
    write("time_tie", {"arguments": about, "settings": settings, "runs": runs})


def _drawn(args: argparse.Namespace, root: Path, seed: int) -> dict[str, tuple[list[Tensor], Tensor]]:
    """Videos of both splits in memory, with the motion as label."""
    from telltime.datasets._scene import Style
    from telltime.datasets.generated import generate, load
    from telltime.datasets.record import Table
    from telltime.media.video import Video

    style = Style(objects=1, passers=0, clutter=0.3, light=0.3, colours=0.5, size=0.34, life=(40, 44))
    generate(
        root,
        args.classes,
        args.videos,
        50,
        frames=40,
        size=(54, 72),
        tie=args.tie,
        test_tie=0.0,
        seed=seed,
        style=style,
    )
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
    from telltime.backbones.timesformer import TimeSformer
    from telltime.backbones.xvit import XViT
    from telltime.methods.time import TIME
    from telltime.training.loop import Settings, fit
    from telltime.training.optim import parameter_groups
    from telltime.training.schedules import Cosine
    from telltime.views.time_reader import TimeReader

    frames, started = 8, time.process_time()
    torch.manual_seed(seed)
    sizes = {key: settings[key] for key in ("size", "patch", "dim", "depth", "heads")}
    if settings["backbone"] == "XViT":
        backbone: Any = XViT(frames, **sizes, dropout=0.1)
    else:
        backbone = TimeSformer(frames, **sizes, drop_path=0.0, attention=settings.get("attention", "divided"))
    method = TIME(
        backbone,
        TimeReader(settings["size"], frames, values="none"),
        args.classes,
        order=weight * settings["order"],
        debias=weight * settings["debias"],
        flow=weight * settings["flow"],
        smoothing=settings["smoothing"],
        permutation=settings["permutation"],
        order_on=settings["order_on"],
        flow_floor=settings["floor"],
    )
    groups = parameter_groups(method, decay_norms=False)
    optimiser = torch.optim.AdamW(groups, lr=settings["rate"], weight_decay=0.05, amsgrad=True)
    loader: Any = Clips(*data["train"], frames, settings["size"], settings["batch"], seed)
    how = Settings(epochs=args.epochs, seed=seed, device="cpu", precision="fp32", clip_norm=1.0, log_every=10**9)
    trained = fit(method, loader, optimiser, Cosine(warmup=1), how)
    seconds = time.process_time() - started
    return {"steps": trained.step, "seconds": seconds} | _measured(method.eval(), data, settings, seed)


@torch.no_grad()
def _measured(method: Any, data: Any, settings: dict[str, Any], seed: int) -> dict[str, float]:
    from telltime.clips.segments import even_frames

    size, found = settings["size"], {}
    for split, (videos, labels) in data.items():
        frames = [video[even_frames(len(video), 8, 1)[0]] for video in videos]
        top, left = ((length - size) // 2 for length in frames[0].shape[-2:])
        clips = torch.stack([clip[..., top : top + size, left : left + size] for clip in frames])
        drawn = torch.rand(len(clips), 8, generator=torch.Generator().manual_seed(seed)).argsort(1)
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
