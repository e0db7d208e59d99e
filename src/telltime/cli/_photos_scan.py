"""``telltime photos scan``: from a folder of photos to an annotation of those whose times can be trusted."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telltime.datasets.photo_scan import PhotoScan

SUMMARY = "read the times of a folder's photos, leave out what misleads, and write a JSON to learn from"

EXAMPLES = """\
filters, each with its reasons in OUT's .dropped.jsonl:
  unreadable         no picture that decodes
  no-time            nothing tells when it was taken
  impossible-date    before 1990, in the future, or a clock that was never set
  midnight           exactly 00:00:00, what software writes where it has a date only
  screenshot         a picture of a screen, by its name, its EXIF or its flat colours
  duplicate          the same picture at the same time, or a copy whose time is less sure
  frozen             the same picture as one before it, with a later time: a webcam that stood still
  near-duplicate     looks like another one taken within a minute of it
  daylight-at-night  a daylight sky or exposure while the sun was far below the horizon (needs place and UTC)

examples:
  telltime photos scan my-photos --out photos.json
  telltime photos scan webcam --out webcam.json --zone Europe/Zurich --keep near-duplicate
  telltime fit ticl-photos --root my-photos --annotation photos.json --out RUN --calibrate
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``photos scan DIR --out FILE``."""
    parser.add_argument("root", type=Path, metavar="DIR", help="folder of photos, read with all folders in it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON to write, such as photos.json")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="FILTER", help="waive a filter; may be given again"
    )
    parser.add_argument("--zone", metavar="ZONE", help="time zone of photos that tell UTC and no place, as Asia/Tokyo")
    parser.add_argument("--fold", type=int, default=1, metavar="N", help="seed of the test split (default: 1)")
    parser.add_argument("--workers", type=int, metavar="N", help="photos read at a time (default: one a core)")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Scan and write; the counts are printed. Fails when nothing is left to learn from."""
    from telltime.cli._reading import bar
    from telltime.datasets.photo_scan import scan_photos
    from telltime.datasets.record import DatasetError
    from telltime.media.zones import UnknownZone, zone_of

    _check(args)
    if args.zone is not None:
        try:
            zone_of(args.zone)
        except UnknownZone as error:
            args.usage_error(str(error))
    with bar(args.json) as told:
        progress = None if told is None else lambda done, total: told("reading photos", done, total)
        found = scan_photos(args.root, args.zone, args.keep, args.fold, args.workers, progress)
    reasons = found.write(args.out)
    summary = {**found.summary(), "out": str(args.out), "reasons": str(reasons)}
    if args.json:
        print(json.dumps(summary, indent=2))
    else:
        _show(found, summary)
    if not found.rows:
        raise DatasetError(
            f"none of the {len(found.left)} photos in {args.root} is left; {reasons} says why, --keep waives a filter"
        )
    return 0


def _check(args: argparse.Namespace) -> None:
    from telltime.cli.main import near
    from telltime.datasets.photo_scan import waivable

    for name in args.keep:
        if name not in waivable():
            hint = near(name, waivable()) or f"; choose of {', '.join(waivable())}"
            args.usage_error(f"argument --keep: no filter {name!r} can be waived{hint}")
    if args.out.suffix.lower() != ".json":
        args.usage_error(f"argument --out: {args.out} does not end in .json")
    if args.workers is not None and args.workers < 1:
        args.usage_error(f"argument --workers: {args.workers} is less than 1")


def _show(found: "PhotoScan", summary: dict[str, Any], most: int = 8) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(soft_wrap=True)
    total = f"{summary['photos']:,} photos in {summary['root']}: {summary['kept']:,} kept"
    parts = (
        f"{summary['train']:,} to learn from, {summary['test']:,} to test on, of {summary['groups']:,} days and places"
    )
    console.print(Text(f"{total} ({parts})"))
    if found.left:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for title in ("left out by", "photos", "for example"):
            table.add_column(title, justify="right" if title == "photos" else "left")
        for name, count in summary["left_out"].items():
            if count:
                example = next(one for one in found.left if one.filter == name)
                table.add_row(name, f"{count:,}", Text(f"{example.file}: {example.reason}"))
        console.print(table)
    bad = [one for one in found.left if one.filter == "unreadable"]
    for one in bad[1:most]:
        console.print(Text.assemble(("unreadable ", "red"), f"{one.file}: {one.reason}"))
    if summary["sources"]:
        console.print(Text("times: " + ", ".join(f"{count:,} {name}" for name, count in summary["sources"].items())))
    for note in summary["notes"]:
        console.print(Text.assemble(("note ", "cyan"), note))
    console.print(Text(f"wrote {summary['out']} and {summary['reasons']}"))
    if found.rows:
        given = f"--root {summary['root']} --annotation {summary['out']}"
        console.print(Text(f"next:  telltime fit ticl-photos {given} --out RUN --calibrate"))
