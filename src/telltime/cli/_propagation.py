"""``telltime evaluate propagation``: what is its own."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from telltime.cli._reading import whole_number

if TYPE_CHECKING:
    from telltime.cli._dense import Asked
    from telltime.tasks.result import Result

_KNOBS = ("cell", "first", "last_frames", "radius", "topk", "temperature")


def _propagation(asked: "Asked") -> "Result":
    from telltime.features.propagation import preset, usual_preset
    from telltime.tasks.propagation import propagation

    args = asked.args
    changed = asked.given(*_KNOBS) | ({"side": args.size} if args.size else {})
    try:
        settings = preset(args.preset or usual_preset(asked.encoder), **changed)
    except ValueError as error:
        args.usage_error(str(error))
    said = {"scored": args.scored or "inner", "name": args.model, "out": args.out, "masks": bool(args.write_masks)}
    return propagation(asked.encoder, asked.load(args.split or "test"), settings, asked.how, **said)


MEASURES: "dict[str, Callable[[Asked], Result]]" = {"propagation": _propagation}

TASKS = tuple(MEASURES)

PRESETS = {"propagation": ("dino", "fine")}

OWN = dict.fromkeys((*_KNOBS, "scored", "write_masks"), TASKS)
"""Options of this task alone."""


def add_arguments(own: argparse._ArgumentGroup) -> None:
    """Declare what only this task takes."""
    own.add_argument("--cell", type=whole_number(1), metavar="PX", help="pixels a place of propagation stands for")
    own.add_argument(
        "--first",
        choices=("nearest", "area"),
        help="what a place of the first frame is told: the label at its centre, or how much of it each label has",
    )
    own.add_argument("--last-frames", type=whole_number(0), metavar="N", help="frames asked beside the first (7)")
    own.add_argument("--radius", type=whole_number(0), metavar="N", help="places asked each way (12); 0: all")
    own.add_argument("--topk", type=whole_number(1), metavar="N", help="places whose labels count (5)")
    own.add_argument("--temperature", type=_above_zero, metavar="X", help="divides the cosines of places (0.1)")
    own.add_argument(
        "--scored", choices=("inner", "rest"), help="score annotated frames but the first and last (inner), or last too"
    )
    own.add_argument(
        "--write-masks", action="store_true", default=None, help="write what is predicted to OUT/masks, as DAVIS does"
    )


def _above_zero(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"a number above 0, not {text!r}")
    return value
