"""``telltime search``: videos like a given one, and where they match."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from telltime.cli._index import add_index, opened, positive

if TYPE_CHECKING:
    from telltime.search.scoring import Hit

SUMMARY = "find copies of a video, or scenes like it, in an index"

EXAMPLES = """\
modes:
  copies  the same footage: edited, cut, or as a part of something longer (default)
  scenes  videos that are alike as a whole

examples:
  telltime search clip.mp4 --index my-index
  telltime search clip.mp4 --index my-index --top 20 --report hits.html
  telltime search clip.mp4 --index my-index --mode scenes --json

The probability says how sure it is that a hit is no chance resemblance, given how alike unrelated videos of this
collection are. Spans are minutes and seconds, of the query = of the hit. In Python:
  telltime.Index("my-index").search("clip.mp4", top=10)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``search VIDEO --index DIR``."""
    parser.add_argument("video", metavar="VIDEO", help="the video to search for, in the index or not")
    add_index(parser)
    parser.add_argument("--top", type=positive, default=10, metavar="N", help="how many hits (default 10)")
    parser.add_argument("--mode", choices=("copies", "scenes"), default="copies", help="what to look for")
    parser.add_argument("--report", type=Path, metavar="FILE.html", help="write a page with film strips of the hits")
    parser.add_argument("--json", action="store_true", help="print hits as JSON")


def run(args: argparse.Namespace) -> int:
    """Search and show the hits; 0 when done."""
    from telltime.search.pointer import must_exist

    must_exist(args.index)
    index = opened(args)
    hits = index.search(args.video, args.top, args.mode)
    if args.report is not None:
        from telltime.report.hits import write_hits

        write_hits(index, args.video, hits, args.report, args.mode)
    if args.json:
        held = {"query": args.video, "mode": args.mode, "hits": [hit.to_json() for hit in hits]}
        print(json.dumps(held, indent=2))
    else:
        _show(hits)
        if args.report is not None:
            print(f"film strips and matching spans: {args.report}")
    return 0


def _show(hits: "list[Hit]") -> None:
    from telltime.datasets.scan import printable
    from telltime.search.scoring import span_text

    if not hits:
        print("the index holds no video")
        return
    print("score  probability  video")
    for hit in hits:
        print(f"{hit.score:5.3f}  {hit.probability:10.1%}   {printable(hit.path)}")
        for span in hit.spans:
            print(f"{'':21}{span_text(span)}")
