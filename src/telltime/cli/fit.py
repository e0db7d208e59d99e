"""``telltime fit``: train a method as a recipe says, on one's own videos or a named data set."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import SETS

if TYPE_CHECKING:
    from telltime.training.start import Outcome

SUMMARY = "train a method on your own videos or a named data set"

EXAMPLES = """\
examples:
  telltime fit tclr-small --root my-videos --out runs/first
  telltime fit tclr-small --root my-videos --out runs/first --resume
  telltime fit tca --root my-videos --out runs/copies
  telltime fit ticl-photos --root my-photos --out runs/clock --calibrate
  telltime fit tclr-ucf101 --root data/ucf101 --out runs/tclr --max-steps 20
  telltime fit tclr-ucf101 --root data/ucf101 --out runs/wide --set method.views_per_pass=2 --set epochs=100
  torchrun --nproc-per-node 4 -m telltime.cli.main fit tclr-kinetics400 --root data/k400 --out runs/k400

A recipe is a name or a YAML file. Every value of it can be set: --set batch_size=16 --set optimiser.lr=1e-4.
A run that was stopped or killed goes on with the same command and --resume.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``fit RECIPE``."""
    parser.add_argument("recipe", metavar="RECIPE", help="name of a recipe, or a YAML file")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for everything the run writes")
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    data = parser.add_argument_group("data; defaults come from the recipe")
    data.add_argument("--root", type=Path, metavar="DIR", help="folder of the data set, or of your videos or photos")
    data.add_argument(
        "--data",
        metavar="NAME",
        help=SETS,
    )
    data.add_argument("--fold", type=int, metavar="N", help="which of the published folds, from 1")
    data.add_argument("--annotation", type=Path, metavar="FILE", help="file or folder of the split lists")
    bad = data.add_mutually_exclusive_group()
    bad.add_argument(
        "--bad-media", choices=("raise", "skip"), help="stop at a video that cannot be read, or leave it out"
    )
    bad.add_argument(
        "--skip-bad", action="store_const", const="skip", dest="bad_media", help="same as --bad-media skip"
    )
    data.add_argument("--workers", type=_count, metavar="N", help="processes that read videos")
    how = parser.add_argument_group("training")
    how.add_argument("--calibrate", action="store_true", help="of TICL: fit on held-out photos how sure it is")
    how.add_argument("--max-steps", type=_positive, metavar="N", help="end after N steps in all, resumed ones included")
    how.add_argument("--seed", type=int, metavar="N", help="of everything random")
    how.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="assignments", help="set a value of the recipe"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON summary; progress goes to standard error")


def run(args: argparse.Namespace) -> int:
    """Train; 0 when done, 128 plus the signal's number when stopped by one."""
    from telltime.training.recipe import draft
    from telltime.training.run import Run

    values = {
        "data.root": args.root and str(args.root),
        "data.name": args.data,
        "data.fold": args.fold,
        "data.annotation": args.annotation and str(args.annotation),
        "bad_media.mode": args.bad_media,
        "workers": args.workers,
        "max_steps": args.max_steps,
        "seed": args.seed,
    }
    name, tree = draft(args.recipe, args.assignments, values)
    if args.calibrate:
        _calibrate(name, tree)
    table = _table(name, tree)
    main = int(os.environ.get("RANK", "0")) == 0
    with Run(args.out, resume=args.resume, main=main) as run:
        from telltime.training.build import checked
        from telltime.training.devices import leave_processes
        from telltime.training.progress import Sink, console
        from telltime.training.start import train

        sink = console(sys.stderr if args.json else sys.stdout) if main else Sink()
        for line in _greeting(name, table):
            sink.say(line)
        outcome = train(checked(name, tree), table, run, sink)
        leave_processes()
        if main:
            _report(run, name)
            _farewell(args, run, outcome)
    return 128 + outcome.trained.signal if outcome.trained.signal else 0


