"""A linear classifier of places on fixed features: semantic segmentation by a 1x1 convolution.

Two protocols. ``paper`` is that of TimeT's program: every picture squashed, 50 epochs in the order of the list.
``leopart`` (Ziegler and Asano, CVPR 2022), which most other papers follow: 25 epochs over shuffled random crops and
mirror images. In both, scores of classes are brought to the masks' size by bilinear interpolation and learnt by
cross-entropy, with plain SGD.

A 1x1 convolution and an interpolation whose weights add up to 1 may change places, so the scores of 21 classes are
interpolated, not the features; the result is the published one.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.dense import DenseEncoder
from telltime.clips.loader import epoch_order
from telltime.datasets.masks import VOID
from telltime.datasets.record import DatasetError, Table
from telltime.features.crops import Crops
from telltime.features.dense import View, drawn_frames, see
from telltime.features.spool import Spool
from telltime.metrics.segmentation import confusion, matched_iou
from telltime.tasks.dense import Pictures, called, describe_encoder, describe_masks, deviation, masked, streaming
from telltime.tasks.mask_classes import MaskClasses
from telltime.tasks.measuring import Reading
from telltime.tasks.result import Result
from telltime.views.dense import upsampled


@dataclass(frozen=True)
class LinearSettings:
    """How the classifier is trained and scored.

    Attributes:
        size: side that frames are squashed or cropped to.
        masks: side of the masks that are learnt from and scored.
        epochs: passes over the training frames.
        drop: epochs after which the rate falls to a tenth, each time anew.
        rate, momentum, decay: of SGD.
        batch: frames of a step.
        crops: parts of frames drawn anew every epoch, in another order; ``None`` learns from whole ones in the order of
            the list, which are then encoded once, and kept in float16.
        frames: annotated frames taken of each video; 0: all.
    """

    size: int = 448
    masks: int = 100
    epochs: int = 50
    drop: int = 20
    rate: float = 0.01
    momentum: float = 0.9
    decay: float = 1e-4
    batch: int = 60
    crops: Crops | None = None
    frames: int = 0


PRESETS = {
    "paper": LinearSettings(),
    "leopart": LinearSettings(epochs=25, crops=Crops((0.8, 1.0), flip=0.5)),
}


def settings_of(preset: str = "paper", **changes: Any) -> LinearSettings:
    """A preset with some settings changed.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"presets of linear-segmentation are {', '.join(PRESETS)}, not {preset}")
    return replace(PRESETS[preset], **changes)


class LinearHead(nn.Module):
    """Scores of classes of every pixel.

    Args:
        channels: of the grids.
        classes: to tell apart.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, classes, 1)

    def forward(self, grids: Tensor, size: tuple[int, int]) -> Tensor:
        """Grids float ``[N, C, h, w]`` to scores ``[N, classes, H, W]``."""
        return upsampled(self.convolution(grids), size)


def pixel_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, mean over all pixels that are not void; 0 when there are no others.

    Args:
        scores: float ``[N, classes, H, W]``.
        labels: uint8 ``[N, H, W]``, 255 void.
    """
    total = F.cross_entropy(scores, labels.long(), ignore_index=VOID, reduction="sum")
    return total / (labels != VOID).sum().clamp_min(1)


