"""``telltime photos download``: the photos of a published list, from Flickr."""

import argparse
import json
from pathlib import Path

from telltime.cli._reading import bar, whole_number

SUMMARY = "fetch the photos that a published list names from Flickr, resumable"

EXAMPLES = """\
examples:
  export FLICKR_API_KEY=...
  telltime photos download test_metadata.json --out toc/photos --limit 100
  telltime photos download test_metadata.json --out toc/photos --rate 3500 --workers 8 --size 320

A run that was stopped goes on where it was. DIR/manifest.jsonl has a line for each photo: done, gone, private, failed.
What failed is tried again by the next run; what is gone is not.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``download METADATA.json --out DIR``."""
    parser.add_argument("metadata", type=Path, metavar="METADATA.json", help="a list in the published schema")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the photos, made if needed")
    parser.add_argument("--limit", type=whole_number(1), metavar="N", help="only the first N rows of the list")
    parser.add_argument(
        "--rate", type=whole_number(1), default=3500, metavar="PER_HOUR", help="questions put to Flickr an hour (3500)"
    )
    parser.add_argument("--workers", type=whole_number(1), default=8, metavar="N", help="photos fetched at once (8)")
    parser.add_argument(
        "--size",
        type=whole_number(1),
        default=320,
        metavar="SHORT_SIDE",
        help="fetch the smallest size whose shorter side has so many pixels (320)",
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def run(args: argparse.Namespace) -> int:
    """Fetch what is missing and say what became of it; 1 if some photos failed and another run may get them."""
    from telltime.datasets.flickr import Flickr, FlickrError
    from telltime.datasets.flickr_download import download, listed
    from telltime.datasets.scan import printable

    if args.out.exists() and not args.out.is_dir():
        raise FlickrError(f"{printable(args.out)} is a file; choose a folder for --out")
    names = listed(args.metadata, args.limit)
    flickr = Flickr(per_hour=args.rate, burst=args.workers)
    with bar(args.json) as told:
        counts = download(names, args.out, flickr, args.workers, args.size, told)
    failed = counts.get("failed", 0) + counts.get("damaged", 0)
    if args.json:
        print(json.dumps({"listed": len(names), "out": str(args.out), "counts": counts}, indent=2))
    else:
        print(_told(counts, len(names), args.out))
        if failed:
            print("next     the same command again: it goes on with those that failed")
    return 1 if failed else 0


def _told(counts: dict[str, int], listed: int, out: Path) -> str:
    """The counts, for people."""
    order = ("done", "already there", "gone", "private", "no picture", "no flickr name", "damaged", "failed")
    lines = [f"{listed:,} photos listed"]
    lines += [f"{counts[status]:>9,}  {status}" for status in order if counts.get(status)]
    return "\n".join([*lines, f"written  {out} and its manifest.jsonl"])
