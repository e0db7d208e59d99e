"""Full fine-tuning: the whole network and a new linear layer, trained on the data set's labels.

TCLR's own constants were never released; its authors point to SEVERE's recipe, which gives better numbers than they
published: clips of 32 frames at 16 a second, ten clips of every video an epoch, Adam at 1e-4 in batches of 32 for 16
epochs, the rate times 0.3 at epochs 6, 10 and 14; a test video's score is the mean softmax of ten clips' centres.
"""

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.checkpoints.model import Model
from telltime.clips.loader import ClipLoader
from telltime.datasets.record import Table
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
from telltime.training.loop import Settings, fit
from telltime.training.progress import Sink
from telltime.training.schedules import MultiStep

EPOCHS = 16
BATCH = 32
RATE = 1e-4
PASSES = 10
MILESTONES = (6.0, 10.0, 14.0)
FACTOR = 0.3


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
        drawn = (batch[key].flatten(0, 1).cpu() for key in ("factors", "order", "flip"))
        clips = jittered(batch["clips"].flatten(0, 1), *drawn)
        clips = clips.flip(1) if self.model.clip.order == "bgr" else clips
        return normalised(clips, self.model.clip), batch["label"]

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

    def __init__(self, loader: ClipLoader, passes: int) -> None:
        self.loader, self.passes = loader, passes

    def __len__(self) -> int:
        return len(self.loader) * self.passes

    def epoch(self, epoch: int, skip_batches: int = 0) -> Iterator[Batch | None]:
        """The batches of an epoch from ``skip_batches`` on."""
        first, skipped = divmod(skip_batches, max(1, len(self.loader)))
        for number in range(first, self.passes):
            yield from self.loader.epoch(epoch * self.passes + number, skip_batches=skipped if number == first else 0)


class _Losses(Sink):
    """Keeps the mean training loss of every epoch, and hands all on to another sink."""

    def __init__(self) -> None:
        self.curves: dict[str, list[float]] = {"train loss": [], "train clip top1": []}

    def row(self, row: dict[str, float]) -> None:
        if row["kind"] == "epoch":
            self.curves["train loss"].append(row["loss"])
            self.curves["train clip top1"].append(row["clip_top1"])


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

    Args:
        model: not changed; a copy is trained.
        out: where ``model/``, the fine-tuned one, is written.
    """
    started, reading = time.monotonic(), reading or Reading()
    train, test = labelled(train), labelled(test)
    tuned = copy.deepcopy(model).requires_grad_(True)
    tuned.head = None
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
    losses = _Losses()
    on_cpu = reading.place().type == "cpu"  # where gradients of small convolutions in bfloat16 can come out wrong
    device, precision = ("cpu", "fp32") if on_cpu else ("auto", "auto")
    settings = Settings(epochs=epochs, seed=seed, device=device, precision=precision)
    fit(
        Finetune(tuned, reader),
        Passes(loader, passes),
        torch.optim.Adam(tuned.parameters(), lr=RATE),
        MultiStep(milestones, FACTOR),
        settings,
        sink=losses,
    )
    tuned.eval()
    clips = TestReader(positions=positions, size=model.clip.size, frames=frames)
    asked = some(reading.embed(tuned, test, positions, reader=clips, cached=False))
    weight, bias = (p.detach().cpu() for p in tuned.classifier.parameters())
    logits = F.linear(asked.pooled, weight, bias)
    if out is not None:
        tuned.save(out / "model")
    notes = [*partial_notes((train, test)), *class_notes(train, asked.table, "training split")]
    if epochs != EPOCHS:
        notes.append(f"{epochs} epochs rather than the published {EPOCHS}.")
    return Result(
        task="finetune",
        protocol=f"severe, {epochs} epochs",
        metrics=score_videos(logits, asked.present, asked.labels),
        model=describe_model(model, name),
        data=describe_data((train, test)),
        records=len(train) - policy.dropped + len(asked),
        dropped=policy.dropped + len(asked.dropped),
        seconds=time.monotonic() - started,
        details=class_details(logits, asked.present, train, asked.table) | {"curves": losses.curves, "notes": notes},
    )
