"""``telltime data``: look at data sets on disk."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._data_masks import add_masks, convert_visor, generate_masks, generate_voc
from telltime.cli._reading import SETS

if TYPE_CHECKING:
    from rich.console import Console

SUMMARY = "check a data set on disk, or make footage and photos with known truth"

EXAMPLES = """\
examples:
  telltime data check ucf101 --root data/ucf101
  telltime data check folder --root my-videos
  telltime data check hmdb51 --root data/hmdb51 --annotation lists/testTrainMulti_7030_splits --no-decode
  telltime data check kinetics400 --root data/k400 --json > report.json
  telltime data check photos --root my-photos
  telltime data check yup --root data/yup --annotation lists/yup
  telltime data make --root footage --tie 0.9 --test-tie 0 --seed 1
  telltime data generate-photos --out skies --photos 500 --places 6 --seed 1
  telltime data generate-masks --out masked --sequences 12 --seed 1
  telltime data check davis --root data/DAVIS
  telltime data convert-visor downloads/visor --out data/visor
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``data check NAME``."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    check = verbs.add_parser(
        "check",
        help="what is there, what is missing, and what cannot be read",
        description="Report layout, missing and unreadable files, and the share of the published set that is there.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument("name", metavar="NAME", help=SETS)
    check.add_argument("--root", type=Path, required=True, metavar="DIR", help="folder of the data set")
    check.add_argument("--annotation", type=Path, metavar="FILE", help="file or folder of the split lists")
    check.add_argument("--no-decode", action="store_true", help="only look for the files, do not open them")
    check.add_argument("--json", action="store_true", help="print the whole report as JSON")
    check.add_argument("--out", type=Path, metavar="FILE", help="also write the report as JSON to this file")
    _add_make(verbs)
    _add_photos(verbs)
    add_masks(verbs, EXAMPLES)


