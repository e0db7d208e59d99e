"""``telltime segment``: masks of what moves in videos, or of what a first mask shows."""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import bar, whole_number

if TYPE_CHECKING:
    from telltime.backbones.dense import DenseEncoder
    from telltime.tasks.segment import Segmented

SUMMARY = "find masks of what moves in videos, or carry a first mask through one"

EXAMPLES = """\
examples:
  telltime segment clip.mp4 --out masks
  telltime segment MY_VIDEOS --model runs/timet --k 6 --every 2 --out masks
  telltime segment DAVIS/JPEGImages/480p/camel --mask first.png --out masks

VIDEO is a file, a folder of frames, or a folder of either. OUT gets NAME.mp4 and NAME.gif with the masks over the
frames, masks/NAME/FRAME.png in the palette of DAVIS, segments.json and report.html. Without --mask no label is used:
what moves otherwise than the camera teaches what the object looks like. --k counts the background: 2 gives one object.
Where masks lie beside a video, as in DAVIS, they are used for nothing but the score. In Python:
  from telltime.tasks.segment import segment
  segment(encoder, Path("clip.mp4"), Path("masks"), k=2)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``segment VIDEO... --out DIR``."""
    parser.add_argument("videos", nargs="+", type=Path, metavar="VIDEO", help="files, frame folders, folders of them")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what comes of it")
    parser.add_argument(
        "--model",
        default="efficientnet-lite0",
        metavar="MODEL",
        help="run of TimeT, saved model, published file, or timm name (default efficientnet-lite0)",
    )
    parser.add_argument("--which", choices=("student", "teacher"), help="network of a checkpoint that holds both")
    parser.add_argument(
        "--k", type=whole_number(2), metavar="K", help="labels, the background among them (default 2, at most 200)"
    )
    parser.add_argument("--mask", type=Path, metavar="PNG", help="labels of the first frame, to be carried on")
    parser.add_argument("--every", type=whole_number(1), default=1, metavar="N", help="take one frame of N (default 1)")
    parser.add_argument(
        "--side", type=whole_number(32), default=480, metavar="PX", help="shorter side frames are seen at (default 480)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda; by default a GPU if there is one")
    parser.add_argument("--json", action="store_true", help="print segments.json instead of sentences")
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Segment, write and tell; 1 where a video could not be read, after the others."""
    from telltime.checkpoints.dense import find_dense

    if args.k is not None and args.mask is not None:
        args.usage_error("--k is how many labels to find; with --mask, the mask says what there is")
    if args.k is not None and args.k > 200:
        args.usage_error(f"--k is at most 200, not {args.k}")
    if args.out.exists() and not args.out.is_dir():
        args.usage_error(f"--out {args.out} is a file")
    paths, bad = _videos(args.videos)
    if args.mask is not None and len(paths) + len(bad) > 1:
        args.usage_error(f"--mask is of one video, {len(paths) + len(bad)} were given")
    for path, reason in bad:
        _complain(path, reason)
    find_dense(args.model)
    found = _segmented(args, paths, bad) if paths else []
    told = {"model": args.model, "k": None if args.mask else args.k or 2, "mask": args.mask and str(args.mask)}
    told |= {"every": args.every, "side": args.side}
    errors = [{"path": str(path), "error": reason} for path, reason in bad]
    videos = [one.to_json() for one in found]
    _finish(args, found, told, {"settings": told, "videos": videos, "errors": errors})
    return 1 if bad else 0


def _segmented(args: argparse.Namespace, paths: list[Path], bad: list[tuple[Path, str]]) -> "list[Segmented]":
    """What can be segmented; the rest is named and added to ``bad``."""
    from telltime.media.errors import MediaError
    from telltime.tasks.segment import segment

    encoder = _encoder(args)
    found: list[Segmented] = []
    names = _names(paths)
    with bar(args.json) as told:
        for path in paths:
            report = None if told is None else partial(told, names[path])
            try:
                one = segment(
                    encoder,
                    path,
                    args.out,
                    k=args.k or 2,
                    every=args.every,
                    side=args.side,
                    mask=args.mask,
                    name=names[path],
                    told=report,
                )
            except MediaError as error:
                _complain(error.path, error.reason)
                bad.append((error.path, error.reason))
                continue
            found.append(one)
            if not args.json:
                print(_sentence(one), flush=True)
    return found


def _encoder(args: argparse.Namespace) -> "DenseEncoder":
    import torch

    from telltime.checkpoints.dense import load_dense

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return load_dense(args.model, which=args.which, device=device)


def _finish(args: argparse.Namespace, found: "list[Segmented]", told: dict[str, Any], content: dict[str, Any]) -> None:
    from telltime.media.files import whole

    with whole(args.out / "segments.json") as beside:
        beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    page = None
    if found:
        from telltime.report.segment import write_segments

        page = write_segments(found, args.out, told)
    if args.json:
        print(json.dumps(content, indent=2))
    elif page is not None:
        print(f"{args.out / 'segments.json'} and {page}")


def _sentence(one: "Segmented") -> str:
    objects = f"{len(one.labels)} object{'s' * (len(one.labels) != 1)}"
    score = f", J {one.scores['J']:.3f} by the masks beside it" if one.scores else ""
    pace = one.seconds / one.frames
    return f"{one.name}: {objects} in {one.frames} frames, {pace:.2f} s a frame{score}; {one.video}"


def _videos(given: list[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Videos among what was given and below its folders, and what is none; masks beside videos are not taken."""
    from telltime.datasets.found_masks import set_apart
    from telltime.datasets.scan import scan

    paths: list[Path] = []
    bad: list[tuple[Path, str]] = []
    for path in given:
        if not path.exists():
            bad.append((path, "no such file or folder"))
        elif not path.is_dir():
            paths.append(path)
        else:
            below = scan(path)
            videos = below.videos if below.videos == (".",) else set_apart(below)[0].videos
            paths += [path / video for video in videos]
            if not videos:
                bad.append((path, "no video and no frames in this folder"))
    return list(dict.fromkeys(paths)), bad


def _names(paths: list[Path]) -> dict[Path, str]:
    """What the files of each video are called: its name, with a number where that came before."""
    names: dict[Path, str] = {}
    for path in paths:
        stem = path.resolve().name if path.is_dir() else path.stem
        name, number = stem, 1
        while name in names.values():
            number += 1
            name = f"{stem}-{number}"
        names[path] = name
    return names


def _complain(path: Path, reason: str) -> None:
    from telltime.datasets.scan import printable

    print(f"telltime: {printable(path)}: {reason}", file=sys.stderr)
