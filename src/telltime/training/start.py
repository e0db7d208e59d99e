"""From a checked recipe and a table of videos to a trained model in a run folder."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml
from torch import Tensor, nn
from torch.optim import Optimizer

from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.clip_spec import SPREAD
from telltime.checkpoints.dense_model import tuned
from telltime.checkpoints.model import ClipSpec, Model
from telltime.clips.loader import ClipLoader
from telltime.clips.policy import BadMedia
from telltime.clips.source import Opened, Source, Terms
from telltime.datasets.record import Table
from telltime.methods.method import Classifies
from telltime.training import devices
from telltime.training.build import Recipe, Resolved
from telltime.training.errors import RecipeError
from telltime.training.keeper import Export
from telltime.training.loop import Validate, fit
from telltime.training.optim import parameter_groups, scale_rates
from telltime.training.progress import Board, Lines, Several, Sink
from telltime.training.recipe import FREE_ON_RESUME, Tree, differences
from telltime.training.run import Run
from telltime.training.settings import Settings, Trained
from telltime.views.time_reader import TimeReader

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Outcome:
    """A training that has ended, how many of the videos it had to do without, and what may be done ``next``."""

    trained: Trained
    videos: int
    missing: int
    dropped: int
    next: str = ""


def train(resolved: Resolved, table: Table, run: Run, sink: Sink, *, board: bool = True) -> Outcome:
    """Train as a recipe says on the records of ``table``, into an entered ``run``.

    Args:
        resolved: the recipe.
        table: what to train on.
        run: keeps the resolved recipe, the states and the model; resumed if it was opened so.
        sink: shown to a person; rows also go to ``metrics.jsonl`` and, with ``board``, to TensorBoard events.

    Raises:
        RecipeError: a resumed run was started with another recipe.
        TrainingError, MediaError, TooManyDropped: as the loop and the loader raise them.
    """
    recipe = resolved.build()
    _tell_classes(recipe, table)
    if run.main:
        _keep_recipe(resolved, run, needs_length=recipe.schedule.needs_length)
    accelerator = devices.start_processes(recipe.device, static_graph=recipe.accumulate == 1)
    policy = BadMedia(mode=recipe.bad_media.mode, log=run.dropped, max_share=recipe.bad_media.max_share)
    if run.main:
        policy.missing(table.missing, table.root)
    meta: dict[str, Any] = {"recipe": resolved.name, "data": table.name}
    if getattr(recipe.method, "classifier", None) is not None:
        meta["labels"] = list(table.classes)
    table, validate = _validation(recipe, table, accelerator)
    opened = _opened(recipe, table, run, policy, accelerator, sink)
    sinks = Several(sink, Lines(run.metrics), *([Board(run.folder)] if board else []))
    try:
        trained = fit(
            recipe.method,
            opened.loader,
            _optimiser(recipe),
            recipe.schedule,
            settings(recipe),
            run,
            accelerator=accelerator,
            export=exporter(recipe.method, meta, opened.save),
            sink=sinks,
            dropped=lambda: policy.dropped,
            validate=validate,
        )
        if trained.ended != "stopped":
            opened.finish()
    finally:
        sinks.close()
    return Outcome(trained, opened.videos, len(table.missing) + opened.missing, policy.dropped, opened.next)


def _tell_classes(recipe: Recipe, table: Table) -> None:
    """Let the method know how many classes there are; what it makes for them depends on the recipe's seed alone."""
    if not isinstance(recipe.method, Classifies):
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        try:
            recipe.method.set_classes(len(table.classes))
        except ValueError as error:
            raise RecipeError(str(error)) from error


def _validation(recipe: Recipe, table: Table, accelerator: "Accelerator") -> tuple[Table, Validate | None]:
    """What is left to train on, and what looks at the method on the rest."""
    validator = recipe.validation
    if validator is None:
        return table, None
    table, held = validator.split(table, recipe.seed)

    def validate(epoch: int) -> dict[str, float]:
        if not validator.due(epoch, recipe.epochs):
            return {}
        return validator(recipe.method, held, recipe.seed, accelerator.device)

    return table, validate


