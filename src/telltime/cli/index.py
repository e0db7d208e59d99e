"""``telltime index``: make folders of videos searchable, and keep that up to date."""

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

from telltime.cli._index import add_wait, count
from telltime.cli._reading import bar, share, whole_number

if TYPE_CHECKING:
    from telltime.search.index import Added, Index

SUMMARY = "make folders of videos searchable, and keep that up to date"

EXAMPLES = """\
examples:
  telltime index MY_VIDEOS --index my-index
  telltime index MY_VIDEOS OTHERS/clip.mp4 --index my-index
  telltime index MY_VIDEOS --index other-index --model runs/tca
  telltime index MY_VIDEOS --to s3://bucket/my-index
  telltime index --list --index my-index
  telltime index --remove MY_VIDEOS/old --index my-index

Then: telltime search CLIP --index my-index, telltime copies --index my-index. In Python:
  index = telltime.Index("my-index")
  index.add(["MY_VIDEOS"])

Run again, only what is new, changed or gone costs time: files that are gone from the folders given are taken out of the
index, what lies elsewhere stays. Videos are never written to. At the first run some
frames are edited and described once more: descriptors are whitened by what tells the videos apart and what edits leave.
That is fitted again when the collection has grown fourfold, or with --refit.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``index FOLDER... --index DIR``."""
    parser.add_argument("paths", nargs="*", metavar="FOLDER", help="folders of videos, or videos")
    parser.add_argument("--index", metavar="DIR", help="folder of the index, or a URI such as s3://bucket/name")
    parser.add_argument("--to", metavar="URI", help="keep the tables there; DIR, if given, then only says where")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what the index holds")
    what.add_argument("--remove", action="store_true", help="take the files and folders named out of the index")
    what.add_argument("--refit", action="store_true", help="fit the whitening to the collection as it is now")
    parser.add_argument(
        "--model", metavar="MODEL", help="what describes videos, for a new index (default efficientnet-lite0)"
    )
    parser.add_argument(
        "--bad-media",
        choices=("skip", "raise"),
        default="skip",
        help="leave out files that cannot be read, each with a line in DIR/dropped.jsonl (default), or stop",
    )
    parser.add_argument(
        "--max-dropped", type=share, default=1.0, metavar="SHARE", help="fail if more are left out (default 1: all)"
    )
    parser.add_argument("--workers", type=whole_number(0), default=1, metavar="N", help="threads that decode (1)")
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda; by default a GPU if there is one")
    add_wait(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Index, list or remove; 0 when done."""
    where = args.index or args.to
    if not where:
        args.usage_error("--index DIR must say where the index is")
    if not args.list and not args.paths and not args.refit:
        args.usage_error("name a folder or video to index")
    if args.list and args.paths:
        args.usage_error("--list takes no folder")
    for path in args.paths if not args.remove else ():
        if not os.path.exists(os.path.expanduser(path)):
            from telltime.search.errors import SearchError

            raise SearchError(f"there is no file or folder {path}; what is indexed already goes with --remove")

    from telltime.search.index import Index

    storage = args.to if args.index and args.to else None
    index = Index(where, args.model, wait=args.wait, device=args.device, storage=storage)
    if args.list:
        return _list(index, args.json)
    if args.remove:
        return _remove(index, args)
    return _add(index, args)


def _add(index: "Index", args: argparse.Namespace) -> int:
    with bar(args.json) as told:
        done = index.add(
            args.paths,
            bad_media=args.bad_media,
            max_dropped=args.max_dropped,
            workers=args.workers,
            refit=args.refit,
            progress=told,
        )
    if args.json:
        print(json.dumps({"index": index.where} | done.to_json(), indent=2))
    else:
        _say(done, index)
    return int(done.dropped > 0 and done.new + done.changed + done.moved + done.same == 0)


def _say(done: "Added", index: "Index") -> None:
    counts = {
        "new": done.new,
        "changed": done.changed,
        "moved or doubled": done.moved,
        "removed": done.removed,
        "as before": done.same,
    }
    parts = [f"{number:,} {word}" for word, number in counts.items() if number]
    print(f"{', '.join(parts) or 'nothing new'} in {done.seconds:.1f} s")
    if done.dropped:
        print(f"{count(done.dropped, 'file')} left out that cannot be read; named in {index.dropped_log}")
    if done.refitted:
        print("whitening fitted to the collection")
    print(f"{index.where} holds {count(done.videos, 'video')}, {count(done.frames, 'frame')}")
    if done.videos:
        print(f"search it with: telltime search VIDEO --index {index.where}")


def _list(index: "Index", as_json: bool) -> int:
    from telltime.search.scoring import clock

    videos, about = index.list(), index.about
    if as_json:
        held: dict[str, Any] = {
            "index": index.where,
            "model": about.model,
            "digest": about.digest,
            "sampler": about.sampler,
            "whitened": about.whitening is not None,
            "videos": [
                {"path": video.path, "seconds": round(video.seconds, 2), "frames": video.frames} for video in videos
            ],
        }
        print(json.dumps(held, indent=2))
        return 0
    for video in videos:
        print(f"{clock(video.seconds):>8}  {_printable(video.path)}")
    frames = sum(video.frames for video in videos)
    print(f"{count(len(videos), 'video')}, {count(frames, 'frame')}, described by {about.model}")
    return 0


def _remove(index: "Index", args: argparse.Namespace) -> int:
    gone = index.remove(args.paths)
    if args.json:
        print(json.dumps({"index": index.where, "removed": gone}))
    else:
        print(f"{count(gone, 'video')} taken out of {index.where}; the files are still where they were")
    return 0


def _printable(path: str) -> str:
    from telltime.datasets.scan import printable

    return printable(path)
