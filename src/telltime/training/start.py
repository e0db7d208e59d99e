"""From a checked recipe and a table of videos to a trained model in a run folder."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor, nn

from telltime.checkpoints.model import ClipSpec, Model
from telltime.clips.loader import ClipLoader
from telltime.clips.policy import BadMedia
from telltime.datasets.record import Table
from telltime.training import devices
from telltime.training.build import Recipe, Resolved
from telltime.training.errors import RecipeError
from telltime.training.keeper import Export
from telltime.training.loop import fit
from telltime.training.optim import parameter_groups
from telltime.training.progress import Board, Lines, Several, Sink
from telltime.training.recipe import FREE_ON_RESUME, Tree, differences
from telltime.training.run import Run
from telltime.training.settings import Settings, Trained


@dataclass(frozen=True)
class Outcome:
    """A training that has ended, and how many of the videos it had to do without."""

    trained: Trained
    videos: int
    missing: int
    dropped: int


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
    if run.main:
        _keep_recipe(resolved, run, needs_length=recipe.schedule.needs_length)
    accelerator = devices.start_processes(recipe.device, static_graph=recipe.accumulate == 1)
    policy = BadMedia(mode=recipe.bad_media.mode, log=run.dropped, max_share=recipe.bad_media.max_share)
    if run.main:
        policy.missing(table.missing, table.root)
    reader: Any = recipe.method.reader
    loader = ClipLoader(
        table.records,
        reader,
        recipe.batch_size,
        recipe.seed,
        workers=recipe.workers,
        policy=policy,
        drop_last=recipe.drop_last,
        rank=accelerator.process_index,
        world=accelerator.num_processes,
        labels=table.labels(),
        pin_memory=accelerator.device.type == "cuda",
    )
    sinks = Several(sink, Lines(run.metrics), *([Board(run.folder)] if board else []))
    try:
        trained = fit(
            recipe.method,
            loader,
            recipe.optimiser(parameter_groups(recipe.method, recipe.decay_norms)),
            recipe.schedule,
            settings(recipe),
            run,
            accelerator=accelerator,
            export=exporter(recipe.method, {"recipe": resolved.name, "data": table.name}),
            sink=sinks,
            dropped=lambda: policy.dropped,
        )
    finally:
        sinks.close()
    return Outcome(trained, len(table.records), len(table.missing), policy.dropped)


def settings(recipe: Recipe) -> Settings:
    """The part of a recipe that the loop takes."""
    return Settings(**{name: getattr(recipe, name) for name in Settings.__dataclass_fields__})


def exporter(method: nn.Module, meta: dict[str, Any]) -> Export:
    """Writes a model state of ``method`` as a model folder that ``telltime.load`` takes.

    The method has a ``backbone``, may have a ``head``, and its reader says which clips it was trained on.
    """
    twin: Any = copy.deepcopy(method)
    reader = getattr(method, "reader", None)
    clip = ClipSpec(**{name: getattr(reader, name) for name in ("frames", "size", "order") if hasattr(reader, name)})
    meta = {"method": type(method).__name__.lower(), **meta}

    def export(folder: Path, state: dict[str, Tensor]) -> None:
        twin.load_state_dict(state)
        Model(twin.backbone, clip, head=getattr(twin, "head", None), meta=meta).save(folder)

    return export


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
