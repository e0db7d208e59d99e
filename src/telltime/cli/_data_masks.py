"""``telltime data generate-masks``, ``generate-voc`` and ``convert-visor``: footage with a label for every pixel."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any


def add_masks(verbs: Any, epilog: str) -> None:
    """Declare ``generate-masks``, ``generate-voc`` and ``convert-visor``."""
    footage = verbs.add_parser(
        "generate-masks",
        help="draw footage with a label for every pixel, laid out like DAVIS",
        description="Draw objects that cover each other, leave and come in over a panning ground, with index masks.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(footage)
    footage.add_argument("--sequences", type=int, default=12, metavar="N", help="how many (default: 12)")
    footage.add_argument("--frames", type=int, default=24, metavar="N", help="length of each (default: 24)")
    footage.add_argument("--objects", type=int, default=3, metavar="N", help="seen in the first frame (default: 3)")
    footage.add_argument("--newcomers", type=int, default=1, metavar="N", help="that come in later (default: 1)")
    footage.add_argument("--classes", type=int, default=12, metavar="N", help="looks, 1 to 12 (default: 12)")
    pictures = verbs.add_parser(
        "generate-voc",
        help="draw pictures with a class for every pixel, laid out like Pascal VOC",
        description="Draw objects on grounds; a pixel's label is its object's look. One set of masks has void edges.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(pictures)
    pictures.add_argument("--pictures", type=int, default=60, metavar="N", help="how many (default: 60)")
    pictures.add_argument("--objects", type=int, default=3, metavar="N", help="at most, in a picture (default: 3)")
    pictures.add_argument("--classes", type=int, default=6, metavar="N", help="looks, 1 to 12 (default: 6)")

    visor = verbs.add_parser(
        "convert-visor",
        help="VISOR's official files into DAVIS's layout; what is read stays as it is",
        description="Draw VISOR's polygons as index masks beside its frames. May be run again: goes on where it was.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    visor.add_argument("source", type=Path, metavar="DIR", help="folder of annotations and frames, zipped or not")
    visor.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to; nothing else is written to")
    visor.add_argument("--json", action="store_true", help="print what was done as JSON")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder")
    parser.add_argument("--size", type=int, nargs=2, default=(120, 160), metavar=("H", "W"), help="(default: 120 160)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything (default: 0)")


def generate_masks(args: argparse.Namespace) -> int:
    """Draw footage and say what is there."""
    from telltime.datasets.generated_masks import generate_masked

    given = {name: getattr(args, name) for name in ("sequences", "frames", "objects", "newcomers", "classes", "seed")}
    out = _drawn(lambda: generate_masked(args.out, size=tuple(args.size), **given))
    print(f"{out}: {args.sequences} sequences of {args.frames} frames, each with its mask")
    print(f"next:  telltime evaluate clustering efficientnet-lite0 --data davis --root {out} --out OUT")
    return 0


def generate_voc(args: argparse.Namespace) -> int:
    """Draw pictures and say what is there."""
    from telltime.datasets import generated_masks

    given = {name: getattr(args, name) for name in ("pictures", "objects", "classes", "seed")}
    out = _drawn(lambda: generated_masks.generate_voc(args.out, size=tuple(args.size), **given))
    print(f"{out}: {args.pictures} pictures, each with its mask, of {args.classes} classes")
    print(f"next:  telltime evaluate clustering efficientnet-lite0 --data voc --root {out} --out OUT")
    return 0


def convert_visor(args: argparse.Namespace) -> int:
    """Convert; 1 when frames are missing."""
    from telltime.datasets import visor_convert

    done = visor_convert.convert_visor(args.source, args.out)
    if args.json:
        print(json.dumps(asdict(done), indent=2))
        return int(bool(done.missing))
    counts = ", ".join(f"{count} {split}" for split, count in sorted(done.sequences.items())) or "no"
    print(f"{args.out}: {counts} sequences; {done.written} frames written, {done.kept} were there")
    if done.missing:
        print(f"problem: {len(done.missing)} annotated frames are not there, e.g. {done.missing[0]}")
    print(f"next:  telltime data check visor --root {args.out}")
    return int(bool(done.missing))


def _drawn(draw: Any) -> Path:
    from telltime.datasets.record import DatasetError

    try:
        return Path(draw())
    except ValueError as error:
        raise DatasetError(str(error)) from error
