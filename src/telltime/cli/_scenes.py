"""``telltime evaluate scenes``: what is its own among the evaluations."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import bar, reading

if TYPE_CHECKING:
    from telltime.datasets.record import Table
    from telltime.tasks.result import Result
    from telltime.tasks.scenes import SceneModel

SETS = ("yup", "hollywood2", "360x", "ucf101")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only this task takes."""
    own = parser.add_argument_group("of scenes")
    own.add_argument("--mode", choices=("frozen", "published"), help="fixed features (default), or as published")
    own.add_argument(
        "--video-features",
        metavar="FILE",
        help="features of whole videos beside the frames': a store, an HDF5 file, or a VideoMAE by folder or hub id",
    )


def check(args: argparse.Namespace) -> None:
    """Options that do not go together are an error of the command line."""
    if args.task != "scenes":
        for option in ("mode", "video_features"):
            if getattr(args, option):
                args.usage_error(f"--{option.replace('_', '-')} goes with scenes, not with {args.task}")
        return
    if args.fraction:
        args.usage_error("--fraction does not go with scenes, which has its own splits")
    if args.data not in SETS:
        args.usage_error(f"--data of scenes is one of {', '.join(SETS)}, not {args.data}")
    if not args.root:
        args.usage_error("--root DIR must name the videos")


def measure(args: argparse.Namespace) -> "Result":
    """Evaluate by :func:`telltime.tasks.scenes.scenes`."""
    splits = _splits(args)
    model = scene_model(args.model)
    from telltime.tasks.scenes import scenes

    args.out.mkdir(parents=True, exist_ok=True)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", args.cache or args.out / "features", told)
        return scenes(
            model,
            splits,
            how,
            mode=args.mode or "frozen",
            video_features=_video_features(args.video_features, splits, how) if args.video_features else None,
            epochs=args.epochs,
            seed=args.seed,
        )


def _splits(args: argparse.Namespace) -> "dict[str, Table]":
    """Train and test, and the validation split where the data set has one."""
    from telltime.datasets import DatasetError, load, module

    given = (args.root, args.fold or 1, args.annotation)
    splits = {part: load(args.data, given[0], part, *given[1:]) for part in ("train", "test")}
    try:
        found = module(args.data).load(given[0], "val", *given[1:])
    except DatasetError:  # what could be wrong with its files was said by the others
        return splits
    return splits | ({"val": found} if len(found) else {})


def scene_model(model: str) -> "SceneModel":
    """A clock with its adapter, or an image tower."""
    from telltime.checkpoints.tower import find_tower

    kind = find_tower(model).kind
    from telltime.checkpoints.build import digest_of
    from telltime.checkpoints.clock import load_clock
    from telltime.checkpoints.tower import load_tower
    from telltime.tasks.scenes import SceneModel

    if kind in ("timm", "clip"):
        tower = load_tower(model)
        return SceneModel(tower, None, 0, _described(model, digest_of(tower), tower))
    clock = load_clock(model)
    hidden = int(getattr(getattr(clock.head, "image_encoder", None), "hidden", 0))
    described = _described(model, clock.digest(), clock.tower)
    return SceneModel(clock.tower, clock.embed if hidden else None, hidden, described)


def _described(name: str, digest: str, tower: Any) -> dict[str, Any]:
    return {"name": name, "digest": digest, "tower": tower.name, "profile": tower.profile}


def _video_features(given: str, splits: "dict[str, Table]", how: Any) -> dict[str, Any]:
    from telltime.features.frame_source import holds_rows
    from telltime.features.video_features import VideoMAE, compute_video_features, read_video_features

    found: dict[str, Any] = {}
    if holds_rows(Path(given)):
        for table in splits.values():
            found |= read_video_features(given, [record.id for record in table.records])
        return found
    network = VideoMAE(given).to(how.place())
    for table in splits.values():
        found |= compute_video_features(network, table, how.cache, how.policy, how.limits)
    return found
