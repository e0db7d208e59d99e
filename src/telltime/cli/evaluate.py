"""``telltime evaluate``: score a model by the field's protocols."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli import _action, _dense, _scenes, _time, _video_retrieval
from telltime.cli._reading import SETS, add_reading, bar, reading, share, whole_number

if TYPE_CHECKING:
    from telltime.datasets.record import Table
    from telltime.tasks.result import Result

SUMMARY = "score a model by linear probe, fine-tuning, neighbours, retrieval, time, scenes, segmentation and others"

TASKS = (
    "linear",
    "finetune",
    "neighbours",
    "temporal-distinctness",
    "video-retrieval",
    *_time.TASKS,
    "scenes",
    *_action.TASKS,
    *_dense.TASKS,
)

EXAMPLES = f"""\
tasks:
  linear                 a linear classifier on fixed features; --protocol paper trains it as TCLR published it
  finetune               the whole network on the labels, by SEVERE's recipe
  neighbours             recall of test videos among train videos, nine positions, cosine
  temporal-distinctness  are the quarters of an unseen video told apart? chance is 0.25; needs no labels
  video-retrieval        are related videos (copies, same scene, same incident) found? --data fivr-5k, fivr-200k,
                         cc-web, evve, vcdb, or retrieval for a set of your own; ROOT holds the videos, or a store or
                         HDF5 file of their frame descriptors; MODEL describes frames, or is "features": rows as kept
  time-of-day            how well are photos' times told? all photos but those that MODEL was trained on; --data photos
                         (any folder, or --annotation FILE) or toc
  time-retrieval         are the photos nearest to one taken at its time? MODEL tells the time, or is an image tower
  scenes                 scenes of videos (--data yup, hollywood2, 360x, ucf101) from four frames; MODEL is a clock or
                         an image tower; --mode published trains as TICL's program does
{_action.HELP}\
  clustering             do clusters of a frame's places fit its masks? per frame, clip or data set, matched one to one
  overclustering         the same with many clusters of the whole data set, each given the label it overlaps best
  linear-segmentation    masks by a linear classifier of fixed features; --preset leopart learns from random crops
  foreground             objects cut out by clusters where MODEL, a transformer, attends (CBFE); --preset corrected
                         uses no label and scores borders of the foreground
  dense-retrieval        masks told by the nearest of remembered places of the training split
  propagation            are masks of a first frame carried through the video? J and F as DAVIS scores them; --preset
                         dino is the published protocol, fine (of efficientnet-lite0 by default) has smaller places
                         (dense tasks: --data davis, voc, masked ... has masks; MODEL gives grids of features)

examples:
  telltime evaluate neighbours runs/mine --data ucf101 --root data/ucf101 --fold 1 --out results/neighbours
  telltime evaluate linear model_best_e247_loss_9.7173.pth --data ucf101 --root data/ucf101 --out results/linear
  telltime evaluate linear runs/mine --data hmdb51 --root data/hmdb51 --protocol paper --out results/paper
  telltime evaluate finetune runs/mine --data folder --root MY_VIDEOS --fraction 0.1 --epochs 4 --out results/tenth
  telltime evaluate temporal-distinctness tclr-small --data folder --root MY_VIDEOS --out results/random
  telltime evaluate video-retrieval efficientnet-lite0 --data retrieval --annotation my.json --root MY_VIDEOS --out r
  telltime evaluate video-retrieval runs/tca --data fivr-5k --annotation fivr.pickle --root fivr.hdf5 --out r/fivr
  telltime evaluate time-of-day runs/clock --data photos --root MY_PHOTOS --out results/clock
  telltime evaluate time-retrieval runs/clock --data toc --root data/toc --asking leave-one-out --out results/found
  telltime evaluate scenes runs/clock --data yup --root data/yup --out results/scenes
{_action.EXAMPLES}\
  telltime evaluate clustering runs/timet --data davis --root data/DAVIS --per clip --out results/clips
  telltime evaluate overclustering efficientnet-lite0 --data voc --root data/voc --preset leopart --out results/voc
  telltime evaluate dense-retrieval runs/timet --data voc --root data/voc --memory 1024000 --out results/places
  telltime evaluate propagation efficientnet-lite0 --data davis --root data/DAVIS --write-masks --out results/vos

