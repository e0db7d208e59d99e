"""What the verbs share that tell the times of photos: their options, and the photos of a folder told."""

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import cores, whole_number

if TYPE_CHECKING:
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
        help="count by the sun where a photo states place and date (default: if the model knows its own)",
    )
    parser.add_argument("--zone", metavar="ZONE", help="IANA time zone of photos that tell UTC and no place")


def add_folder(parser: argparse.ArgumentParser) -> None:
    """The folder, and how it is read."""
    parser.add_argument("dir", type=Path, metavar="DIR", help="folder of photos, with all below it")
    parser.add_argument(
        "--store", type=Path, metavar="STORE", help="keep features here: the next time only new photos are looked at"
    )
    parser.add_argument(
        "--workers", type=whole_number(0), metavar="N", help="threads that decode (default: one a core)"
    )


def told_below(args: argparse.Namespace, progress: "Progress | None") -> "tuple[list[Told], Bad]":
    """The times of all photos below ``args.dir``, and the files that could not be read, each named on stderr.

    Raises:
        DatasetError: there is no such folder, or no picture in it.
        UnknownZone: ``args.zone`` is none.
        StoreError: ``args.store`` holds features of something else.
    """
    if args.zone is not None:
        from telltime.media.zones import zone_of

        zone_of(args.zone)
    names = pictures_below(args.dir)

    from telltime.checkpoints.clock import load_clock
    from telltime.datasets.record import DatasetError, Record, Table
    from telltime.datasets.scan import printable
    from telltime.media.capture_time import read_capture
    from telltime.search.telling import tell_table

    if not names:
        raise DatasetError(f"{printable(args.dir)} holds no pictures")
    records = []
    for done, name in enumerate(names, 1):
        path = args.dir / name
        records.append(Record(printable(name), path, capture=read_capture(path, args.zone)))
        if progress:
            progress("reading times", done, len(names))
    table = Table("photos", "all", args.dir, records=tuple(records))
    policy = _naming()
    workers = cores() if args.workers is None else args.workers
    shown = None if progress is None else partial(progress, "looking")
    told = tell_table(
        load_clock(args.model), table, store=args.store, policy=policy, workers=workers, sun=args.sun, progress=shown
    )
    return told, policy.bad


def pictures_below(folder: Path) -> list[str]:
    """Pictures at and below a folder, relative and sorted; hidden ones are passed over.

    Raises:
        DatasetError: there is no such folder.
    """
    from telltime.datasets.record import DatasetError
    from telltime.datasets.scan import IMAGE_SUFFIXES, printable, walk

    if not folder.is_dir():
        raise DatasetError(f"{printable(folder)}: {'not a folder' if folder.exists() else 'no such folder'}")
    suffixes = IMAGE_SUFFIXES | {".heic", ".heif"}
    found = [name for _, names in walk(folder, []) for name in names]
    return sorted(name for name in found if os.path.splitext(name)[1].lower() in suffixes)


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
