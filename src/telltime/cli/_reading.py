"""Options that verbs which read videos share, and the bar they show."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

SETS = (
    "ucf101, hmdb51, kinetics400, diving48, something, vcdb, folder or generated of videos; "
    "yup, hollywood2 or 360x of scenes; photos or toc of photos; "
    "davis, davis2016, youtube-vos, mose, visor or masked of footage with masks; "
    "coco-things, coco-stuff or voc of pictures with masks"
)
"""Names of data sets, for help."""

if TYPE_CHECKING:
    from telltime.tasks.measuring import Told


def whole_number(least: int) -> Any:
    """An argparse type: a whole number of at least ``least``."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{text} is less than {least}")
        return value

    number.__name__ = "whole number"
    return number


def share(text: str) -> float:
    """An argparse type: a number above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 1")
    return value


def add_reading(parser: argparse.ArgumentParser) -> None:
    """How videos are read: workers, device, and what to do about bad ones."""
    parser.add_argument(
        "--bad-media",
        choices=("skip", "raise"),
        default="skip",
        help="leave out videos that cannot be read, each with a line in dropped.jsonl (default), or stop at the first",
    )
    parser.add_argument(
        "--max-dropped", type=share, default=0.1, metavar="SHARE", help="fail if more are left out (default 0.1)"
    )
    parser.add_argument(
        "--workers", type=whole_number(0), metavar="N", help="processes that decode (default: one a core, at most 8)"
    )
    parser.add_argument("--batch", type=whole_number(1), metavar="N", default=16, help="clips forwarded at a time (16)")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda; by default a GPU if there is one")


def reading(args: argparse.Namespace, log: Path, cache: Path | None, told: "Told | None") -> Any:
    """The :class:`~telltime.tasks.measuring.Reading` that the options ask for."""
    from telltime.clips.policy import BadMedia
    from telltime.tasks.measuring import Reading

    if int(os.environ.get("WORLD_SIZE", "1")) == 1:  # else whoever shares the work sees to it
        log.write_text("")
    policy = BadMedia(mode=args.bad_media, log=log, max_share=args.max_dropped)
    workers = min(8, cores()) if args.workers is None else args.workers
    return Reading(cache, policy, workers, args.batch, device=args.device, progress=told)


def cores() -> int:
    """Cores this process may use; 0 where a single one leaves none to spare."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return count if count > 1 else 0


@contextmanager
def bar(quiet: bool) -> "Iterator[Told | None]":
    """A progress bar on stderr; ``None`` when nobody looks."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield told