DIR gets result.json, report.html and dropped.jsonl, of retrieval queries.json, of time-of-day photos.json, of
propagation objects.json, of action predictions.json and scores.safetensors, of time-sensitivity time_sensitivity.json
too; features are kept in DIR/features unless --cache names a folder.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``evaluate TASK MODEL --data NAME --root DIR --out DIR``."""
    parser.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="run or model folder, published checkpoint, timm name, hf-hub:OWNER/NAME or recipe (random)",
    )
    data = parser.add_argument_group("data", "a run folder's own recipe gives the defaults")
    data.add_argument(
        "--data",
        metavar="NAME",
        help=f"{SETS}; or a retrieval set",
    )
    data.add_argument("--root", type=Path, metavar="DIR", help="folder of the data set")
    data.add_argument("--fold", type=whole_number(1), metavar="N", help="which published split (default 1)")
    data.add_argument("--annotation", type=Path, metavar="FILE", help="split lists that lie elsewhere")
    data.add_argument("--fraction", type=share, metavar="SHARE", help="train on this share of every class")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for results, made if needed")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder of computed features (default OUT/features)")
    parser.add_argument("--protocol", choices=("frozen", "paper"), help="of linear (default frozen)")
    parser.add_argument(
        "--epochs",
        type=whole_number(1),
        metavar="N",
        help="of finetune, linear-segmentation, or linear's paper protocol",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of everything drawn (default 0)")
    _video_retrieval.add_arguments(parser)
    _time.add_arguments(parser)
    _scenes.add_arguments(parser)
    _action.add_arguments(parser)
    _dense.add_arguments(parser)
    add_reading(parser)
    parser.add_argument("--json", action="store_true", help="print result.json instead of a table")
    parser.set_defaults(usage_error=parser.error)


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the results and show them; 0 when done."""
    _check(args)
    result = _result(args)
    if result is None:
        return 0
    written = result.write(args.out)

    from telltime.report.evaluation import write_report

    page = write_report(result, args.out)
    if args.json:
        print(json.dumps(result.to_json(), indent=2))
    else:
        _show(result, written, page)
    return 0


def _result(args: argparse.Namespace) -> "Result | None":
    if args.task == "video-retrieval":
        return _video_retrieval.measure(args)
    if args.task in _time.TASKS:
        return _time.measure(args, *_data(args))
    if args.task == "scenes":
        return _scenes.measure(args)
    if args.task in _action.TASKS:
        return _action.measure(args, *_data(args))
    if args.task in _dense.TASKS:
        return _dense.measure(args, *_data(args))
    return _on_tables(args)


def _on_tables(args: argparse.Namespace) -> "Result":
    """The result of a task on the splits of a data set."""
    name, root, fold, annotation = _data(args)
    from telltime.checkpoints.resolve import resolve
    from telltime.datasets import load

    splits = ["test"] if args.task == "temporal-distinctness" else ["train", "test"]
    tables = [load(name, root, split, fold, annotation) for split in splits]
    resolve(args.model)

    from telltime.checkpoints.model import load as load_model

    model = load_model(args.model)
    args.out.mkdir(parents=True, exist_ok=True)
    with bar(args.json) as told:
        how = reading(args, args.out / "dropped.jsonl", args.cache or args.out / "features", told)
        return _measure(args, model, tables, how)


