"""TCLR's linear evaluation as its authors' program does it.

The convolutions are fixed, but batch norms stay in training mode while the classifier is trained: the network
normalises with the statistics of each batch, and its running statistics drift to the new data; the test uses the
drifted ones. One random clip a video and epoch under light augmentation, Adam at 1e-2, batches of 32, the learning rate
a tenth when the training loss got worse three times, an end below 1e-5. The test videos are scored at ten positions
after epochs 6 and 11 to 49, and the published number is the best of these, chosen on the test set; the last one is
given beside it.
"""

import copy
import time
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.checkpoints.model import Model
from telltime.clips.loader import ClipLoader
from telltime.datasets.record import DatasetError, Table
from telltime.features.embed import FeatureSet
from telltime.features.policy import TablePolicy
from telltime.metrics.classification import validation_loss
from telltime.tasks.clips import augmented, channels_of, new_classifier
from telltime.tasks.measuring import (
    Reading,
    class_notes,
    describe_data,
    describe_model,
    labelled,
    partial_notes,
    some,
)
from telltime.tasks.probe_schedule import EPOCHS, ProbeSchedule, validates
from telltime.tasks.result import Result
from telltime.tasks.scoring import class_details, score_videos
from telltime.views.readers import ProbeReader

POSITIONS = 10
BATCH = 32


class PaperProbe:
    """A fixed network with drifting batch norms, and the linear layer trained on it.

    Args:
        model: not changed; the probe works on a copy.
        classifier: ``[C] -> [K]``, trained in place.
    """

    def __init__(self, model: Model, classifier: nn.Linear) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.model.classifier = classifier.requires_grad_(True)
        self.optimiser = torch.optim.Adam(classifier.parameters(), lr=1e-2)

    def train_epoch(self, batches: Iterable[tuple[Tensor, Tensor]], rate: float) -> float:
        """One step a batch of float clips ``[B, 3, T, H, W]`` and labels ``[B]``; the mean of the batches' losses.

        Raises:
            ValueError: there was no batch.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        losses = [self._step(clips, labels) for clips, labels in batches]
        self.model.eval()
        if not losses:
            raise ValueError("not one batch to train on")
        return float(torch.stack(losses).mean())

    def _step(self, clips: Tensor, labels: Tensor) -> Tensor:
        assert self.model.classifier is not None
        with torch.no_grad():
            pooled = self.model.encode(clips).pooled
        loss = F.cross_entropy(self.model.classifier(pooled), labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def logits(self, features: FeatureSet) -> Tensor:
        """Scores of clips ``[N, P, K]``, on the CPU."""
        assert self.model.classifier is not None
        weight, bias = (p.detach().cpu() for p in self.model.classifier.parameters())
        return F.linear(features.pooled, weight, bias)


def linear_paper(
    model: Model,
    train: Table,
    test: Table,
    reading: Reading | None = None,
    *,
    epochs: int = EPOCHS,
    positions: int = POSITIONS,
    batch: int = BATCH,
    seed: int = 0,
    out: Path | None = None,
    name: str | None = None,
) -> Result:
    """Accuracy by the published program; labels count from 0, and there are as many outputs as classes.

    Metrics: ``top1`` and ``top5`` of the best validated epoch (as published: chosen on the test set), ``top1_last`` and
    ``top5_last`` of the last one, ``best_epoch``, ``validation_loss``. Details as for ``frozen``, of the best epoch,
    and ``curves``. Test features change with every epoch and are not cached.

    Args:
        epochs: at most; the last one is always validated.
        out: where ``model/``, the probe of the last epoch, is written.
    """
    started, reading = time.monotonic(), reading or Reading()
    train, test = labelled(train), labelled(test)
    place = reading.place()
    clip = model.clip
    reader = ProbeReader(size=clip.size, frames=clip.frames, step=clip.stride, order=clip.order)
    policy = TablePolicy(reading.policy, len(train))
    loader = ClipLoader(
        train.records, reader, batch, seed, workers=reading.workers, policy=policy, limits=reading.limits
    )
    channels = channels_of(model)
    probe = PaperProbe(model.to(place), new_classifier(channels, len(train.classes), seed).to(place))
    schedule, curves = ProbeSchedule(), _Curves()
    best: tuple[Tensor, FeatureSet, dict[str, float], int] | None = None
    for epoch in range(epochs):
        rate = schedule.begin()
        batches = ((augmented(items, clip, place), items["label"].to(place)) for items in loader.epoch(epoch))
        try:
            loss = probe.train_epoch(batches, rate)
        except ValueError as error:
            raise DatasetError(f"no train video could be read: {error}") from error
        ended = schedule.end(loss)
        curves.add("train loss", epoch, loss)
        if reading.progress:
            reading.progress("probe: epochs", epoch + 1, epochs)
        if validates(epoch, epochs - 1) or ended:
            asked = some(reading.embed(probe.model, test, positions, cached=False))
            logits = probe.logits(asked)
            scores = score_videos(logits, asked.present, asked.labels)
            scores["validation_loss"] = validation_loss(logits, torch.as_tensor(asked.labels), asked.present)
            curves.add("test top1", epoch, scores["top1"])
            if best is None or scores["top1"] > best[2]["top1"]:
                best = logits, asked, scores, epoch
        if ended:
            break
    if best is None:
        raise ValueError(f"epochs must be at least 1, not {epochs}")
    logits, asked, chosen, best_epoch = best
    if out is not None:
        probe.model.save(out / "model")
    last = {"top1_last": scores["top1"], "top5_last": scores["top5"], "epochs": float(epoch + 1)}
    notes = [*partial_notes((train, test)), *class_notes(train, asked.table, "training split")]
    notes.append(
        "Published protocol: batch norms in training mode; top1 is the best of the validated epochs "
        f"(epoch {best_epoch}), chosen on the test set; top1_last is the last epoch's."
    )
    return Result(
        task="linear",
        protocol="paper",
        metrics=chosen | last | {"best_epoch": float(best_epoch)},
        model=describe_model(model, name),
        data=describe_data((train, test)),
        records=len(train) - policy.dropped + len(asked),
        dropped=policy.dropped + len(asked.dropped),
        seconds=time.monotonic() - started,
        details=class_details(logits, asked.present, train, asked.table) | {"notes": notes, "curves": curves.values},
    )


class _Curves:
    """Values with the epochs they belong to."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[list[int], list[float]]] = {}

    def add(self, name: str, epoch: int, value: float) -> None:
        epochs, values = self.values.setdefault(name, ([], []))
        epochs.append(epoch)
        values.append(value)
