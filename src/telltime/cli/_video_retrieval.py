"""``telltime evaluate video-retrieval``: what is its own among the evaluations."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import bar, reading

if TYPE_CHECKING:
    from telltime.tasks.result import Result

SETS = ("fivr-5k", "fivr-200k", "cc-web", "evve", "vcdb", "retrieval")
SIMILARITIES = ("symmetric-chamfer", "chamfer", "cosine", "euclidean", "cosine-legacy", "euclidean-legacy")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what only this task takes."""
    own = parser.add_argument_group("of video-retrieval")
    own.add_argument(
        "--similarity", choices=SIMILARITIES, help="how two videos are compared (default symmetric-chamfer, of frames)"
    )
    own.add_argument("--comparator", type=Path, metavar="FILE", help="published weights of ViSiL's comparator")


def check(args: argparse.Namespace) -> None:
    """Options that do not go together are an error of the command line."""
    if args.task != "video-retrieval":
        for option in ("similarity", "comparator"):
            if getattr(args, option):
                args.usage_error(f"--{option} goes with video-retrieval, not with {args.task}")
        return
    if args.fraction:
        args.usage_error("--fraction goes with tasks that train on labels, not with video-retrieval")
    if args.data not in SETS:
        args.usage_error(f"--data of video-retrieval is one of {', '.join(SETS)}, not {args.data}")
    if not args.root:
        args.usage_error("--root DIR must name the videos, or the store or HDF5 file of their descriptors")
    if args.data == "retrieval" and not args.annotation:
        args.usage_error("--data retrieval needs --annotation FILE, in the schema of telltime.datasets.retrieval")
    if args.comparator and args.similarity not in (None, "chamfer", "symmetric-chamfer"):
        args.usage_error(f"--comparator goes with chamfer and symmetric-chamfer, not with {args.similarity}")


def measure(args: argparse.Namespace) -> "Result":
    """Evaluate; ``queries.json`` is written beside what all tasks write."""
    from telltime.datasets.retrieval_sets import load_set
    from telltime.media.files import whole

    given = load_set(args.data, args.annotation, args.root)
    describer = _describer(args.model)
    from telltime.tasks.video_retrieval import video_retrieval

    comparator = _comparator(args.comparator) if args.comparator else None
    args.out.mkdir(parents=True, exist_ok=True)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", args.cache or args.out / "features", told)
        result = video_retrieval(
            describer,
            given,
            args.root,
            how,
            similarity=args.similarity or "symmetric-chamfer",
            comparator=comparator,
            name=args.model,
            seed=args.seed,
        )
    with whole(args.out / "queries.json") as beside:
        found = {"queries": result.details["per_query"], "without_descriptors": result.details["lost_queries"]}
        beside.write_text(json.dumps(found, indent=1) + "\n")
    return result


def _describer(model: str) -> Any:
    """The model; ``None`` for ``features``, which takes descriptors as they are."""
    if model == "features":
        return None
    from telltime.checkpoints.describer import load_describer

    return load_describer(model)


def _comparator(path: Path) -> Any:
    """ViSiL's comparator with published weights, whatever their keys begin with."""
    from telltime.backbones.comparator import VideoComparator
    from telltime.checkpoints.errors import CheckpointError
    from telltime.checkpoints.unpickle import load_published

    made = VideoComparator()
    wanted = made.state_dict()
    content = load_published(path)
    content = next((content[key] for key in ("model", "state_dict") if isinstance(content.get(key), dict)), content)
    found = {key: [v for name, v in content.items() if name == key or name.endswith(f".{key}")] for key in wanted}
    wrong = [key for key, values in found.items() if not values or values[0].shape != wanted[key].shape]
    if wrong:
        raise CheckpointError(f"{path} holds no comparator: {wrong[0]} is missing or of another shape")
    made.load_state_dict({key: values[0] for key, values in found.items()})
    return made.eval()
