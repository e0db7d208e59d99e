"""``telltime evaluate linear-segmentation``, ``foreground`` and ``dense-retrieval``: what is their own."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from telltime.cli._reading import whole_number

if TYPE_CHECKING:
    from telltime.cli._dense import Asked
    from telltime.tasks.result import Result


def _linear(asked: "Asked") -> "Result":
    from telltime.tasks.linear_segmentation import linear_segmentation, settings_of

    settings = settings_of(asked.args.preset or "paper", **asked.given("size", "masks", "frames", "epochs"))
    splits = asked.load("train"), asked.load(asked.args.split or "test")
    return linear_segmentation(asked.encoder, *splits, settings, asked.how, name=asked.args.model, seed=asked.args.seed)


def _foreground(asked: "Asked") -> "Result":
    from telltime.tasks.foreground import foreground, settings_of

    settings = settings_of(asked.args.preset or "paper", **asked.given("size", "masks", "frames", "k", "points"))
    splits = asked.load("train"), asked.load(asked.args.split or "test")
    return foreground(asked.encoder, *splits, settings, asked.how, name=asked.args.model, seed=asked.args.seed)


def _retrieval(asked: "Asked") -> "Result":
    from telltime.tasks.dense_retrieval import dense_retrieval, settings_of

    options = ("size", "frames", "memory", "neighbours", "rounds")
    settings = settings_of(asked.args.preset or "paper", **asked.given(*options))
    splits = asked.load("train"), asked.load(asked.args.split or "test")
    return dense_retrieval(asked.encoder, *splits, settings, asked.how, name=asked.args.model, seed=asked.args.seed)


MEASURES: "dict[str, Callable[[Asked], Result]]" = {
    "linear-segmentation": _linear,
    "foreground": _foreground,
    "dense-retrieval": _retrieval,
}

TASKS = tuple(MEASURES)

PRESETS = {
    "linear-segmentation": ("paper", "leopart"),
    "foreground": ("paper", "corrected", "leopart"),
    "dense-retrieval": ("paper", "plain"),
}

SHARED = {
    "masks": ("linear-segmentation", "foreground"),
    "k": ("foreground",),
    "frames": TASKS,
    "points": ("foreground",),
}
"""Options that other dense tasks have too, and those of these tasks that take them."""

OWN = {"memory": ("dense-retrieval",), "neighbours": ("dense-retrieval",), "rounds": ("dense-retrieval",)}
"""Options of these tasks alone."""


def add_arguments(own: argparse._ArgumentGroup) -> None:
    """Declare what only these tasks take."""
    own.add_argument(
        "--memory",
        type=whole_number(0),
        metavar="N",
        help="labelled places that dense-retrieval remembers (102400); 0: all",
    )
    own.add_argument("--neighbours", type=whole_number(1), metavar="N", help="places that tell each one (30)")
    own.add_argument(
        "--rounds", type=whole_number(1), metavar="N", help="passes over the training frames, each with other crops (2)"
    )
