"""``telltime data generate-masks`` and ``generate-voc``: footage and pictures with a label for every pixel."""

import argparse
from pathlib import Path
from typing import Any


def add_masks(verbs: Any, epilog: str) -> None:
    """Declare ``generate-masks`` and ``generate-voc``."""
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


def _drawn(draw: Any) -> Path:
    from telltime.datasets.record import DatasetError

    try:
        return Path(draw())
    except ValueError as error:
        raise DatasetError(str(error)) from error