def _add_make(verbs: Any) -> None:
    make = verbs.add_parser(
        "make",
        help="draw footage with known truth, as real video files",
        description="Draw shapes over drifting grounds, laid out like UCF101; labels.json holds look and motion.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    make.add_argument("--root", type=Path, required=True, metavar="DIR", help="new or empty folder")
    make.add_argument("--classes", type=int, default=8, metavar="N", help="looks and motions, 1 to 12 (default: 8)")
    make.add_argument("--videos-per-class", type=int, default=24, metavar="N", help="(default: 24)")
    make.add_argument(
        "--groups", type=int, default=12, metavar="N", help="a group is never in both splits (default: 12)"
    )
    make.add_argument("--frames", type=int, default=96, metavar="N", help="length of a video (default: 96)")
    make.add_argument("--size", type=int, nargs=2, default=(72, 96), metavar=("H", "W"), help="(default: 72 96)")
    make.add_argument("--tie", type=float, default=1.0, metavar="P", help="how far look and motion go together, 0 to 1")
    make.add_argument("--test-tie", type=float, metavar="P", help="the same for the test split of fold 1")
    make.add_argument("--seed", type=int, default=0, metavar="N", help="of everything (default: 0)")


def _add_photos(verbs: Any) -> None:
    draw = verbs.add_parser(
        "generate-photos",
        help="draw photos whose times are known, as JPEG files with EXIF",
        description="Draw scenes of cities under their sun, at all hours; metadata.json holds every photo's true time.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    draw.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder")
    draw.add_argument("--photos", type=int, default=500, metavar="N", help="how many in all (default: 500)")
    draw.add_argument("--places", type=int, default=6, metavar="N", help="cities, 1 to 24 (default: 6)")
    draw.add_argument("--cameras", type=int, default=1, metavar="N", help="scenes at each place (default: 1)")
    draw.add_argument("--days", type=int, default=20, metavar="N", help="days of the year at each place (default: 20)")
    draw.add_argument("--size", type=int, nargs=2, default=(240, 320), metavar=("H", "W"), help="(default: 240 320)")
    draw.add_argument("--seed", type=int, default=0, metavar="N", help="of everything (default: 0)")
    draw.add_argument(
        "--wrong-clock",
        type=_wrong_clock,
        action="append",
        default=[],
        metavar="CAMERA=HOURS",
        help="a camera, counted from 0, whose clock is HOURS ahead, as in 2=-7; may be given again",
    )


def _wrong_clock(text: str) -> tuple[int, float]:
    camera, equals, hours = text.partition("=")
    try:
        if equals:
            return int(camera), float(hours)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected CAMERA=HOURS, as in 2=-7, not {text!r}")


def run(args: argparse.Namespace) -> int:
    """Check, or make; 1 when something is missing, unreadable or not laid out as expected."""
    actions = {
        "make": _make,
        "check": _check,
        "generate-photos": _draw_photos,
        "generate-masks": generate_masks,
        "generate-voc": generate_voc,
        "convert-visor": convert_visor,
    }
    return actions[args.action](args)


def _draw_photos(args: argparse.Namespace) -> int:
    from telltime.datasets.generated_photos import generate_photos
    from telltime.datasets.record import DatasetError

    names = ("photos", "places", "cameras", "days", "seed")
    given = {name: getattr(args, name) for name in names}
    try:
        out = generate_photos(args.out, size=tuple(args.size), wrong_clocks=dict(args.wrong_clock), **given)
    except ValueError as error:
        raise DatasetError(str(error)) from error
    print(f"{out}: {args.photos} photos of {args.places * args.cameras} cameras; true times are in metadata.json")
    print(f"next:  telltime fit ticl-photos --root {out} --out RUN --calibrate")
    return 0


def _make(args: argparse.Namespace) -> int:
    from telltime.datasets.generated import generate, load
    from telltime.datasets.record import DatasetError

    names = ("classes", "videos_per_class", "groups", "frames", "tie", "test_tie", "seed")
    try:
        root = generate(args.root, size=tuple(args.size), **{name: getattr(args, name) for name in names})
    except ValueError as error:
        raise DatasetError(str(error)) from error
    print(f"{root}: {len(load(root, 'train'))} videos to learn from, {len(load(root, 'test'))} to test on")
    print(f"next:  telltime fit tclr-small --data generated --root {root} --out RUN")
    return 0


def _check(args: argparse.Namespace) -> int:
    from telltime.datasets import doctor
    from telltime.media.files import whole

    quiet = args.json or not sys.stderr.isatty()
    report = (
        _with_progress(args)
        if not (quiet or args.no_decode)
        else doctor.check(args.name, args.root, args.annotation, decode=not args.no_decode)
    )
    text = json.dumps(report, indent=2)
    if args.out:
        with whole(args.out) as beside:
            beside.write_text(text + "\n", encoding="utf-8")
    if args.json:
        print(text)
    else:
        from rich.console import Console

        show(report, Console(soft_wrap=True) if not sys.stdout.isatty() else Console())
    return 0 if report["ok"] else 1


def _with_progress(args: argparse.Namespace) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from telltime.datasets import doctor

    columns = (TextColumn("opening files"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("opening files", total=None)
        return doctor.check(
            args.name,
            args.root,
            args.annotation,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )


def show(report: dict[str, Any], console: "Console", most: int = 8) -> None:
    """Print a report of :func:`telltime.datasets.doctor.check`, at most ``most`` names of a kind."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    classes = f", {report['classes']} classes" if report["classes"] else ""
    console.print(
        Text.assemble((report["name"], "bold"), f" in {report['root']}: {report['videos']} {report['kind']}s{classes}")
    )
    if report["splits"]:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for title in ("split", "fold", "listed", "present", "missing", "of published", "unreadable"):
            table.add_column(title, justify="left" if title == "split" else "right")
        for row in report["splits"]:
            share = "" if row["share"] is None else f"{_percent(row['share'])} of {row['published']:,}"
            table.add_row(
                row["split"],
                str(row["fold"] or ""),
                f"{row['listed']:,}",
                f"{row['present']:,}",
                _mark(len(row["missing"])),
                share,
                _mark(row["unreadable"]) if report["decoded"] else Text("not opened", style="dim"),
            )
        console.print(table)
    if media := report["media"]:
        sizes = ", ".join(f"{n} of {size}" for size, n in list(media["sizes"].items())[:4])
        console.print(sizes if report["kind"] != "video" else _footage(media, sizes))
    for entry in report["unreadable"][:most]:
        console.print(Text.assemble(("unreadable ", "red"), f"{entry['path']}: {entry['reason']}"))
    if (more := len(report["unreadable"]) - most) > 0:
        console.print(Text(f"and {more} more unreadable; --json names all", style="dim"))
    for note in report["notes"]:
        console.print(Text.assemble(("note ", "cyan"), note))
    for problem in report["problems"]:
        console.print(Text.assemble(("problem ", "bold red"), problem))
    if report["ok"]:
        console.print(Text("all is well", style="green"))
    elif not report["videos"] and report["layout"]:
        console.print(Text("expected layout, ROOT being --root:"))
        console.print(Text(report["layout"], style="dim"))


def _footage(media: dict[str, Any], sizes: str) -> str:
    frames, rates = media["frames"], ", ".join(list(media["rates"])[:4])
    counted = f"{frames['min']:,} to {frames['max']:,} (median {frames['median']:,.0f})"
    return f"frames {counted}; {sizes}; {rates} frames/s"


def _mark(count: int) -> str:
    return f"[red]{count:,}[/red]" if count else "0"


def _percent(share: float) -> str:
    return f"{share:.2%}" if 0 < share < 0.01 else f"{share:.1%}"
