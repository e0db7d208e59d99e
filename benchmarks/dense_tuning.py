"""What tuning on time does for clusters of places: matched IoU of k-means, a clip at a time, on videos not tuned on.

Three encoders are measured in the same way: EfficientNet-Lite0 at stride 16 as it comes, the encoder that the recipe
begins with, and what the recipe makes of it on the training split, once for each seed. Without ``--root`` footage is
drawn, whose labels are known. Rows in which tuning loses are printed like others.

    python -m benchmarks.dense_tuning
    python -m benchmarks.dense_tuning --data davis --root DAVIS --seeds 3 --sizes 224 448
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import table, write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="davis", help="data set with masks, default davis")
    parser.add_argument("--root", type=Path, help="its folder; footage is drawn without it")
    parser.add_argument("--leave-out", action="store_true", help="all records: tune on four fifths, measure the rest")
    parser.add_argument("--recipe", default="timet")
    parser.add_argument("--set", action="append", default=[], dest="assignments", metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224], help="sides of the frames that are measured")
    parser.add_argument("--frames", type=int, default=4, help="annotated frames of a clip, drawn; 0 for all")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="telltime-") as folder:
        root = args.root or _drawn(Path(folder) / "footage")
        runs = [run for fold in _folds(args, root) for run in _fold(args, fold, Path(folder))]
    names = ["efficientnet-lite0", "recipe's encoder", "tuned"]
    rows = []
    for size in args.sizes:
        means = {name: np.array([run[name][size] for run in runs]) for name in names}
        gains = {name: means["tuned"] - means[name] for name in names[:2]}
        rows.append([size, *(f"{100 * means[name].mean():.1f}" for name in names)])
        rows[-1] += [
            f"{100 * gain.mean():+.1f} ({100 * gain.min():+.1f} to {100 * gain.max():+.1f})" for gain in gains.values()
        ]
    told = f"per clip, means of {len(runs)} runs; in brackets the least and the most of them"
    table(f"matched IoU, {told}", ["side", *names, "over the first", "over the second"], rows)
    settings = {"data": args.data if args.root else "drawn", "recipe": args.recipe, "set": args.assignments}
    write("dense_tuning", {"settings": settings, "runs": runs})


def _folds(args: argparse.Namespace, root: Path) -> list[tuple[Any, Any]]:
    from dataclasses import replace

    from telltime.datasets import load

    if not args.leave_out:
        return [(load(args.data, root, "train"), load(args.data, root, "val"))]
    whole = load(args.data, root, "all")
    folds = []
    for first in range(5):
        out = whole.records[first::5]
        rest = tuple(record for record in whole.records if record not in out)
        folds += [(replace(whole, records=rest), replace(whole, records=out))] if out else []
    return folds


def _fold(args: argparse.Namespace, fold: tuple[Any, Any], folder: Path) -> list[dict[str, Any]]:
    from telltime.checkpoints.dense import load_dense
    from telltime.training.build import resolve
    from telltime.training.progress import Sink
    from telltime.training.run import Run
    from telltime.training.start import train

    learn, unseen = fold
    before = {
        name: _scores(load_dense(model), unseen, args)
        for name, model in (("efficientnet-lite0", "efficientnet-lite0"), ("recipe's encoder", args.recipe))
    }
    runs = []
    for seed in range(args.seeds):
        started = time.monotonic()
        resolved = resolve(args.recipe, args.assignments, {"seed": seed, "data.root": str(learn.root), "workers": 0})
        path = folder / f"{unseen.records[0].id.replace('/', '-')}-{seed}"
        with Run(path) as run:
            outcome = train(resolved, learn, run, Sink(), board=False)
        seconds = time.monotonic() - started
        found = before | {"tuned": _scores(load_dense(path), unseen, args)}
        told = {name: {size: round(100 * score, 1) for size, score in each.items()} for name, each in found.items()}
        print(
            f"seed {seed}, measured on {', '.join(r.id for r in unseen.records)}: {told}, {seconds:.0f} s", flush=True
        )
        about = {"seed": seed, "steps": outcome.trained.step, "seconds": seconds, "tuned on": len(learn)}
        runs.append(about | {"measured on": [record.id for record in unseen.records]} | found)
    return runs


def _scores(encoder: Any, unseen: Any, args: argparse.Namespace) -> dict[int, float]:
    from telltime.tasks.clustering import Settings, clustering

    return {
        size: clustering(encoder, unseen, Settings(size=size, frames=args.frames)).metrics["miou"]
        for size in args.sizes
    }


def _drawn(root: Path) -> Path:
    from telltime.datasets.generated_masks import generate_masked

    return generate_masked(root, sequences=18, frames=12, size=(120, 160), objects=3, seed=0)


if __name__ == "__main__":
    main()
