"""Time sensitivity: what remains of a model's answers when the frames are not in their order.

Every test clip is shown in order, reversed, shuffled, and frozen to its middle frame. A network that knows actions by
their look answers all four alike, and as surely; one that attends to time is wrong, or in doubt, where order is gone.
Two probes then ask whether fixed features tell the order at all (:mod:`telltime.tasks.time_probes`).

Source: the arrangements that Yun et al., "Time Is MattEr" (ICML 2022), train against; classes that need time after
Sevilla-Lara et al., "Only Time Can Tell" (WACV 2021).
"""

import json
import time
from pathlib import Path

import numpy as np
import torch

from telltime.checkpoints.model import Model
from telltime.clips.item import Item
from telltime.datasets.record import DatasetError, Table
from telltime.media.files import whole
from telltime.metrics.time_sensitivity import LEAST_DROP, ClassDrop, class_drops
from telltime.tasks.action import Fuse, Sights
from telltime.tasks.arrangements import ARRANGEMENTS, SHUFFLES, Answers, Asked, answers, shown_video
from telltime.tasks.clip_outputs import Outputs, Said, clip_outputs, is_first
from telltime.tasks.logistic import LogisticProbe, fit_logistic
from telltime.tasks.measuring import Reading, describe_data, describe_model, labelled, listed, partial_notes
from telltime.tasks.result import Result
from telltime.tasks.time_probes import CHANCES, probe_features, probe_scores, some_videos
from telltime.tasks.vocabulary import columns_of

AGAINST = ("shuffled", "frozen")
ONE = Sights(1, 1)
_SHOWN = 6


def time_sensitivity(
    model: Model,
    train: Table | None,
    test: Table,
    reading: Reading | None = None,
    *,
    sights: Sights = ONE,
    fuse: Fuse = "sum",
    seed: int = 0,
    out: Path | None = None,
    name: str | None = None,
) -> Result:
    """Accuracy and confidence with the frames in order and otherwise, and what fixed features tell of order.

    Metrics, for each of :data:`ARRANGEMENTS`: ``*_top1`` and ``*_confidence`` (mean share of the likeliest class), of
    the shuffled the mean of three draws a video; for all but the first ``*_divergence``, in nats, from what was said in
    order; ``classes_needing_time``, how many classes lose at least ten points both shuffled and frozen, and not by
    chance; ``arrow_of_time_accuracy`` and ``frame_order_accuracy`` of the probes.

    Details: ``arrangements``, ``class_drops``, ``arranged_videos``, ``chance``, ``notes``.

    Args:
        train: teaches the probes, and the classes to a model that has no classifier of its own; ``None`` for no probes.
        sights: how test videos are seen; the probes see one clip.
        out: folder that gets ``time_sensitivity.json``: what was said of each video in each arrangement.
        seed: of the shuffles, which depend on it and on the video's id alone.

    Raises:
        DatasetError: the model sees single frames, it has no classifier and there are no training videos, its
            classifier is of other classes, there are no labels, or nothing can be read.
    """
    started, reading = time.monotonic(), reading or Reading()
    test, train = labelled(test), None if train is None else labelled(train)
    columns, names = _classes(model, train, test)
    learned = None if train is None else _features(model, train, reading, seed)
    classify = None if model.classifier is not None or learned is None else _classifier(learned, len(names))
    asked = Asked(model, classify, columns, names, reading.batch, seed)
    reader = sights.reader(model)
    found = clip_outputs(model, test, reader, reading, asked)
    labels = columns[found.table.labels()]
    said = answers(found, labels, fuse)
    drops = class_drops({k: v.right for k, v in said.items()}, labels, AGAINST)
    probes = {}
    if learned is not None:
        tested = _features(model, test, reading, seed)
        probes = probe_scores(learned.values["features"], learned.table, tested.values["features"])
    if out is not None and is_first():
        _write(out, found.table, said, names, labels)
    chance = {f"{k}_{what}": 1 / len(names) for k in ARRANGEMENTS for what in ("top1", "confidence")}
    tables = (test,) if train is None else (train, test)
    return Result(
        task="time-sensitivity",
        protocol=f"{sights.told(model)}, {fuse}, {SHUFFLES} shuffles",
        metrics=_numbers(said) | {"classes_needing_time": float(sum(drop.needs for drop in drops))} | probes,
        model=describe_model(model, name),
        data=describe_data(tables),
        records=len(found),
        dropped=found.dropped + (learned.dropped if learned else 0),
        seconds=time.monotonic() - started,
        details={
            "arrangements": {k: {"top-1": v.right.mean(), "confidence": v.confidence.mean()} for k, v in said.items()},
            "class_drops": [(names[drop.column], drop) for drop in drops],
            "arranged_videos": [
                shown_video(asked, found.table.records[row], reader, said, row) for row in _telling(said, labels, drops)
            ],
            "chance": chance | {k: v for k, v in CHANCES.items() if k in probes},
            "notes": [*partial_notes(tables), *_notes(model, said, drops, names, learned, train)],
        },
    )


