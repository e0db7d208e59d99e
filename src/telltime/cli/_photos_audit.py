"""``telltime photos audit``: wrong clocks and doubtful times in a folder of photos."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from telltime.cli._reading import bar
from telltime.cli._telling import add_folder, add_telling, told_below

if TYPE_CHECKING:
    from telltime.search.photo_audit import Audit, Period

SUMMARY = "find cameras whose clock was wrong, and photos whose time does not fit"

EXAMPLES = """\
examples:
  telltime photos audit MY_PHOTOS
  telltime photos audit MY_PHOTOS --report audit.html --commands mend.sh
  telltime photos audit MY_PHOTOS --json

For each camera, and each period between settings of its clock, the offset is found that best explains all its photos
together: a forgotten time zone, AM taken for PM. Nothing is written to any photo: the commands are for you to run, and
the first only shows what would be. They want exiftool.
"""

_SHOWN = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``photos audit DIR``."""
    add_folder(parser)
    add_telling(parser)
    parser.add_argument(
        "--level", type=_level, default=0.02, metavar="P", help="p-value below which a photo is doubtful (default 0.02)"
    )
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with clocks and pictures")
    parser.add_argument("--commands", type=Path, metavar="FILE.sh", help="write the commands for all files")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Audit and say what was found; 1 when files could not be read."""
    from telltime.search.photo_audit import audit

    with bar(args.json) as progress:
        told, bad, clock = told_below(args, progress)
    found = audit(told, clock.p_value, args.level)
    if args.commands is not None:
        _write_commands(found, args.commands)
    if args.report is not None:
        from telltime.report.photo_audit import write_audit

        write_audit(found, args.dir, args.report)
    if args.json:
        errors = [{"path": str(path), "error": reason} for path, reason in bad]
        print(json.dumps(found.to_json() | {"errors": errors}, indent=2))
    else:
        _show(found, args)
    return 1 if bad else 0


def _show(found: "Audit", args: argparse.Namespace) -> None:
    from telltime.datasets.scan import printable
    from telltime.report.clock import hhmm

    for period in found.periods:
        _show_period(period)
    if found.suspects:
        print(f"\nphotos that do not fit their time (p below {found.level:g}; right ones do so as often by chance):")
        for one in found.suspects[:20]:
            claims, looks = hhmm(one.told.capture.hour or 0.0), hhmm(one.told.median)
            print(f"  p {one.p_value:6.4f}  claims {claims}, looks like {looks}  {printable(one.told.path)}")
        if len(found.suspects) > 20:
            print(f"  and {len(found.suspects) - 20} more; --json has all")
    judged = sum(len(period.photos) for period in found.periods)
    print(
        f"\n{judged + len(found.unclaimed)} photos, {len(found.unclaimed)} without a time; "
        f"{len(found.wrong)} of {len(found.periods)} clocks seem wrong, {len(found.suspects)} photos do not fit"
    )
    for what, path in (("pictures and clocks", args.report), ("commands", args.commands)):
        if path is not None:
            print(f"{what}: {path}")


def _show_period(period: "Period") -> None:
    from telltime.search.photo_audit import look_command, mend_command

    first, last = (period.photos[i].capture.local for i in (0, -1))
    print(f"{period.camera}: {len(period.photos)} photos, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}")
    if period.offset is None:
        print("  too few to judge the clock")
        return
    least, most = period.offset.interval
    if not period.wrong:
        print(f"  the clock seems right (best offset {hours(period.offset.minutes)}, {hours(least)} to {hours(most)})")
        return
    print(
        f"  the clock seems wrong: add {hours(period.mending)} "
        f"(best {hours(period.offset.minutes)}, 90 % interval {hours(least)} to {hours(most)}; "
        f"probability {period.offset.probability:.1%})"
    )
    if abs(period.mending) == 720:
        print("  light does not tell 12 h forward from 12 h back: look at the dates before mending")
    files = [told.path for told in period.photos]
    more = f"   # and {len(files) - _SHOWN} more; --commands FILE.sh writes all" if len(files) > _SHOWN else ""
    print(f"  look:  {look_command(period.mending, files[:_SHOWN])}{more}")
    print(f"  mend:  {mend_command(period.mending, files[:_SHOWN])}{more}")


def _write_commands(found: "Audit", path: Path) -> None:
    """A shell script that shows the mended times; the commands that write are commented out."""
    from telltime.media.files import whole
    from telltime.search.photo_audit import look_command, mend_command

    lines = ["#!/bin/sh", "# Shows the times mended; take the # away from a second line to write them.", ""]
    for period in found.wrong:
        files = [told.path.resolve() for told in period.photos]
        lines += [f"# {' '.join(period.camera.split())}: add {hours(period.mending)}"]
        lines += [look_command(period.mending, files), f"# {mend_command(period.mending, files)}", ""]
    with whole(path) as beside:
        beside.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))


def hours(minutes: int) -> str:
    """Minutes as ``+7 h`` or ``-1 h 30 min``."""
    whole, rest = divmod(abs(minutes), 60)
    sign = "-" if minutes < 0 else "+"
    parts = [f"{whole} h"] * (whole > 0) + [f"{rest} min"] * (rest > 0)
    return f"{sign}{' '.join(parts)}" if parts else "0"


def _level(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
