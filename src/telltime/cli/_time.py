"""``telltime evaluate time-of-day`` and ``time-retrieval``: what is their own among the evaluations."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import bar, reading, whole_number

if TYPE_CHECKING:
    from telltime.tasks.result import Result

TASKS = ("time-of-day", "time-retrieval")
_OPTIONS = {
    "time-of-day": ("drop_last",),
    "time-retrieval": ("measure", "asking", "within_hours", "within_degrees", "apart"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only these tasks take."""
    own = parser.add_argument_group("of time-of-day and time-retrieval")
    own.add_argument(
        "--drop-last", type=whole_number(1), metavar="N", help="add the published numbers, of full batches of N (512)"
    )
    own.add_argument("--measure", choices=("l2", "cosine"), help="what is near: as published, or by angle (default l2)")
    own.add_argument(
        "--asking",
        choices=("queries", "leave-one-out"),
        help="the first two photos of every hour (default, as published), or every photo",
    )
    own.add_argument("--within-hours", type=float, metavar="H", help="how near on the clock is right (default 0.5)")
    own.add_argument("--within-degrees", type=float, metavar="D", help="how near on the map (default anywhere)")
    own.add_argument(
        "--apart", action="store_true", default=None, help="photos of the query's day and place are not to be found"
    )


def check(args: argparse.Namespace) -> None:
    """Options that do not go together are an error of the command line."""
    for task, options in _OPTIONS.items():
        for option in options:
            if args.task != task and getattr(args, option) is not None:
                args.usage_error(f"--{option.replace('_', '-')} goes with {task}, not with {args.task}")
    if args.task not in TASKS:
        return
    if args.fraction:
        args.usage_error(f"--fraction goes with tasks that train on labels, not with {args.task}")
    for option in ("within_hours", "within_degrees"):
        value = getattr(args, option)
        if value is not None and not value >= 0:
            args.usage_error(f"--{option.replace('_', '-')} is at least 0, not {value:g}")


def measure(args: argparse.Namespace, name: str, root: Path, fold: int, annotation: Path | None) -> "Result":
    """Evaluate; ``photos.json`` (or ``queries.json``) is written beside what all tasks write."""
    from telltime.checkpoints.tower import find_tower
    from telltime.datasets import load
    from telltime.media.files import whole

    retrieval = args.task == "time-retrieval"
    source = find_tower(args.model)
    if not retrieval and source.kind == "timm":
        from telltime.checkpoints.errors import CheckpointError

        raise CheckpointError(f"{args.model} looks at photos but tells no time; train one with 'telltime fit'")
    table = load(name, root, "test" if name == "toc" else "all", fold, annotation)

    model: Any
    if retrieval and source.kind in ("timm", "clip"):
        from telltime.checkpoints.tower import load_tower

        model = load_tower(args.model)
    else:
        from telltime.checkpoints.clock import load_clock

        model = load_clock(args.model)
    if args.device:
        model.to(args.device)
    args.out.mkdir(parents=True, exist_ok=True)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", args.cache or args.out / "features", told)
        if retrieval:
            from telltime.tasks.time_retrieval import time_retrieval

            given = {
                "protocol": args.asking,
                "similarity": args.measure,
                "within_hours": args.within_hours,
                "degrees": args.within_degrees,
                "apart": args.apart,
            }
            chosen = {key: value for key, value in given.items() if value is not None}
            result = time_retrieval(model, table, how, name=args.model, seed=args.seed, **chosen)
            file, kept = "queries.json", {"queries": result.details["per_query"]}
        else:
            from telltime.tasks.time_of_day import time_of_day

            result = time_of_day(model, table, how, drop_last=args.drop_last, name=args.model)
            file, kept = "photos.json", _told(result.details)
    with whole(args.out / file) as beside:
        beside.write_text(json.dumps(kept, indent=1) + "\n")
    return result


def _told(details: dict[str, Any]) -> dict[str, Any]:
    """What the page shows, as JSON has it."""
    by_hour = {
        key: [None if value != value else value for value in of.tolist()] for key, of in details["by_hour"].items()
    }
    *_, counts = details["reliability"]
    bins = zip(("confidence", "accuracy", "photos"), details["reliability"], strict=True)
    return {
        "photos": details["per_photo"],
        "by_hour": by_hour,
        "slices": details["slices"],
        "confusion": details["confusion"].tolist(),
        "reliability": {key: of[counts > 0].tolist() for key, of in bins},
    }
