"""What the verbs share that tell the times of photos: their options, and the photos of a folder told."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import cores, whole_number

if TYPE_CHECKING:
    from telltime.checkpoints.clock import Clock
    from telltime.datasets.record import Record
    from telltime.media.errors import MediaError
    from telltime.search.telling import Told
    from telltime.tasks.measuring import Told as Progress

Bad = list[tuple[Path, str]]


def add_telling(parser: argparse.ArgumentParser) -> None:
    """Model, sun and zone."""
    parser.add_argument(
        "--model", metavar="MODEL", help="run or model folder, or published checkpoint (default: the head that ships)"
    )
    parser.add_argument(
        "--sun",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="count by the sun where a photo states place and date (default: if the model says by which suns)",
    )
    parser.add_argument("--zone", metavar="ZONE", help="IANA time zone of photos that tell UTC and no place")
    parser.set_defaults(usage_error=parser.error)


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The folder, and how it is read."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of photos, with all below it")
    parser.add_argument(
        "--annotation", type=Path, metavar="FILE", help="JSON of times and places to go by rather than the files' own"
    )
    parser.add_argument(
        "--store", type=Path, metavar="STORE", help="keep features here: the next time only new photos are looked at"
    )
    parser.add_argument(
        "--workers", type=whole_number(0), metavar="N", help="threads that decode (default: one a core)"
    )


def told_below(
    args: argparse.Namespace, progress: "Progress | None", check: "Callable[[Clock], None] | None" = None
) -> "tuple[list[Told], Bad, Clock]":
    """The times of all photos below ``args.dir``, the files that could not be read, and the model.

    Whatever cannot be read is named on stderr. ``check`` sees the model before any photo is looked at.

    Raises:
        DatasetError: there is no such folder, or no picture in it.
        StoreError: ``args.store`` holds features of something else.
    """
    check_zone(args)
    from telltime.datasets.photos import captured, load

    table = load(args.dir, "all", annotation=args.annotation)
    if args.zone is not None and args.annotation is None:
        again = tuple(replace(one, capture=captured(one.path, args.zone)) for one in table.records)
        table = replace(table, records=again)

    from telltime.checkpoints.clock import load_clock
    from telltime.search.telling import tell_table

    clock = load_clock(args.model)
    if check is not None:
        check(clock)
    policy = _naming()
    workers = cores() if args.workers is None else args.workers
    shown = None if progress is None else partial(progress, "looking")
    told = tell_table(clock, table, store=args.store, policy=policy, workers=workers, sun=args.sun, progress=shown)
    if learnt := sum(one.learnt for one in told):
        print(
            f"telltime: the model learnt from {learnt} of these {len(told)} photos, with the times they claim: "
            "that they fit says little",
            file=sys.stderr,
        )
    return told, policy.bad, clock


def check_zone(args: argparse.Namespace) -> None:
    """Leave with an error of the command line if there is no such zone as ``--zone`` names."""
    if args.zone is not None:
        from telltime.media.zones import UnknownZone, zone_of

        try:
            zone_of(args.zone)
        except UnknownZone as error:
            args.usage_error(str(error))


def pictures_below(folder: Path) -> list[Path]:
    """Pictures at and below a folder; none is an error of the folder's.

    Raises:
        DatasetError: there is none.
    """
    from telltime.datasets.photos import load

    return [record.path for record in load(folder, "all").records]


def complain(path: Path, reason: str) -> None:
    """Name a file that could not be read."""
    from telltime.datasets.scan import printable

    print(f"telltime: {printable(path)}: {reason}", file=sys.stderr)


def _naming() -> Any:
    """A policy that leaves out what cannot be read, however much it is, and names each on stderr."""
    from telltime.clips.policy import BadMedia

    class Naming(BadMedia):
        def __init__(self) -> None:
            super().__init__("skip", None, 1.0)
            self.bad: Bad = []

        def handle(self, record: "Record", error: "MediaError") -> None:
            self.bad.append((error.path, error.reason))
            complain(error.path, error.reason)
            super().handle(record, error)

    return Naming()
