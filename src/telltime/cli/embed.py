"""``telltime embed``: features of all videos or photos of a folder or data set, kept in a store."""

import argparse
import json
from pathlib import Path

from telltime.cli import _embed_photos
from telltime.cli._reading import SETS, add_reading, bar, reading, whole_number

SUMMARY = "compute the features of all videos or photos of a folder or data set"

EXAMPLES = """\
examples:
  telltime embed runs/mine MY_VIDEOS --out features
  telltime embed rpd18kin400.pth data/ucf101 --data ucf101 --split test --out features/ucf101-test
  telltime embed efficientnet-lite0 MY_PHOTOS --out features/photos
  telltime embed clip-vit-large-patch14 data/toc --data toc --profile reference --out features/toc --hdf5 toc.h5

A folder of pictures without a video is taken for photos where MODEL looks at photos: efficientnet-lite0,
clip-vit-large-patch14, a timm name, a model that tells the time. --data says what it is otherwise.

Interrupted or given new files, the same command goes on where it was. In Python:
  from telltime.features.store import Store
  store = Store.open("features")
  store.ids                              # paths below SOURCE
  store.read("slices", store.ids)        # of videos: float32 [videos, positions, channels, time]
  store.read("feature", store.ids)       # of photos: float32 [photos, numbers]
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``embed MODEL SOURCE --out STORE``."""
    parser.add_argument(
        "model", metavar="MODEL", help="run or model folder, published checkpoint, timm name or hf-hub:OWNER/NAME"
    )
    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="folder of videos or photos, one of them, or a data set"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="STORE", help="folder of features: new, or to go on")
    parser.add_argument("--positions", type=whole_number(1), metavar="N", help="clips a video (default 9)")
    parser.add_argument("--data", metavar="NAME", help=f"{SETS} (default folder, or photos: see below)")
    parser.add_argument("--split", choices=("train", "test", "all"), default="all", help="which of them (default all)")
    parser.add_argument("--fold", type=whole_number(1), default=1, metavar="N", help="published split (default 1)")
    parser.add_argument("--annotation", type=Path, metavar="FILE", help="split lists that lie elsewhere")
    _embed_photos.add_arguments(parser)
    add_reading(parser)
    parser.set_defaults(batch=None, usage_error=parser.error)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")


def run(args: argparse.Namespace) -> int:
    """Embed and say what is in the store; 0 when done."""
    photos = _embed_photos.wanted(args)
    _embed_photos.check(args, photos)
    if photos:
        return _embed_photos.run(args)
    return _videos(args)


def _videos(args: argparse.Namespace) -> int:
    from telltime.checkpoints.resolve import resolve
    from telltime.datasets import load

    positions = args.positions or 9
    table = load(args.data or "folder", args.source, args.split, args.fold, args.annotation)
    resolve(args.model)

    from telltime.checkpoints.model import load as load_model
    from telltime.features.embed import embed_table, store_settings
    from telltime.features.store import Store

    model = load_model(args.model)
    settings = store_settings(model, model.reader(positions)) | {"source": str(args.source.resolve())}
    store = Store.create(args.out, settings)
    before = len(store)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", None, told)
        found = embed_table(
            model,
            table,
            positions,
            policy=how.policy,
            workers=how.workers,
            batch=how.batch or 16,
            device=how.device,
            store=store,
            progress=how.told("features"),
        )
    done = {
        "store": str(args.out),
        "videos": len(found),
        "new": len(store) - before,
        "dropped": len(found.dropped),
        "shape": [positions, *store.read("slices", found.ids[:1]).shape[2:]] if len(found) else [],
        "model": args.model,
        "digest": settings["model"],
    }
    if args.json:
        print(json.dumps(done, indent=2))
        return 0
    print(f"{done['videos']} videos, features {' x '.join(map(str, done['shape']))} (positions, channels, time) each")
    if found.dropped:
        print(f"{done['dropped']} left out; {args.out / 'dropped.jsonl'} names each")
    print(f"read them with telltime.features.store.Store.open({str(args.out)!r})")
    return 0
