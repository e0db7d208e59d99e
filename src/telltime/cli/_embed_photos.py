"""``telltime embed`` on photos."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from telltime.cli._reading import bar, reading

DATA = ("photos", "toc")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only photos take."""
    own = parser.add_argument_group("of photos")
    own.add_argument(
        "--profile",
        choices=("own", "reference", "clip"),
        help="how photos are made ready: as the model was trained (default), as TICL was published, as CLIP",
    )
    own.add_argument("--hdf5", type=Path, metavar="FILE", help="write the published layout too")


def wanted(args: argparse.Namespace) -> bool:
    """Whether SOURCE is photos: said so, or pictures without a video, for a model that looks at photos."""
    if args.data is not None:
        return args.data in DATA
    from telltime.checkpoints.tower import looks_at_photos

    return _for_pictures(args.source) and looks_at_photos(args.model)


def check(args: argparse.Namespace, photos: bool) -> None:
    """Options that do not go with what SOURCE is are an error of the command line."""
    if photos and args.positions is not None:
        args.usage_error("--positions goes with videos, not with photos")
    for option in ("profile", "hdf5"):
        if not photos and getattr(args, option) is not None:
            args.usage_error(f"--{option} goes with photos; say so with --data photos")


def run(args: argparse.Namespace) -> int:
    """Embed and say what is in the store; 0 when done."""
    from telltime.checkpoints.tower import find_tower
    from telltime.datasets import load

    find_tower(args.model)
    table = load(args.data or "photos", args.source, args.split, args.fold, args.annotation)

    from telltime.checkpoints.tower import load_tower
    from telltime.features.photos import embed_photos, photo_features, photo_settings
    from telltime.features.store import Store

    tower = load_tower(args.model, args.profile)
    store = Store.create(args.out, photo_settings(tower))
    before = len(store)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", None, told)
        embed_photos(
            tower,
            table,
            store,
            how.policy,
            how.workers,
            how.told("features"),
            limits=how.limits,
            device=how.device,
            batch=args.batch,
        )
    found = photo_features(store, table)
    done: dict[str, Any] = {
        "store": str(args.out),
        "photos": len(found.table),
        "new": len(store) - before,
        "dropped": len(table) - len(found.table),
        "shape": list(found.features.shape[1:]),
        "model": args.model,
        "profile": tower.profile,
        "digest": store.settings["digest"],
    }
    if args.hdf5:
        from telltime.features.hdf5_photos import export_photos

        left = export_photos(store, found.table, args.hdf5)
        done |= {"hdf5": str(args.hdf5), "without_time": len(left)}
    if args.json:
        print(json.dumps(done, indent=2))
        return 0
    print(f"{done['photos']} photos, {tower.dim} numbers each, of {tower.name} (profile {tower.profile})")
    if done["dropped"]:
        print(f"{done['dropped']} left out; {args.out / 'dropped.jsonl'} names each")
    if args.hdf5:
        print(f"{args.hdf5} holds those whose time is known; {done['without_time']} have none")
    print(f"read them with telltime.features.store.Store.open({str(args.out)!r}).read('feature', ids)")
    return 0


def _for_pictures(source: Path) -> bool:
    """Whether there are pictures and no video at or below ``source``, or nothing at all."""
    from telltime.datasets.scan import VIDEO_SUFFIXES
    from telltime.media.image import SUFFIXES

    pictures = SUFFIXES - VIDEO_SUFFIXES
    if source.is_file():
        return source.suffix.lower() in pictures
    if not source.is_dir():
        return False
    found, other = False, False
    for _, folders, files in os.walk(source):
        folders[:] = [name for name in folders if not name.startswith(".")]
        suffixes = {os.path.splitext(name)[1].lower() for name in files if not name.startswith(".")}
        if suffixes & VIDEO_SUFFIXES:
            return False
        found, other = found or bool(suffixes & pictures), other or bool(suffixes)
    return found or not other