def _classes(model: Model, train: Table | None, test: Table) -> tuple[np.ndarray, tuple[str, ...]]:
    """Columns of the scores for the data set's classes, and the names of all columns."""
    if model.clip.frames < 2:
        raise DatasetError("the model sees clips of one frame, which have no order")
    if model.classifier is not None:
        return columns_of(model, test)
    if train is None:
        raise DatasetError("the model has no classifier, and there are no training videos to fit one on")
    return np.arange(len(test.classes)), test.classes


def _features(model: Model, table: Table, reading: Reading, seed: int) -> Outputs:
    """What the probes see of a split."""

    def say(batch: Item, _: Table) -> Said:
        return probe_features(model, batch, reading.batch)

    return clip_outputs(model, some_videos(table, seed), ONE.reader(model), reading, say)


def _classifier(learned: Outputs, classes: int) -> LogisticProbe:
    """A linear classifier on the features of training videos in order."""
    features = learned.values["features"][:, :1]
    groups = [f"{record.label} {record.group or record.id}" for record in learned.table.records]
    there = torch.ones(features.shape[:2], dtype=torch.bool)
    return fit_logistic(features, there, learned.table.labels(), groups, classes)


def _numbers(said: dict[str, Answers]) -> dict[str, float]:
    numbers = {f"{name}_top1": float(one.right.mean()) for name, one in said.items()}
    numbers |= {f"{name}_confidence": float(one.confidence.mean()) for name, one in said.items()}
    return numbers | {f"{k}_divergence": float(v.divergence.mean()) for k, v in said.items() if k != "ordered"}


def _telling(said: dict[str, Answers], labels: np.ndarray, drops: list[ClassDrop]) -> list[int]:
    """Rows of the videos worth a look: one of each class that loses most, of it the one whose answer changes most."""
    rows = []
    for drop in drops[:_SHOWN]:
        mine = np.flatnonzero(labels == drop.column)
        change = said["ordered"].right[mine] - said["shuffled"].right[mine] + said["shuffled"].divergence[mine] / 100
        rows.append(int(mine[np.argmax(change)]))
    return rows


def _notes(
    model: Model,
    said: dict[str, Answers],
    drops: list[ClassDrop],
    names: tuple[str, ...],
    learned: Outputs | None,
    train: Table | None,
) -> list[str]:
    above = {name: 100 * (one.confidence.mean() - 1 / len(names)) for name, one in said.items()}
    notes = [
        f"Mean confidence lies {above['ordered']:.1f} points above chance in order, {above['shuffled']:.1f} shuffled, "
        f"{above['reversed']:.1f} reversed and {above['frozen']:.1f} frozen."
    ]
    needing = [names[drop.column] for drop in drops if drop.needs]
    rule = f"lose at least {LEAST_DROP:.0%} both shuffled and frozen, by more than chance"
    notes.append(f"Classes that need time ({rule}): {listed(needing, 12)}." if needing else f"No classes {rule}.")
    if model.classifier is None:
        notes.append("The model has no classifier of its own: a logistic regression on its features tells the classes.")
    if learned is not None and train is not None and len(learned) + learned.dropped < len(train):
        notes.append(f"The probes look at {len(learned):,} of {len(train):,} training videos.")
    return notes


def _write(folder: Path, table: Table, said: dict[str, Answers], names: tuple[str, ...], labels: np.ndarray) -> None:
    """``time_sensitivity.json``."""
    videos = [
        {"id": record.id, "class": names[labels[row]]}
        | {
            arrangement: {
                "told": names[one.told[row]],
                "right": round(float(one.right[row]), 4),
                "confidence": round(float(one.confidence[row]), 5),
            }
            for arrangement, one in said.items()
        }
        for row, record in enumerate(table.records)
    ]
    with whole(folder / "time_sensitivity.json") as beside:
        beside.write_text(json.dumps({"videos": videos}, indent=1) + "\n")
