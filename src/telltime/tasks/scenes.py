"""Scenes of videos told from the features of four frames: does what a model knows of light help?

Two modes:

``frozen`` (the default)
    The features are computed once and stay. TICL's classifier, a 1x1 convolution over the frames and a linear layer, is
    brought to its optimum on the training videos, its penalty chosen on validation videos. Of a model with an adapter
    the features before it are measured in the same way, so that what the adapter adds is seen.
``published``
    The published program: see :mod:`telltime.tasks.scenes_published`.

Beside the frames one feature of the whole video (VideoMAE's) may be given.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.datasets.record import DatasetError, Table
from telltime.features.scene_frames import SceneRows, scene_rows
from telltime.features.video_features import stacked
from telltime.metrics.shares import paired_interval, wilson
from telltime.tasks.measuring import Reading, class_notes, describe_data, labelled, partial_notes
from telltime.tasks.result import Result
from telltime.tasks.scene_probe import SceneInputs, SceneProbe, fit_scene_probe
from telltime.tasks.scenes_published import (
    PublishedInputs,
    PublishedProbe,
    as_labels,
    epochs_and_rate,
    train_published,
)
from telltime.tasks.scoring import class_details, score_videos

MODES = ("frozen", "published")


@dataclass(frozen=True)
class SceneModel:
    """What looks at frames.

    Attributes:
        tower: frames to features.
        embed: the adapter, those to the features that are measured, ``[N, D]`` to ``[N, E]``; ``None`` without one.
        hidden: of the adapter that ``embed`` is; 0 where there is none.
        described: name and digest, for the result.
    """

    tower: ImageTower
    embed: Callable[[Tensor], Tensor] | None
    hidden: int
    described: dict[str, Any]


@dataclass(frozen=True)
class _Split:
    rows: SceneRows
    video: Tensor | None

    @property
    def labels(self) -> np.ndarray:
        return self.rows.table.labels()


def scenes(
    model: SceneModel,
    splits: Mapping[str, Table],
    reading: Reading | None = None,
    *,
    mode: str = "frozen",
    video_features: Mapping[str, Tensor] | None = None,
    epochs: int | None = None,
    seed: int = 0,
) -> Result:
    """Accuracy of TICL's scene classifier.

    Metrics: ``top1`` (with ``top1_low`` and ``top1_high``, Wilson's 95 % interval), ``top5``, ``mean_class_top1``, of
    test videos. ``frozen`` beside it, each with its interval: ``tower_top1``, of the features before the adapter, and
    ``adapter_gain``, what it adds (95 % of means over test videos drawn anew); with video features ``frames_top1`` and
    ``video_top1``, of either alone. ``published`` beside it: ``top1_last``, ``best_epoch``, ``validation_top1``.

    Args:
        splits: ``"train"``, ``"test"``, and ``"val"`` where there is one.
        video_features: ``[E]`` by a video's id; videos without any are left out.
        epochs: of ``published``.
        seed: of everything drawn.

    Raises:
        DatasetError: there are no labels, or not one video of a split can be read.
    """
    if mode not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}, not {mode!r}")
    started, reading = time.monotonic(), reading or Reading()
    tables = {part: labelled(table) for part, table in splits.items()}
    read = {part: _read(model.tower, table, reading, video_features) for part, table in tables.items()}
    learned, asked = read["train"].rows, read["test"].rows
    notes = [*partial_notes(list(tables.values())), *class_notes(learned.table, asked.table, "training split")]
    if mode == "frozen":
        logits, metrics, said = _frozen(model, read, seed)
        extra: dict[str, Any] = {}
    else:
        logits, metrics, said, extra = _published(model, read, reading, epochs, seed)
    present = torch.ones(len(logits), 1, dtype=torch.bool)
    scores = score_videos(logits[:, None], present, read["test"].labels) | _with_interval("top1", _right(logits, asked))
    return Result(
        task="scenes",
        protocol=mode + (" with video features" if video_features is not None else ""),
        metrics=scores | metrics,
        model=model.described,
        data=describe_data(list(tables.values())),
        records=sum(len(split.rows.table) for split in read.values()),
        dropped=sum(len(split.rows.dropped) for split in read.values()),
        seconds=time.monotonic() - started,
        details=class_details(logits[:, None], present, learned.table, asked.table) | extra | {"notes": notes + said},
    )


def _read(
    tower: ImageTower,
    table: Table,
    reading: Reading,
    video_features: Mapping[str, Tensor] | None,
    mirrored: bool = False,
) -> _Split:
    rows = scene_rows(
        tower,
        table,
        reading.cache,
        reading.policy,
        reading.workers,
        mirrored=mirrored,
        limits=reading.limits,
        device=reading.device,
        progress=reading.told(f"{table.split}: frames"),
    )
    video = None
    if video_features is not None:
        video, there = stacked(dict(video_features), [record.id for record in rows.table.records])
        if not there.all():
            for at in np.flatnonzero(~there):
                record = rows.table.records[at]
                reading.policy.report(record.id, record.path, "no video features of it were given", "NoFeatures")
            lost = tuple(rows.table.records[at].id for at in np.flatnonzero(~there))
            rows = SceneRows(
                rows.table.take(np.flatnonzero(there).tolist()),
                rows.frames[torch.as_tensor(there)],
                rows.dropped + lost,
            )
    if not len(rows.table):
        what = " and has features" if video_features is not None else ""
        raise DatasetError(f"not one of {len(table)} {table.split} videos could be read{what}")
    return _Split(rows, video)


def _frozen(model: SceneModel, read: Mapping[str, _Split], seed: int) -> tuple[Tensor, dict[str, float], list[str]]:
    """Class scores of the test videos, metrics beside their own, and sentences."""

    def inputs(split: _Split, frames: bool, embed: bool, video: bool) -> SceneInputs:
        rows = split.rows.frames
        if embed and model.embed is not None:
            rows = model.embed(rows.flatten(0, 1)).flatten(1).view(len(rows), rows.shape[1], -1)
        return SceneInputs(rows if frames else None, split.video if video else None)

    train, test, held = read["train"], read["test"], read.get("val")

    def probed(frames: bool = True, embed: bool = True, video: bool = True) -> tuple[SceneProbe, Tensor]:
        records = train.rows.table.records
        groups = [f"{record.label} {record.group or record.id}" for record in records]
        known = None if held is None else (inputs(held, frames, embed, video), held.labels)
        probe = fit_scene_probe(
            inputs(train, frames, embed, video), train.labels, len(train.rows.table.classes), known, groups
        )
        return probe, probe.logits(inputs(test, frames, embed, video))

    probe, logits = probed()
    right = _right(logits, test.rows)
    metrics: dict[str, float] = {}
    if model.embed is not None:
        before = _right(probed(embed=False)[1], test.rows)
        low, high = paired_interval(right, before, seed=seed)
        metrics |= _with_interval("tower_top1", before)
        metrics |= {"adapter_gain": float(right.mean() - before.mean())}
        metrics |= {"adapter_gain_low": low, "adapter_gain_high": high}
    if train.video is not None:
        metrics |= _with_interval("frames_top1", _right(probed(video=False)[1], test.rows))
        metrics |= _with_interval("video_top1", _right(probed(frames=False)[1], test.rows))
    how = "the default, for want of videos to hold out"
    if probe.chosen:
        how = "chosen on the validation split" if held is not None else "chosen on held-out training groups"
    shares = ", ".join(f"{value:.2f}" for value in (probe.mix / probe.mix.abs().sum().clamp_min(1e-12)).tolist())
    said = [f"Weights of the four frames {shares}; L2 penalty {probe.penalty:g} per example, {how}."]
    if model.embed is None:
        said.append("The model has no adapter: measured are the features of its image tower.")
    else:
        said.append("tower_top1 is of the same classifier on the features before the adapter, trained alike.")
    return logits, metrics, said


def _published(
    model: SceneModel, read: Mapping[str, _Split], reading: Reading, epochs: int | None, seed: int
) -> tuple[Tensor, dict[str, float], list[str], dict[str, Any]]:
    train, test = read["train"], read["test"]
    held, name = read.get("val"), train.rows.table.name
    turned = _read(model.tower, train.rows.table, reading, None, mirrored=True).rows
    if len(turned.table) != len(train.rows.table):
        raise DatasetError(f"{len(turned.dropped)} training videos could be read once and then not again")
    rate, usual = epochs_and_rate(name)
    frames, dim = train.rows.frames.shape[1:]
    video_dim = 0 if train.video is None else train.video.shape[1]
    probe = PublishedProbe(dim, len(train.rows.table.classes), frames, model.hidden, video_dim, seed)
    fitting, judging, asking = (
        PublishedInputs(split.rows.frames, as_labels(split.labels), mirrored, split.video)
        for split, mirrored in ((train, turned.frames), (held or test, None), (test, None))
    )
    told = reading.told("training")
    found = train_published(probe, fitting, judging, asking, rate, epochs or usual, seed, told)
    last = _right(found.last, test.rows)
    metrics = {
        "top1_last": float(last.mean()),
        "best_epoch": float(found.epoch),
        "validation_top1": max(found.scores),
    }
    said = ["As published the adapter is drawn anew and trained along: this says nothing of the trained one."]
    if held is None:
        said.append(
            "There is no validation split: as published the epoch is chosen on the test videos; top1_last is not."
        )
    curves = {"training loss": found.losses, "validation top1": found.scores}
    return found.best, metrics, said, {"curves": curves}


def _right(logits: Tensor, rows: SceneRows) -> np.ndarray:
    """float64 ``[N]``: 1 where the class is told."""
    return (logits.argmax(1).numpy() == rows.table.labels()).astype(np.float64)


def _with_interval(name: str, right: np.ndarray) -> dict[str, float]:
    low, high = wilson(int(right.sum()), len(right))
    return {name: float(right.mean()), f"{name}_low": low, f"{name}_high": high}