def _check(args: argparse.Namespace) -> None:
    """Options that do not go with the task are an error of the command line."""
    task, paper = args.task, args.protocol == "paper"
    if args.protocol and task != "linear":
        args.usage_error(f"--protocol goes with linear, not with {task}")
    if args.epochs and not (task in ("finetune", "linear-segmentation") or paper or args.mode == "published"):
        args.usage_error(
            "--epochs goes with finetune, linear-segmentation, linear --protocol paper and scenes --mode published, "
            f"not with {task}"
        )
    if args.fraction and task == "temporal-distinctness":
        args.usage_error("--fraction goes with tasks that train on labels, not with temporal-distinctness")
    _video_retrieval.check(args)
    _time.check(args)
    _scenes.check(args)
    _action.check(args)
    _dense.check(args)
    if args.out.exists() and not args.out.is_dir():
        args.usage_error(f"--out {args.out} is a file")


def _data(args: argparse.Namespace) -> tuple[str, Path, int, Path | None]:
    """Name, root, fold and annotation: as given, else as the run's recipe says."""
    defaults: dict[str, Any] = {}
    recipe = Path(args.model) / "recipe.yaml"
    if recipe.is_file():
        import yaml

        read = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        defaults = (read.get("data") if isinstance(read, dict) else None) or {}
    if args.data and args.data != defaults.get("name"):
        defaults = {}
    name, root = args.data or defaults.get("name"), args.root or defaults.get("root")
    if not name or not root:
        args.usage_error(f"{'--root DIR' if name else '--data NAME and --root DIR'} must say what to measure on")
    assert root is not None
    moved = args.root is not None and str(args.root) != str(defaults.get("root"))
    annotation = args.annotation or (None if moved else defaults.get("annotation"))
    fold = args.fold or defaults.get("fold") or 1
    return str(name), Path(root), int(fold), Path(annotation) if annotation else None


def _measure(args: argparse.Namespace, model: Any, tables: "list[Table]", how: Any) -> "Result":
    if args.task == "temporal-distinctness":
        from telltime.tasks.temporal_distinctness import temporal_distinctness

        return temporal_distinctness(model, tables[0], how, seed=args.seed, name=args.model)
    train, test = tables
    if args.fraction:
        from telltime.tasks.fraction import take_fraction

        train = take_fraction(train, args.fraction, args.seed)
    if args.task == "neighbours":
        from telltime.tasks.neighbours import neighbours

        return neighbours(model, train, test, how, seed=args.seed, name=args.model)
    chosen = {"epochs": args.epochs} if args.epochs else {}
    if args.task == "finetune":
        from telltime.tasks.finetune import finetune

        return finetune(model, train, test, how, seed=args.seed, out=args.out, name=args.model, **chosen)
    if args.protocol == "paper":
        from telltime.tasks.linear_paper import linear_paper

        return linear_paper(model, train, test, how, seed=args.seed, out=args.out, name=args.model, **chosen)
    from telltime.tasks.linear import linear

    return linear(model, train, test, how, name=args.model)


def _show(result: "Result", written: Path, page: Path) -> None:
    import sys

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table as Grid

    thing = str(result.details.get("things", "video"))
    things = f"{thing}s"
    console = Console(soft_wrap=not sys.stdout.isatty())
    grid = Grid(title=escape(f"{result.task} ({result.protocol}): {result.model['name']} on {result.data['name']}"))
    grid.add_column("metric")
    grid.add_column("value", justify="right")
    chance = result.details.get("chance", {})
    if chance:
        grid.add_column("chance", justify="right")
    for name, value in result.metrics.items():
        guess = [f"{chance[name]:.4f}" if name in chance else ""] if chance else []
        grid.add_row(name, f"{value:.4f}", *guess)
    console.print(grid)
    for note in result.details.get("notes", ()):
        console.print(escape(note), style="yellow" if note.startswith("Only") else "dim")
    if result.dropped:
        what = thing if result.dropped == 1 else things
        console.print(f"{result.dropped} {what} left out; {written.parent / 'dropped.jsonl'} names each", style="red")
    console.print(f"{result.records} {things} in {result.seconds:.1f} s; {written} and {page}")
