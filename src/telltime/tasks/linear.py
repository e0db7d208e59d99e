"""Linear evaluation: how well a linear classifier on the model's pooled features tells the classes apart.

Two protocols:

``frozen`` (the default)
    The network is fixed, batch norms included. The features of ten test positions of every video are computed once and
    cached; each of a training video's positions is a training example. The classifier is a logistic regression on
    standardised features, brought to its optimum, with the penalty chosen on held-out training groups: the score
    depends on no learning rate, and the test set chooses nothing.
``paper``
    The published program: see :mod:`telltime.tasks.linear_paper`.

In both a test video's score is the mean softmax of its ten clips.
"""

import time

from telltime.checkpoints.model import Model
from telltime.datasets.record import Table
from telltime.tasks.logistic import fit_logistic
from telltime.tasks.measuring import (
    Reading,
    class_notes,
    describe_data,
    describe_model,
    labelled,
    partial_notes,
    some,
)
from telltime.tasks.result import Result
from telltime.tasks.scoring import class_details, score_videos

POSITIONS = 10
MOST_EXAMPLES = 200_000


def linear(
    model: Model,
    train: Table,
    test: Table,
    reading: Reading | None = None,
    *,
    positions: int = POSITIONS,
    name: str | None = None,
) -> Result:
    """Accuracy of a linear classifier on fixed features.

    Metrics: ``top1``, ``top5`` and ``mean_class_top1``, of test videos; ``train_top1``, of the training videos.
    Details: ``confusion``, ``classes``, ``per_class``, ``chance``, ``notes``.

    Of a training set that gives more than :data:`MOST_EXAMPLES` clips, fewer positions a video are used to train.

    Raises:
        DatasetError: there are no labels, or nothing can be read.
    """
    started, reading = time.monotonic(), reading or Reading()
    train, test = labelled(train), labelled(test)
    learned, asked = (some(reading.embed(model, table, positions)) for table in (train, test))
    examples, present = learned.pooled, learned.present
    step = max(1, -(-examples.shape[0] * examples.shape[1] // MOST_EXAMPLES))
    groups = [f"{record.label} {record.group or record.id}" for record in learned.table.records]
    probe = fit_logistic(examples[:, ::step], present[:, ::step], learned.labels, groups, len(train.classes))
    logits, there = probe.logits(asked.pooled), asked.present
    scores = score_videos(logits, there, asked.labels)
    trained = score_videos(probe.logits(examples), present, learned.labels)
    notes = [*partial_notes((train, test)), *class_notes(learned.table, asked.table, "training split")]
    how = "chosen on held-out training groups" if probe.chosen else "the default, for want of groups to hold out"
    notes.append(f"Logistic regression on standardised features; L2 penalty {probe.penalty:g} per example, {how}.")
    return Result(
        task="linear",
        protocol="frozen",
        metrics=scores | {"train_top1": trained["top1"]},
        model=describe_model(model, name),
        data=describe_data((train, test)),
        records=len(learned) + len(asked),
        dropped=len(learned.dropped) + len(asked.dropped),
        seconds=time.monotonic() - started,
        details=class_details(logits, there, learned.table, asked.table) | {"notes": notes},
    )