def linear_segmentation(
    encoder: DenseEncoder,
    train: Table,
    test: Table,
    settings: LinearSettings,
    how: Reading,
    *,
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Train on one split and score the other, with nothing chosen on it.

    Of data sets whose labels are objects of single videos, foreground and background are told apart.

    Raises:
        DatasetError: a split has no masks, or none that can be read.
    """
    started = time.monotonic()
    train, test = masked(train), masked(test)
    classes = MaskClasses.of(train, test)
    place = how.place()
    encoder = encoder.to(place).eval()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = LinearHead(encoder.channels, classes.count).to(place)
    losses = _train(encoder, head, train, settings, how, classes, seed)
    counts, pictures, seen = _score(encoder, head, test, settings, how, classes, seed)
    scored = matched_iou(counts, "none")
    return Result(
        task="linear-segmentation",
        protocol=called(settings, PRESETS),
        metrics={"miou": scored.mean, "accuracy": float(np.trace(counts) / max(1, counts.sum()))},
        model=describe_encoder(encoder, settings.size, name),
        data=describe_masks([train, test]) | {"settings": asdict(settings)},
        records=seen,
        dropped=how.policy.dropped,
        seconds=time.monotonic() - started,
        details={
            "per_class": dict(zip(classes.names(scored.labels), scored.iou.tolist(), strict=True)),
            "curves": {"training loss": losses},
            "notes": classes.notes,
            "things": classes.thing,
            **pictures.details(),
        },
    )


def _train(
    encoder: DenseEncoder,
    head: LinearHead,
    table: Table,
    settings: LinearSettings,
    how: Reading,
    classes: MaskClasses,
    seed: int,
) -> list[float]:
    """Mean loss of every epoch."""
    optimiser = torch.optim.SGD(
        head.parameters(), lr=settings.rate, momentum=settings.momentum, weight_decay=settings.decay
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, settings.drop, 0.1)
    place, size, told = how.place(), (settings.masks, settings.masks), how.told("training")
    losses: list[float] = []
    with Spool() as grids:
        labels: list[np.ndarray] = []
        for epoch in range(settings.epochs):
            if settings.crops is None and epoch:
                pairs: Iterable[tuple[Tensor, np.ndarray]] = (
                    (torch.from_numpy(grid), truth) for grid, truth in zip(grids, labels, strict=True)
                )
            else:
                pairs = _encoded(encoder, table, settings, how, classes, seed, epoch)
                if settings.crops is None:
                    pairs = _kept(pairs, grids, labels)
            steps = []
            for grid, truth in _batches(pairs, settings.batch):
                loss = pixel_loss(head(grid.to(place).float(), size), torch.from_numpy(truth).to(place))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                steps.append(float(loss.detach()))
            if not steps:
                raise DatasetError(f"not one of {len(table)} training {classes.thing}s could be read")
            losses.append(float(np.mean(steps)))
            schedule.step()
            if told is not None:
                told(epoch + 1, settings.epochs)
    return losses


def _encoded(
    encoder: DenseEncoder,
    table: Table,
    settings: LinearSettings,
    how: Reading,
    classes: MaskClasses,
    seed: int,
    epoch: int,
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Grids ``[n, C, h, w]`` and classes ``[n, H, W]`` of one record after another, as the epoch looks at them."""
    crops, records = settings.crops, table.records
    alter = None if crops is None else crops.of(seed, epoch, settings.size, settings.masks)
    if crops is not None:
        records = tuple(records[i] for i in epoch_order(len(records), seed, epoch))
    view = View(settings.size, settings.masks, deviation(encoder, table))
    given = how.told(f"train, epoch {epoch + 1}")
    choose = drawn_frames(settings.frames, seed)
    for seen in see(encoder, records, view, choose, alter=alter, **streaming(how), progress=given):
        assert seen.labels is not None
        yield seen.grid.to(torch.float16), classes.told(seen.labels)


def _kept(
    pairs: Iterable[tuple[Tensor, np.ndarray]], grids: Spool, labels: list[np.ndarray]
) -> Iterator[tuple[Tensor, np.ndarray]]:
    """The same pairs, set aside as they pass."""
    for grid, truth in pairs:
        grids.append(grid.cpu().numpy())
        labels.append(truth)
        yield grid, truth


def _batches(pairs: Iterable[tuple[Tensor, np.ndarray]], size: int) -> Iterator[tuple[Tensor, np.ndarray]]:
    """The same frames, ``size`` at a time; the last time fewer."""
    grids: list[Tensor] = []
    labels: list[np.ndarray] = []
    count = 0
    for grid, truth in pairs:
        grids.append(grid)
        labels.append(truth)
        count += len(truth)
        while count >= size:
            whole, masks = torch.cat(grids), np.concatenate(labels)
            yield whole[:size], masks[:size]
            grids, labels, count = [whole[size:]], [masks[size:]], count - size
    if count:
        yield torch.cat(grids), np.concatenate(labels)


@torch.no_grad()
def _score(
    encoder: DenseEncoder,
    head: LinearHead,
    table: Table,
    settings: LinearSettings,
    how: Reading,
    classes: MaskClasses,
    seed: int,
) -> tuple[np.ndarray, Pictures, int]:
    """Pixels by label and class told, int64 ``[K, K]``, pictures for the page, and records scored."""
    counts = np.zeros((classes.count, classes.count), dtype=np.int64)
    pictures = Pictures([record.id for record in table.records])
    size = (settings.masks, settings.masks)
    choose = drawn_frames(settings.frames, seed)
    view = View(settings.size, settings.masks, deviation(encoder, table), shown=True)
    given, number = how.told("test"), 0
    for seen in see(encoder, table.records, view, choose, **streaming(how), progress=given):
        assert seen.labels is not None
        assert seen.frames is not None
        truth = classes.told(seen.labels)
        told = torch.cat([head(part, size).argmax(1) for part in seen.grid.split(how.batch)])
        predicted = told.to("cpu", torch.uint8).numpy()
        counts += confusion(truth, predicted, classes.count, classes.count)
        pictures.add(seen.record, seen.frames, truth, predicted)
        number += 1
    if not number:
        raise DatasetError(f"not one of {len(table)} test {classes.thing}s could be read")
    return counts, pictures, number