def _calibrate(name: str, tree: dict[str, Any]) -> None:
    """Ask a recipe's source of photos to calibrate."""
    from telltime.training.errors import RecipeError
    from telltime.training.recipe import put

    reader = (tree["method"].get("init_args") or {}).get("reader") or {}
    if not str(reader.get("class_path", "")).endswith("PhotoSource"):
        raise RecipeError(f"--calibrate goes with recipes that tell the time, such as ticl-photos, not with {name}")
    put(tree, "method.reader.calibrate", True)


def _table(name: str, tree: dict[str, Any]) -> Any:
    from telltime.datasets import Table, load
    from telltime.training.errors import RecipeError
    from telltime.training.recipe import Data

    data = Data(**(tree.get("data") or {}))
    if data.root is None:
        raise RecipeError(f"recipe {name} does not say where the videos or photos are; give --root DIR")
    if data.name in ("photos", "toc") and Path(data.root).suffix in (".h5", ".hdf5"):
        return Table(data.name, data.split, Path(data.root))
    return load(data.name, data.root, data.split, data.fold, data.annotation)


def _greeting(name: str, table: Any) -> list[str]:
    here, missing = len(table.records), len(table.missing)
    things = _things(table.name)
    lines = [f"{name}: {here} {things} of {table.name}, split {table.split}"]
    if table.root.suffix in (".h5", ".hdf5"):
        lines = [f"{name}: features of {table.root}"]
    if missing:
        lines = [
            f"{name}: ONLY {here} OF {here + missing} {things.upper()} that {table.name} lists for split {table.split} "
            f"are here; the other {missing} are named in dropped.jsonl"
        ]
    return lines + [str(note) for note in table.notes]


def _things(data: str) -> str:
    return "photos" if data in ("photos", "toc") else "videos"


def _farewell(args: argparse.Namespace, run: Any, outcome: "Outcome") -> None:
    trained = outcome.trained
    if args.json:
        summary = {"run": str(run.folder), "model": str(run.model), **vars(trained)}
        summary |= {"records": outcome.videos, "missing": outcome.missing, "dropped": outcome.dropped}
        print(json.dumps(summary, indent=2))
        return
    if trained.ended == "stopped":
        print(f"stopped and saved at step {trained.step}; the same command with --resume goes on from there")
        return
    dropped = f", {_many(outcome.dropped, 'file')} left out (see {run.dropped})" if outcome.dropped else ""
    print(f"trained {_many(trained.step, 'step')}, {_many(trained.epoch, 'epoch')}{dropped}")
    print(f"model:   {run.model}")
    print(f"report:  {run.folder / 'report.html'}")
    following = outcome.next or "evaluate neighbours RUN --data NAME --root DIR --out OUT"
    print(f"next:    telltime {following.replace('RUN', str(run.folder))}")


def _report(run: Any, name: str) -> None:
    """``report.html``: the loss, its terms and the learning rate over the steps."""
    from telltime.report.page import Page
    from telltime.report.plots import curves

    lines = run.metrics.read_text().splitlines() if run.metrics.exists() else []
    rows = [row for row in map(json.loads, lines) if row["kind"] == "step"]
    if not rows:
        return
    told = ("kind", "partial", "epoch", "step", "lr", "left_seconds", "dropped", "skipped_batches")
    speed = ("videos_per_second", "clips_per_second", "waiting")
    steps = [row["step"] for row in rows]
    terms = [key for key in rows[-1] if key not in (*told, *speed)]
    page = Page(f"Training with {name}", str(run.folder))
    last = rows[-1]
    page.scores({"steps": last["step"], "loss": last["loss"], "items a second": last["clips_per_second"]})
    series = {key: (steps, [row.get(key, float("nan")) for row in rows]) for key in terms}
    page.figure(curves(series, y="loss and its terms"), "Means over the steps between two points.")
    page.figure(curves({"learning rate": (steps, [row["lr"] for row in rows])}, smooth=False))
    page.section("Recipe").code(run.recipe.read_text())
    page.write(run.folder / "report.html")


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _positive(text: str) -> int:
    number = _count(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return number


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number, not {text!r}")
    return int(text)
