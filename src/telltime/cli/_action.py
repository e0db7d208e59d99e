"""``telltime evaluate action`` and ``time-sensitivity``: what is their own among the evaluations."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import bar, reading, whole_number

if TYPE_CHECKING:
    from telltime.tasks.result import Result

TASKS = ("action", "time-sensitivity")

HELP = """\
  action                 the classes that MODEL's own classifier tells: views x crops, top-1 and top-5; under torchrun
                         processes share the videos, each counted once
  time-sensitivity       the same clips in order, reversed, shuffled and frozen: accuracy, confidence, classes that need
                         time, and whether fixed features tell the order of frames
"""

EXAMPLES = """\
  telltime evaluate action runs/time --data ucf101 --root data/ucf101 --fold 1 --out results/action
  telltime evaluate action TimeSformer_TIME.pyth --data folder --root MY_VIDEOS --crops 1 --out results/published
  telltime evaluate time-sensitivity runs/time --data ucf101 --root data/ucf101 --out results/time
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only these tasks take."""
    own = parser.add_argument_group("of action and time-sensitivity")
    own.add_argument("--views", type=whole_number(1), metavar="N", help="clips over time (published: 1)")
    own.add_argument("--crops", type=int, choices=(1, 3), help="squares of each (action: 3 as published, else 1)")
    own.add_argument("--fuse", choices=("sum", "softmax"), help="of the views' scores: sum as published, or mean share")


def check(args: argparse.Namespace) -> None:
    """Options that do not go together are an error of the command line."""
    if args.task not in TASKS:
        for option in ("views", "crops", "fuse"):
            if getattr(args, option) is not None:
                args.usage_error(f"--{option} goes with {' and '.join(TASKS)}, not with {args.task}")
    elif args.fraction and args.task == "action":
        args.usage_error("--fraction goes with tasks that train on labels, not with action")


def measure(args: argparse.Namespace, name: str, root: Path, fold: int, annotation: Path | None) -> "Result | None":
    """Evaluate by the task's own function; ``None`` in all processes but the first."""
    from telltime.checkpoints.resolve import resolve
    from telltime.datasets import load

    splits = ("test",) if args.task == "action" else ("train", "test")
    tables = [load(name, root, split, fold, annotation) for split in splits]
    resolve(args.model)

    from telltime.checkpoints.model import load as load_model

    model = load_model(args.model)
    args.out.mkdir(parents=True, exist_ok=True)
    rank = _meet(args)
    quiet = args.json or rank > 0
    with bar(quiet) as told:
        how = reading(args, args.out / "dropped.jsonl", None, told)
        result = _measure(args, model, tables, how)
    _part(rank)
    return result if rank == 0 else None


def _measure(args: argparse.Namespace, model: Any, tables: Any, how: Any) -> "Result":
    from telltime.tasks.action import Sights

    given = {"fuse": args.fuse or "sum", "out": args.out, "name": args.model}
    if args.task == "action":
        from telltime.tasks.action import action

        return action(model, tables[0], how, sights=Sights(args.views, args.crops), **given)
    from telltime.tasks.time_sensitivity import time_sensitivity

    train, test = tables
    if args.fraction:
        from telltime.tasks.fraction import take_fraction

        train = take_fraction(train, args.fraction, args.seed)
    sights = Sights(args.views or 1, args.crops or 1)
    return time_sensitivity(model, train, test, how, sights=sights, seed=args.seed, **given)


def _meet(args: argparse.Namespace) -> int:
    """Join the processes that ``torchrun`` started, if it did; which of them this one is."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0
    from telltime.training.devices import Together, start_processes

    accelerator = start_processes("cpu" if args.device == "cpu" else "auto")
    args.device = str(accelerator.device)
    if accelerator.process_index == 0:
        (args.out / "dropped.jsonl").write_text("")
    Together(accelerator).wait()
    return int(accelerator.process_index)


def _part(rank: int) -> None:
    from telltime.tasks.clip_outputs import processes

    if processes()[1] > 1:
        from telltime.training.devices import leave_processes

        leave_processes()
