"""``telltime when``: what time is it in this photo?"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._telling import Bad, add_telling, check_zone, complain, pictures_below

if TYPE_CHECKING:
    from telltime.search.telling import Told

SUMMARY = "tell the time of day of photos from how they look"

EXAMPLES = """\
examples:
  telltime when beach.jpg
  telltime when holiday/*.jpg --json
  telltime when beach.jpg --svg clocks --model runs/mine
  telltime when beach.jpg --sun

What is told is civil time at the place, as a distribution over the day: its circular median (the answer with the least
expected error), and the arcs that hold the true time in 50 % and 80 % of photos like those the model was calibrated on.
With position and date in the file, --sun counts by the sun of that place and day. The time that the file claims stands
beside it and is used for nothing but its date. In Python:
  from telltime.checkpoints.clock import load_clock
  from telltime.search.telling import tell
  for told in tell(load_clock(), [Path("beach.jpg")]):
      told.median, told.arcs[80], told.density      # hours, an arc, float64 [96]
"""


_BLOCKS = 4
"""Photos that are shown with a dial each; more are shown in a line each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``when PHOTO...``."""
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="pictures, or folders of pictures")
    add_telling(parser)
    parser.add_argument("--svg", type=Path, metavar="DIR", help="also draw a clock for each photo into this folder")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args: argparse.Namespace) -> int:
    """Tell, show, and name what could not be read; 0 when every photo was told."""
    check_zone(args)
    paths, bad = _pictures(args.photos)
    for path, reason in bad:
        complain(path, reason)
    hopeless = _hopeless(paths)
    for path, reason in hopeless:
        complain(path, reason)
    bad += hopeless
    told = list(_told(paths, args, bad)) if paths and not hopeless else []
    if args.json:
        errors = [{"path": str(path), "error": reason} for path, reason in bad]
        print(json.dumps({"photos": [one.to_json() for one in told], "errors": errors}, indent=2))
    return 1 if bad else 0


def _told(paths: Sequence[Path], args: argparse.Namespace, bad: Bad) -> "Iterator[Told]":
    """Tell and show one photo after the other; what cannot be read is named and added to ``bad``."""
    from telltime.checkpoints.clock import load_clock
    from telltime.search.telling import Told, tell

    names = _Names()
    show = _row if len(paths) > _BLOCKS else _block
    for one in tell(load_clock(args.model), paths, zone=args.zone, sun=args.sun):
        if not isinstance(one, Told):
            complain(one.path, one.reason)
            bad.append((one.path, one.reason))
            continue
        if args.svg is not None:
            _draw(one, args.svg / f"{names.fresh(one.path.stem)}.svg")
        if not args.json:
            print(show(one), flush=True)
        yield one


def _pictures(given: Sequence[Path]) -> tuple[list[Path], Bad]:
    """Files, those below folders included, and what was given and is nothing."""
    from telltime.datasets.record import DatasetError

    paths: list[Path] = []
    missing: Bad = []
    for path in given:
        if path.is_dir():
            try:
                paths += pictures_below(path)
            except DatasetError:
                missing.append((path, "no pictures in this folder"))
        elif path.exists():
            paths.append(path)
        else:
            missing.append((path, "no such file"))
    return paths, missing


def _hopeless(paths: Sequence[Path]) -> Bad:
    """What is wrong with each, if that shows in the first bytes of all: then no model need be loaded."""
    from telltime.media.errors import MediaError
    from telltime.media.image import check_image

    found: Bad = []
    for path in paths:
        try:
            check_image(path)
        except MediaError as error:
            found.append((path, error.reason))
        else:
            return []
    return found


class _Names:
    """File names of which none comes twice."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def fresh(self, stem: str) -> str:
        name, number = stem, 1
        while name in self._given:
            number += 1
            name = f"{stem}-{number}"
        self._given.add(name)
        return name


def _draw(told: "Told", path: Path) -> None:
    from telltime.datasets.suns import sun_of
    from telltime.media.files import whole
    from telltime.report.clock import svg
    from telltime.search.sun_aware import elevations

    sun = told.sun or sun_of(told.capture)
    drawing = svg(
        told.density,
        told.median,
        told.arcs,
        claimed=told.capture.hour,
        elevations=None if sun is None else elevations(sun),
        alone=True,
        title=f"{told.path.name}: about {_hhmm(told.median)}",
    )
    with whole(path) as beside:
        beside.write_text(drawing, encoding="utf-8")


def _block(told: "Told") -> str:
    """Name, dial and words of one photo."""
    from telltime.datasets.scan import printable
    from telltime.report.clock import axis, dial, line

    words = _words(told)
    if not _unicode():
        lines = [printable(told.path), *(f"  {word}" for word in words), f"  {line(told.density, unicode=False)}"]
        return "\n".join([*lines, f"  {axis()}", ""])
    drawn = dial(told.density, told.median, told.capture.hour)
    start = max(0, (len(drawn) - len(words)) // 2)
    beside = [""] * start + words + [""] * max(0, len(drawn) - len(words) - start)
    wide = max(len(row) for row in drawn)
    rows = [f"  {row:<{wide}}   {word}".rstrip() for row, word in zip(drawn, beside, strict=True)]
    return "\n".join([printable(told.path), *rows, ""])


def _words(told: "Told") -> list[str]:
    words = [f"about {_hhmm(told.median)}"]
    words += [f"{share} %  {_hhmm(arc.start)} to {_hhmm(arc.end)}" for share, arc in sorted(told.arcs.items())]
    if question := told.question:
        fits = ", ".join(f"{_hhmm(peak.hour)} ({peak.share:.0%})" for peak in told.peaks[:2])
        words.append(f"{question}  {fits}")
    words.append(_claimed(told))
    if (elevation := told.elevation) is not None:
        from telltime.media.sun import phase

        side = "above" if elevation >= 0 else "below"
        how = "counted by its sun" if told.sun else "its sun not counted by"
        words.append(f"the sun then {abs(elevation):.0f}° {side} the horizon: {phase(elevation)}; {how}")
    return words


def _claimed(told: "Told") -> str:
    capture = told.capture
    if capture.hour is None:
        note = f" ({capture.notes[0]})" if capture.notes else ""
        return f"the file claims no time{note}"
    verdict = "" if told.p_value is None else f", p = {told.p_value:.2g}"
    fits = "fits badly" if told.doubtful else "fits"
    return f"the file claims {_hhmm(capture.hour)} ({capture.source}, {capture.sure}): {fits}{verdict}"


def _row(told: "Told") -> str:
    """One photo in one line."""
    from telltime.datasets.scan import printable
    from telltime.report.clock import line

    arc = told.arcs[80]
    claim = "" if told.capture.hour is None else f"  claims {_hhmm(told.capture.hour)}{' ?' if told.doubtful else ''}"
    drawn = line(told.density, 24, _unicode())
    return f"{_hhmm(told.median)}  80 % {_hhmm(arc.start)}-{_hhmm(arc.end)}  |{drawn}|  {printable(told.path)}{claim}"


def _hhmm(hour: Any) -> str:
    from telltime.report.clock import hhmm

    return hhmm(float(hour))


def _unicode() -> bool:
    try:
        "⣿█°".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
