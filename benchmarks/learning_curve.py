"""What the temporal terms add: TCLR, instance contrast alone and random weights, as training goes on.

Generated footage with tie 1; the network, data, batches, steps and learning rates of the laptop recipe for both, and
the terms weighed against each other as the published sum weighs them at its batch of 40. Instance contrast alone is
TCLR without its local-local and global-local terms, on the same views. Scores are of test videos: R@1 and linear
accuracy by class, and temporal distinctness (chance 0.25).

The weights were chosen on the footage of the first seed, after the laptop recipe's own had shown no gap in distinctness
there; the other two seeds had no part in the choice.

    python -m benchmarks.learning_curve --steps 600 --seeds 3     (about half an hour on two cores)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks._measure import write

WEIGHTS = {"ic_global": 1, "ic_local": 14, "local_local": 40, "global_local": 16}
ARMS = {"tclr": WEIGHTS, "instance contrast alone": WEIGHTS | {"local_local": 0, "global_local": 0}}
PRECISION = "bf16"
SCORES = {"neighbours": "recall@1", "linear": "top1", "temporal-distinctness": "temporal_distinctness"}


def measure(model: Any, footage: Path, seed: int) -> dict[str, float]:
    from telltime.datasets.generated import load
    from telltime.tasks.linear import linear
    from telltime.tasks.neighbours import neighbours
    from telltime.tasks.temporal_distinctness import temporal_distinctness

    train, test = load(footage, "train"), load(footage, "test")
    results = (
        neighbours(model, train, test),
        linear(model, train, test),
        temporal_distinctness(model, test, seed=seed),
    )
    return {SCORES[result.task]: result.metrics[SCORES[result.task]] for result in results}


def job(footage: Path, arm: str, seed: int, steps: int, points: int, folder: Path) -> list[dict[str, Any]]:
    """Train one arm with one seed, stopping to measure; a row a point, the first with random weights."""
    import telltime
    from telltime.datasets.generated import load
    from telltime.demo.walk import untrained
    from telltime.training.build import resolve
    from telltime.training.progress import Sink
    from telltime.training.run import Run
    from telltime.training.start import train

    table = load(footage, "train")
    weights = [f"method.weights.{name}={weight}" for name, weight in ARMS[arm].items()]

    def recipe(until: int) -> Any:
        values = {
            "data.name": "generated",
            "data.root": str(footage),
            "seed": seed,
            "workers": 0,
            "max_steps": until,
            "precision": PRECISION,
        }
        epochs = -(-steps // -(-len(table) // 8))
        return resolve("tclr-small", weights, values | {"epochs": epochs, "batch_size": 8})

    rows = [{"step": 0} | measure(untrained(recipe(1).build().method), footage, seed)]
    for point in range(1, points + 1):
        until = steps * point // points
        with Run(folder, resume=point > 1) as run:
            train(recipe(until), table, run, Sink(), board=False)
        rows.append({"step": until} | measure(telltime.load(folder), footage, seed))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--points", type=int, default=3, help="how often to measure")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="trainings at a time, one thread each")
    parser.add_argument("--job", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.job:
        footage, arm, seed, folder, out = args.job
        rows = job(Path(footage), arm, int(seed), args.steps, args.points, Path(folder))
        Path(out).write_text(json.dumps(rows))
        return 0

    from telltime.datasets.generated import generate

    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for seed in range(args.seeds):
            generate(place / f"footage{seed}", videos_per_class=36, seed=100 + seed)

        def run(case: tuple[str, int]) -> tuple[str, int, list[dict[str, Any]]]:
            arm, seed = case
            name = f"{list(ARMS).index(arm)}-{seed}"
            out = place / f"{name}.json"
            told = ["--job", str(place / f"footage{seed}"), arm, str(seed), str(place / name), str(out)]
            command = [sys.executable, "-m", "benchmarks.learning_curve", *told]
            settings = ["--steps", str(args.steps), "--points", str(args.points)]
            subprocess.run(command + settings, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
            return arm, seed, json.loads(out.read_text())

        with ThreadPoolExecutor(args.processes) as pool:
            found = list(pool.map(run, [(arm, seed) for seed in range(args.seeds) for arm in ARMS]))

    curves = {arm: [rows for a, _, rows in found if a == arm] for arm in ARMS}
    last = {arm: {m: mean(rows[-1][m] for rows in runs) for m in SCORES.values()} for arm, runs in curves.items()}
    last["random weights"] = {m: mean(rows[0][m] for rows in curves["tclr"]) for m in SCORES.values()}
    print(f"{'after ' + str(args.steps) + ' steps':28}" + "".join(f"{m:>24}" for m in SCORES.values()))
    for arm, scores in last.items():
        print(f"{arm:28}" + "".join(f"{scores[m]:24.3f}" for m in SCORES.values()))
    how = {"steps": args.steps, "precision": PRECISION, "weights": ARMS}
    write("learning_curve", how | {"mean": last, "curves": curves})
    return 0


if __name__ == "__main__":
    sys.exit(main())
