"""``telltime copies``: groups of copies in a collection."""

import argparse
import json
from functools import partial
from typing import TYPE_CHECKING

from telltime.cli._index import add_index, count, opened
from telltime.cli._reading import bar

if TYPE_CHECKING:
    from telltime.search.copies import Copies

SUMMARY = "find groups of copies among the videos of an index"

EXAMPLES = """\
examples:
  telltime copies --index my-index
  telltime copies --index my-index --rate 1e-6 --json

The threshold is calibrated on the collection: --rate is the share of pairs of unrelated videos that may pass it; by
default so few that 0.1 false pairs would be among all pairs there are. What is printed is never less than the
collection's own pairs can speak for. In Python:
  telltime.Index("my-index").copies().groups
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``copies --index DIR``."""
    add_index(parser)
    parser.add_argument("--rate", type=_rate, metavar="R", help="expected false-positive rate of a pair, up to 0.1")
    parser.add_argument("--json", action="store_true", help="print groups as JSON")


def run(args: argparse.Namespace) -> int:
    """Find groups and show them; 0 when done, also when there are none."""
    from telltime.search.pointer import must_exist

    must_exist(args.index)
    index = opened(args)
    with bar(args.json) as told:
        found = index.copies(args.rate, None if told is None else partial(told, "comparing"))
    if args.json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        _show(found)
    return 0


def _show(found: "Copies") -> None:
    from telltime.datasets.scan import printable
    from telltime.search.scoring import clock, span_text

    for number, group in enumerate(found.groups, 1):
        print(f"group {number}: {count(len(group.paths), 'video')}")
        for path, seconds in zip(group.paths, group.seconds, strict=True):
            print(f"  {clock(seconds):>8}  {printable(path)}")
        names = {path: place for place, path in enumerate(group.paths, 1)}
        for pair in group.pairs[:10]:
            spans = ", ".join(span_text(span) for span in pair.spans[:3]) or "alike as a whole"
            print(f"      {names[pair.first]} and {names[pair.second]}: {pair.score:.3f}, {spans}")
        if len(group.pairs) > 10:
            print(f"      and {len(group.pairs) - 10} more pairs; --json has all")
    total = sum(len(group.paths) for group in found.groups)
    print(
        f"{count(len(found.groups), 'group')} of copies, {count(total, 'video')} of {found.videos:,}; pairs from score "
        f"{found.threshold:.3f} on,\nexpected false-positive rate at most {found.rate:.1e} a pair "
        f"({found.expected:.2g} pairs of this collection)"
    )


def _rate(text: str) -> float:
    value = float(text)
    if not 0 < value <= 0.1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and at most 0.1")
    return value