def _optimiser(recipe: Recipe) -> Optimizer:
    try:
        groups = parameter_groups(recipe.method, recipe.decay_norms, recipe.rates)
    except ValueError as error:
        raise RecipeError(str(error)) from error
    return scale_rates(recipe.optimiser(groups))


def _opened(recipe: Recipe, table: Table, run: Run, policy: BadMedia, accelerator: "Accelerator", sink: Sink) -> Opened:
    """The batches to train on: those that the method's source brings, or clips that its reader makes."""
    reader: Any = recipe.method.reader
    rank, world = accelerator.process_index, accelerator.num_processes
    if isinstance(reader, Source):
        together = devices.Together(accelerator, patience=timedelta(days=7))
        annotation = recipe.data.annotation
        return reader.open(
            Terms(
                table,
                run.folder,
                recipe.batch_size,
                recipe.seed,
                recipe.drop_last,
                recipe.workers,
                policy,
                accelerator.device,
                None if annotation is None else Path(annotation),
                rank,
                world,
                together.wait,
                sink.say if accelerator.is_main_process else lambda line: None,
            )
        )
    loader = ClipLoader(
        table.records,
        reader,
        recipe.batch_size,
        recipe.seed,
        workers=recipe.workers,
        policy=policy,
        drop_last=recipe.drop_last,
        rank=rank,
        world=world,
        labels=table.labels(),
        pin_memory=accelerator.device.type == "cuda",
    )
    following = "evaluate clustering RUN --data NAME --root DIR --out OUT" if _of_places(recipe.method) else ""
    return Opened(loader, _saver(recipe.method), len(table.records), next=following)


def settings(recipe: Recipe) -> Settings:
    """The part of a recipe that the loop takes."""
    return Settings(**{name: getattr(recipe, name) for name in Settings.__dataclass_fields__})


def exporter(method: nn.Module, meta: dict[str, Any], save: Callable[..., object] | None = None) -> Export:
    """Writes a model state of ``method`` as a model folder.

    Args:
        meta: where it comes from (JSON values).
        save: writes the method, as a source of data gives it; by default its ``backbone`` and ``head`` are written as
            ``telltime.load`` takes them, and its reader says which clips it was trained on. A method with an encoder of
            places is written as such.
    """
    twin: Any = copy.deepcopy(method)
    save = save or _saver(method)
    meta = {"method": type(method).__name__.lower(), **meta}

    def export(folder: Path, state: dict[str, Tensor]) -> None:
        twin.load_state_dict(state)
        save(folder, twin, meta)

    return export


def _of_places(method: nn.Module) -> bool:
    return isinstance(getattr(method, "encoder", None), DenseEncoder)


def _saver(method: nn.Module) -> Callable[..., object]:
    """What writes such a method: as an encoder of places, or as a model of clips."""
    return _save_encoder if _of_places(method) else partial(_save_clip_model, getattr(method, "reader", None))


def _save_encoder(folder: Path, method: Any, meta: dict[str, Any]) -> None:
    tuned(method, meta).save(folder)


def _save_clip_model(reader: Any, folder: Path, method: Any, meta: dict[str, Any]) -> None:
    """What of a method stays after its training: what it says of clips itself goes before what its reader says."""
    found: dict[str, Any] = {
        name: getattr(reader, name) for name in ("frames", "size", "order") if hasattr(reader, name)
    }
    found |= SPREAD if isinstance(reader, TimeReader) else {}
    clip = ClipSpec(**found, **{name: getattr(method, name) for name in ("mean", "std") if hasattr(method, name)})
    parts = {name: getattr(method, name, None) for name in ("head", "classifier")}
    Model(method.backbone, clip, **parts, meta=meta, reads=getattr(method, "reads", "pooled")).save(folder)


def _keep_recipe(resolved: Resolved, run: Run, needs_length: bool) -> None:
    """Write ``recipe.yaml``; for a resumed run see first that it is the one it was started with."""
    if run.recipe.exists():
        before: Tree = yaml.safe_load(run.recipe.read_text())
        free = FREE_ON_RESUME if needs_length else (*FREE_ON_RESUME, "epochs")
        changed = differences(before, resolved.tree, free)
        if changed:
            raise RecipeError(
                f"{run.folder} was started with another recipe, which differs at {', '.join(changed)}; "
                "resume with the same values or choose another --out"
            )
    resolved.write(run.recipe)
