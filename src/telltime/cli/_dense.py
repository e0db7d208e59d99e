"""``telltime evaluate`` by dense protocols: what they share, and which function measures which."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli import _probes, _propagation
from telltime.cli._reading import bar, reading, whole_number

if TYPE_CHECKING:
    from telltime.backbones.dense import DenseEncoder
    from telltime.datasets.record import Table
    from telltime.tasks.measuring import Reading
    from telltime.tasks.result import Result


@dataclass(frozen=True)
class Asked:
    """What a measure is given.

    Attributes:
        args: the command line.
        encoder: on its device.
        how: how media are read, where drops are noted, who is told of progress.
        load: a split of the data set by name.
    """

    args: argparse.Namespace
    encoder: "DenseEncoder"
    how: "Reading"
    load: "Callable[[str], Table]"

    def given(self, *options: str) -> dict[str, Any]:
        """Those of ``options`` that the command line names."""
        return {name: getattr(self.args, name) for name in options if getattr(self.args, name) is not None}


def _clustering(asked: Asked) -> "Result":
    from telltime.tasks.clustering import clustering, settings_of

    options = ("size", "masks", "per", "k", "matching", "frames", "points", "seeds")
    task, preset = asked.args.task, asked.args.preset or PRESETS[asked.args.task][0]
    settings = settings_of(task, preset, **asked.given(*options))
    table = asked.load(asked.args.split or "test")
    said = {"task": task, "preset": preset, "name": asked.args.model, "seed": asked.args.seed}
    return clustering(asked.encoder, table, settings, asked.how, **said)


MEASURES: dict[str, Callable[[Asked], "Result"]] = {
    "clustering": _clustering,
    "overclustering": _clustering,
    **_probes.MEASURES,
    **_propagation.MEASURES,
}
"""What measures which task; it imports what it needs when it is called."""

TASKS = tuple(MEASURES)

_CLUSTERS = ("clustering", "overclustering")
PRESETS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(_CLUSTERS, ("paper", "leopart", "published")),
    **_probes.PRESETS,
    **_propagation.PRESETS,
}
"""Names that ``--preset`` takes, by task; the first is what is taken without one."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "preset": TASKS,
    "size": TASKS,
    "position": TASKS,
    "which": TASKS,
    "split": TASKS,
    "masks": (*_CLUSTERS, *_probes.SHARED["masks"]),
    "per": _CLUSTERS,
    "k": (*_CLUSTERS, *_probes.SHARED["k"]),
    "matching": _CLUSTERS,
    "frames": (*_CLUSTERS, *_probes.SHARED["frames"]),
    "points": (*_CLUSTERS, *_probes.SHARED["points"]),
    "seeds": _CLUSTERS,
    **_probes.OWN,
    **_propagation.OWN,
}
"""Which tasks each option goes with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only these tasks take."""
    own = parser.add_argument_group(
        "of dense tasks", "their data have masks: davis, youtube-vos, voc, masked and others"
    )
    own.add_argument("--preset", metavar="NAME", help="settings by name: paper (default), leopart and others, by task")
    own.add_argument("--size", type=whole_number(1), metavar="PX", help="side of the frames that are encoded")
    own.add_argument(
        "--position", choices=("published", "size"), help="how a transformer's positions are brought to other grids"
    )
    own.add_argument("--which", choices=("student", "teacher"), help="network of a checkpoint that holds both")
    own.add_argument("--split", metavar="NAME", help="split of the data to measure on (default test)")
    own.add_argument("--masks", type=whole_number(1), metavar="PX", help="side of the masks that are scored")
    own.add_argument("--per", choices=("frame", "clip", "dataset"), help="what is clustered together")
    own.add_argument("--k", type=whole_number(1), metavar="K", help="clusters (default: as many as there are labels)")
    own.add_argument("--matching", choices=("hungarian", "precision", "iou"), help="how clusters get their labels")
    own.add_argument("--frames", type=whole_number(0), metavar="N", help="annotated frames of a video; 0: all")
    own.add_argument(
        "--points", type=whole_number(1), metavar="N", help="places per cluster that k-means learns from (faiss: 256)"
    )
    own.add_argument("--seeds", type=whole_number(1), metavar="N", help="runs of k-means whose scores are averaged")
    _probes.add_arguments(own)
    _propagation.add_arguments(own)


def check(args: argparse.Namespace) -> None:
    """Options that do not go together are an error of the command line."""
    for option, tasks in OPTIONS.items():
        if args.task not in tasks and getattr(args, option) is not None:
            listed = ", ".join(tasks) if tasks is not TASKS else "dense tasks"
            args.usage_error(f"--{option.replace('_', '-')} goes with {listed}, not with {args.task}")
    if args.preset is not None and args.preset not in PRESETS.get(args.task, ()):
        known = ", ".join(PRESETS.get(args.task, ()))
        args.usage_error(f"--preset of {args.task} is one of {known}, not {args.preset}")
    if args.task in TASKS and args.fraction:
        args.usage_error(f"--fraction goes with tasks that train on labels of whole videos, not with {args.task}")


def measure(args: argparse.Namespace, name: str, root: Path, fold: int, annotation: Path | None) -> "Result":
    """Evaluate by the task's own function in :data:`MEASURES`."""
    from telltime.checkpoints.dense import find_dense
    from telltime.datasets import load, module

    module(name)
    find_dense(args.model)
    loaded: dict[str, Table] = {}

    def split(part: str) -> "Table":
        if part not in loaded:
            loaded[part] = load(name, root, part, fold, annotation)
        return loaded[part]

    split(args.split or "test")

    from telltime.checkpoints.dense import load_dense

    encoder = load_dense(args.model, which=args.which)
    if args.position:
        encoder.position = args.position
    args.out.mkdir(parents=True, exist_ok=True)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", args.cache, told)
        return MEASURES[args.task](Asked(args, encoder.to(how.place()), how, split))
