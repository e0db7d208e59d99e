"""``telltime photos find``: photos around a time of day."""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from telltime.cli._reading import bar, whole_number
from telltime.cli._telling import add_folder, add_telling, told_below

if TYPE_CHECKING:
    from telltime.search.by_time import Hit

SUMMARY = "find photos around a time of day, ordered along the day"

EXAMPLES = """\
examples:
  telltime photos find MY_PHOTOS --time 18:00
  telltime photos find MY_PHOTOS --time 6am --within 90min --report morning.html
  telltime photos find MY_PHOTOS --time 18:00 --by stated
  telltime photos find MY_PHOTOS --time 18:00 --text "a beach" --model runs/clip

A photo is shown where its estimated time lies in the window; where two times fit, either counts. The probability is
that of the whole window. --by stated goes by what files say instead. --text wants a model with a CLIP image tower.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``photos find DIR --time TIME``."""
    add_folder(parser)
    parser.add_argument("--time", type=time_of_day, required=True, metavar="TIME", help="such as 18:00, 6pm or 18")
    parser.add_argument("--within", type=span, default=1.0, metavar="SPAN", help="such as 1h or 30min (default 1h)")
    parser.add_argument(
        "--by", choices=("estimated", "stated"), default="estimated", help="the time it looks like, or the file's own"
    )
    parser.add_argument("--text", metavar="WORDS", help="only photos that fit these words best (CLIP models)")
    parser.add_argument("--top", type=whole_number(1), metavar="N", help="show so many (default: all, with --text 60)")
    add_telling(parser)
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a contact sheet")
    parser.add_argument("--json", action="store_true", help="print hits as JSON")


def run(args: argparse.Namespace) -> int:
    """Find and show; 1 when files could not be read."""
    from telltime.search.by_time import check_words, find, like_words

    check = None if args.text is None else lambda clock: check_words(clock.tower)
    with bar(args.json) as progress:
        told, bad, clock = told_below(args, progress, check)
    likeness = None
    if args.text is not None:
        likeness = like_words(told, args.text, clock.tower)
    top = 60 if args.text is not None and args.top is None else args.top
    hits = find(told, args.time, args.within, args.by, likeness, top)
    if args.report is not None:
        from telltime.report.contact_sheet import write_sheet

        write_sheet(hits, args.report, args.time, args.within, len(told), args.text)
    if args.json:
        errors = [{"path": str(path), "error": reason} for path, reason in bad]
        found = {"hour": args.time, "within": args.within, "by": args.by, "photos": len(told)}
        print(json.dumps(found | {"hits": [hit.to_json() for hit in hits], "errors": errors}, indent=2))
    else:
        _show(hits, len(told), args)
    return 1 if bad else 0


def _show(hits: "list[Hit]", total: int, args: argparse.Namespace) -> None:
    from telltime.datasets.scan import printable
    from telltime.report.clock import hhmm

    if hits:
        print("time   in window  stated  photo")
    for hit in hits:
        stated = "     " if hit.told.capture.hour is None else hhmm(hit.told.capture.hour)
        print(f"{hhmm(hit.hour)}  {hit.probability:8.0%}   {stated}   {printable(hit.told.path)}")
    window = f"{hhmm((args.time - args.within) % 24)} to {hhmm((args.time + args.within) % 24)}"
    print(f"{len(hits)} of {total} photos are from {window} ({args.by})")
    if args.report is not None:
        print(f"contact sheet: {args.report}")


def time_of_day(text: str) -> float:
    """``18:00``, ``18``, ``6pm`` or ``6:30 am`` as hours."""
    found = re.fullmatch(r"(\d{1,2})(?:[:.h](\d{2}))?\s*([ap]m)?", text.strip().lower())
    if found:
        hour, minute, half = int(found[1]), int(found[2] or 0), found[3]
        if half and 1 <= hour <= 12:
            hour = hour % 12 + 12 * (half == "pm")
        elif half:
            hour = 99
        if hour < 24 and minute < 60:
            return hour + minute / 60
    raise argparse.ArgumentTypeError(f"{text} is no time of day such as 18:00 or 6pm")


def span(text: str) -> float:
    """``1h``, ``90min``, ``1h30`` or ``1:30`` as hours, above 0 and at most 12."""
    plain = text.strip().lower().replace(" ", "")
    value = 0.0
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)h?", plain):
        value = float(found[1])
    elif found := re.fullmatch(r"(\d+(?:\.\d+)?)(?:m|min)", plain):
        value = float(found[1]) / 60
    elif found := re.fullmatch(r"(\d+)[:h](\d{1,2})(?:m|min)?", plain):
        value = int(found[1]) + int(found[2]) / 60
    if not 0 < value <= 12:
        raise argparse.ArgumentTypeError(f"{text} is no span such as 1h or 30min, up to 12h")
    return value
