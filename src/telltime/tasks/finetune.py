"""Full fine-tuning: the whole network and a new linear layer, trained on the data set's labels.

TCLR's own constants were never released; its authors point to SEVERE's recipe, which gives better numbers than they
published: clips of 32 frames at 16 a second, ten clips of every video an epoch, Adam at 1e-4 in batches of 32 for 16
epochs, the rate times 0.3 at epochs 6, 10 and 14; a test video's score is the mean softmax of ten clips' centres.
"""

import copy
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.checkpoints.model import Model
from telltime.clips.loader import ClipLoader
from telltime.datasets.record import Table
from telltime.features.embed import Progress
from telltime.features.policy import TablePolicy
from telltime.methods.method import Batch, Embedding, Step
from telltime.tasks.clips import channels_of, new_classifier, normalised
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
from telltime.tasks.severe import TestReader, TrainReader, jittered
from telltime.training.loop import Batches, Loader, Settings, fit
from telltime.training.progress import Lines, Sink
from telltime.training.run import Run
from telltime.training.schedules import MultiStep

EPOCHS = 16
BATCH = 32
RATE = 1e-4
PASSES = 10
MILESTONES = (6.0, 10.0, 14.0)
FACTOR = 0.3
_SAVED = 200


class Finetune(nn.Module):
    """A model and its classifier as a method the training loop knows.

    Args:
        model: trained in place, with its classifier.
    """

    def __init__(self, model: Model, reader: TrainReader) -> None:
        super().__init__()
        self.model = model
        self.reader = reader

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Float clips ``[B, 3, T, S, S]`` and labels ``[B]``; all random numbers came with the items."""
        drawn = (batch[key].flatten(0, 1) for key in ("factors", "order", "flip"))
        pixels, label = (batch[key].to(generator.device, non_blocking=True) for key in ("clips", "label"))
        clips = jittered(pixels.flatten(0, 1), *drawn)
        clips = clips.flip(1) if self.model.clip.order == "bgr" else clips
        return normalised(clips, self.model.clip), label

    def forward(self, views: tuple[Tensor, Tensor]) -> Step:
        """Cross-entropy; logs the share of clips that are right."""
        clips, labels = views
        assert self.model.classifier is not None
        scores = self.model.classifier(self.model.encode(clips).pooled)
        right = (scores.argmax(1) == labels).float().mean()
        return Step(F.cross_entropy(scores, labels), {"clip_top1": right.detach()})

    def embed(self, clip: Tensor) -> Embedding:
        """Float clips to features."""
        return self.model.encode(clip)

    def after_step(self) -> None:
        """Nothing follows a step."""


class Passes:
    """Several passes over a loader as one epoch, every pass with other random numbers."""

    def __init__(self, loader: Loader, passes: int) -> None:
        self.loader, self.passes = loader, passes

    def __len__(self) -> int:
        return len(self.loader) * self.passes

    def epoch(self, epoch: int, skip_batches: int = 0) -> "PassBatches":
        """The batches of an epoch from ``skip_batches`` on."""
        return PassBatches(self, epoch, skip_batches)


class PassBatches:
    """The batches of one epoch of :class:`Passes`; ``position`` is how many of them are behind us."""

    def __init__(self, of: Passes, epoch: int, skipped: int) -> None:
        self.of, self.first = of, epoch * of.passes
        self.number, skipped = divmod(skipped, max(1, len(of.loader)))
        self.batches: Batches | None = None
        if self.number < of.passes:
            self.batches = of.loader.epoch(self.first + self.number, skipped)

    @property
    def position(self) -> int:
        return self.number * len(self.of.loader) + (self.batches.position if self.batches else 0)

    def __iter__(self) -> "PassBatches":
        return self

    def __next__(self) -> Batch:
        while self.batches is not None:
            try:
                return next(self.batches)
            except StopIteration:
                self.number += 1
                more = self.number < self.of.passes
                self.batches = self.of.loader.epoch(self.first + self.number) if more else None
        raise StopIteration


class Rows(Sink):
    """Keeps the loop's rows, in the run's ``metrics.jsonl`` when there is a run, and reports its steps."""

    def __init__(self, told: Progress | None, run: Run | None) -> None:
        self.told, self.total = told, 0
        self.lines = Lines(run.metrics) if run else None
        self.epochs: list[dict[str, Any]] = []
        if run and run.metrics.exists():
            self.epochs = [row for row in map(json.loads, run.metrics.read_text().splitlines()) if _ends(row)]

    def start(self, total: int, done: int) -> None:
        self.total = total
        self.epochs = [row for row in self.epochs if row["step"] <= done]

    def tick(self, step: int) -> None:
        if self.told:
            self.told(step, self.total)

    def row(self, row: dict[str, Any]) -> None:
        if self.lines:
            self.lines.row(row)
        if _ends(row):
            self.epochs.append(row)

    def curves(self) -> dict[str, list[float]]:
        """Mean training loss and share of right clips, an epoch each."""
        if self.lines:
            self.lines.close()
        return {name: [row[key] for row in self.epochs] for name, key in _CURVES.items()}


_CURVES = {"train loss": "loss", "train clip top1": "clip_top1"}


def _ends(row: dict[str, Any]) -> bool:
    return bool(row["kind"] == "epoch")


@contextmanager
def _kept(cache: Path | None, key: str) -> Iterator[Run | None]:
    """The run folder of a training, gone on with if it was begun; ``None`` where nothing is cached."""
    if cache is None:
        yield None
        return
    folder = cache / f"finetune-{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}"
    with Run(folder, resume=Run(folder).began()) as run:
        yield run


def finetune(
    model: Model,
    train: Table,
    test: Table,
    reading: Reading | None = None,
    *,
    epochs: int = EPOCHS,
    batch: int = BATCH,
    passes: int = PASSES,
    frames: int = 32,
    positions: int = 10,
    seed: int = 0,
    out: Path | None = None,
    name: str | None = None,
) -> Result:
    """Accuracy of the fine-tuned network after its last epoch.

    Metrics: ``top1``, ``top5``, ``mean_class_top1`` of test videos. Details: ``confusion``, ``classes``, ``per_class``,
    ``chance``, ``curves``, ``notes``. With other than the published 16 epochs the rate drops at the same shares.

    With a cache the training is kept there, and an interrupted one goes on where it was.

    Args:
        model: not changed; a copy is trained.
        out: where ``model/``, the fine-tuned one, is written.
    """
    started, reading = time.monotonic(), reading or Reading()
    train, test = labelled(train), labelled(test)
    data = describe_data((train, test))
    tuned = copy.deepcopy(model).requires_grad_(True)
    tuned.head, tuned.reads = None, "pooled"
    tuned.meta["labels"] = list(train.classes)
    tuned.classifier = new_classifier(channels_of(tuned), len(train.classes), seed)
    reader = TrainReader(size=model.clip.size, frames=frames)
    policy = TablePolicy(reading.policy, len(train))
    loader = ClipLoader(
        train.records,
        reader,
        min(batch, len(train)),
        seed,
        workers=reading.workers,
        policy=policy,
        limits=reading.limits,
        drop_last=True,
    )
    milestones = tuple(epochs * milestone / EPOCHS for milestone in MILESTONES)
    on_cpu = reading.place().type == "cpu"  # where gradients of small convolutions in bfloat16 can come out wrong
    device, precision = ("cpu", "fp32") if on_cpu else ("auto", "auto")
    settings = Settings(epochs=epochs, seed=seed, device=device, precision=precision, save_every=_SAVED)
    key = repr((model.digest(), data["digest"], reader, passes, loader.batch_size, settings))
    with _kept(reading.cache, key) as run:
        rows = Rows(reading.told("finetune: steps"), run)
        adam, schedule = torch.optim.Adam(tuned.parameters(), lr=RATE), MultiStep(milestones, FACTOR)
        trained = fit(Finetune(tuned, reader), Passes(loader, passes), adam, schedule, settings, run, sink=rows)
        curves = rows.curves()
    if trained.ended == "stopped":
        raise KeyboardInterrupt
    tuned.eval()
    clips = TestReader(positions=positions, size=model.clip.size, frames=frames)
    asked = some(reading.embed(tuned, test, positions, reader=clips, cached=False))
    weight, bias = (p.detach().cpu() for p in tuned.classifier.parameters())
    logits = F.linear(asked.pooled, weight, bias)
    if out is not None:
        tuned.clip = replace(model.clip, frames=frames, crop=clips.crop, sampling="stride")
        tuned.save(out / "model")
    notes = [*partial_notes((train, test)), *class_notes(train, asked.table, "training split")]
    if epochs != EPOCHS:
        notes.append(f"Trained for {epochs} of the published {EPOCHS} epochs.")
    return Result(
        task="finetune",
        protocol="severe" if epochs == EPOCHS else f"severe, epochs={epochs}",
        metrics=score_videos(logits, asked.present, asked.labels),
        model=describe_model(model, name),
        data=data,
        records=len(train) - policy.dropped + len(asked),
        dropped=policy.dropped + len(asked.dropped),
        seconds=time.monotonic() - started,
        details=class_details(logits, asked.present, train, asked.table) | {"curves": curves, "notes": notes},
    )
