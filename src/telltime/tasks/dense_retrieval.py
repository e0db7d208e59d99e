"""Segmentation by nearest neighbours: every place of a picture is told by the labelled places most like it.

The dense retrieval of Balazevic et al., "Towards in-context scene understanding", NeurIPS 2023, with the settings of
its open reproduction (open-hummingbird-eval): 30 neighbours by cosine, weighed by a softmax of temperature 0.02, from a
memory of places drawn so that rare classes are kept. Neighbours are exact, and frames are divided by the standard
deviations that the network was trained with (the reproduction divides blue by 0.255).
"""

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.clips.item import item_rng
from telltime.datasets.record import DatasetError, Table
from telltime.features.crops import Crops
from telltime.features.dense import Choose, View, drawn_frames, see
from telltime.features.memory_bank import MemoryBank, shares_of, varied_places
from telltime.metrics.segmentation import confusion, matched_iou
from telltime.tasks.dense import Pictures, called, describe_encoder, describe_masks, deviation, masked, streaming
from telltime.tasks.mask_classes import MaskClasses
from telltime.tasks.measuring import Reading
from telltime.tasks.result import Result
from telltime.views.dense import upsampled


@dataclass(frozen=True)
class RetrievalSettings:
    """How the memory is filled and asked.

    Attributes:
        size: side that frames are brought to, cut to a multiple of the network's stride (512 stays 512 at a patch of
            16, and is 504 at one of 14).
        memory: places kept; 0: all there are.
        neighbours: places that each one is told by.
        temperature: of the softmax over their cosines.
        rounds: passes over the training frames, each with other crops.
        crops: parts of frames that are remembered; ``None`` takes whole frames.
        void: of remembered places, what void pixels are: ``"background"`` (class 0, as published) or ``"nothing"``.
        frames: annotated frames taken of each video; 0: all.
    """

    size: int = 512
    memory: int = 1024 * 100
    neighbours: int = 30
    temperature: float = 0.02
    rounds: int = 2
    crops: Crops | None = Crops((0.5, 2.0), jitter=0.1)  # noqa: RUF009
    void: str = "background"
    frames: int = 0


PRESETS = {
    "paper": RetrievalSettings(),
    "plain": RetrievalSettings(rounds=1, crops=None, void="nothing"),
}


def settings_of(preset: str = "paper", **changes: Any) -> RetrievalSettings:
    """A preset with some settings changed.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"presets of dense-retrieval are {', '.join(PRESETS)}, not {preset}")
    return replace(PRESETS[preset], **changes)


def dense_retrieval(
    encoder: DenseEncoder,
    train: Table,
    test: Table,
    settings: RetrievalSettings,
    how: Reading,
    *,
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Remember places of one split and tell those of the other.

    Of data sets whose labels are objects of single videos, foreground and background are told apart.

    Raises:
        DatasetError: a split has no masks, or none that can be read.
    """
    started = time.monotonic()
    train, test = masked(train), masked(test)
    classes = MaskClasses.of(train, test)
    encoder = encoder.to(how.place()).eval()
    side = max(1, settings.size // encoder.stride) * encoder.stride
    bank = fill(encoder, train, settings, how, classes, side, seed)
    counts = np.zeros((classes.count, classes.count), dtype=np.int64)
    pictures = Pictures([record.id for record in test.records])
    choose = drawn_frames(settings.frames, seed)
    view, number = View(side, side, deviation(encoder, test), shown=True), 0
    for seen in see(encoder, test.records, view, choose, **streaming(how), progress=how.told("test")):
        assert seen.labels is not None
        assert seen.frames is not None
        truth = classes.told(seen.labels)
        predicted = np.stack([_told(bank, grid, settings, side) for grid in seen.grid])
        counts += confusion(truth, predicted, classes.count, classes.count)
        pictures.add(seen.record, seen.frames, truth, predicted)
        number += 1
    if not number:
        raise DatasetError(f"not one of {len(test)} test {classes.thing}s could be read")
    scored = matched_iou(counts, "none")
    return Result(
        task="dense-retrieval",
        protocol=called(settings, PRESETS),
        metrics={
            "miou": scored.mean,
            "accuracy": float(np.trace(counts) / max(1, counts.sum())),
            "memory": float(len(bank)),
        },
        model=describe_encoder(encoder, side, name),
        data=describe_masks([train, test]) | {"settings": asdict(settings)},
        records=number,
        dropped=how.policy.dropped,
        seconds=time.monotonic() - started,
        details={
            "per_class": dict(zip(classes.names(scored.labels), scored.iou.tolist(), strict=True)),
            "notes": classes.notes,
            "things": classes.thing,
            **pictures.details(),
        },
    )


def fill(
    encoder: DenseEncoder,
    table: Table,
    settings: RetrievalSettings,
    how: Reading,
    classes: MaskClasses,
    side: int,
    seed: int,
) -> MemoryBank:
    """The memory of a split's places.

    As many places of every frame and round are kept as share the memory evenly among them. A memory smaller than that
    keeps one place each of as many frames, drawn at random.

    Raises:
        DatasetError: no place could be kept.
    """
    choose = drawn_frames(settings.frames, seed)
    frames = sum(len(choose(record)) for record in table.records)
    if settings.memory and settings.memory < frames * settings.rounds:
        chosen = _some(table, choose, max(1, settings.memory // settings.rounds), seed)
        choose = lambda record: chosen.get(record.id, [])  # noqa: E731
        table = table.take([i for i, record in enumerate(table.records) if chosen.get(record.id)])
        frames = sum(map(len, chosen.values()))
    with torch.inference_mode():
        rows, columns = encoder(torch.zeros(1, 3, side, side, device=how.place())).shape[-2:]
    places = rows * columns
    count = min(places, max(1, settings.memory // (frames * settings.rounds))) if settings.memory else places
    cell = max(1, -(-side // max(rows, columns)))
    view = View(side, (rows * cell, columns * cell), deviation(encoder, table))
    bank = MemoryBank(encoder.channels, classes.count, frames * settings.rounds * count, how.place())
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(settings.rounds):
        alter = settings.crops.of(seed, epoch, side, view.labels) if settings.crops else None
        told = how.told(f"memory, round {epoch + 1}")
        for seen in see(encoder, table.records, view, choose, alter=alter, **streaming(how), progress=told):
            assert seen.labels is not None
            labels = torch.from_numpy(classes.told(seen.labels))
            if settings.void == "background":
                labels = labels.masked_fill(labels == 255, 0)
            shares = shares_of(labels, (rows, columns), classes.count).flatten(1, 2)
            features = seen.grid.flatten(2).transpose(1, 2)
            for one, share, kept in zip(features, shares, varied_places(shares, count, generator), strict=True):
                bank.add(one[kept.to(one.device)], share[kept])
    if not len(bank):
        raise DatasetError(f"not one labelled place of {len(table)} training {classes.thing}s could be read")
    return bank


def _told(bank: MemoryBank, grid: Tensor, settings: RetrievalSettings, side: int) -> np.ndarray:
    """Classes uint8 ``[side, side]`` of one frame's grid ``[C, h, w]``."""
    _, h, w = grid.shape
    shares = bank.shares(grid.flatten(1).T, settings.neighbours, settings.temperature)
    scores = upsampled(shares.T.reshape(1, -1, h, w), (side, side))
    return np.asarray(scores[0].argmax(0).to("cpu", torch.uint8).numpy())


def _some(table: Table, choose: Choose, count: int, seed: int) -> dict[str, list[int]]:
    """``count`` of all frames, by record."""
    every = [(record.id, index) for record in table.records for index in choose(record)]
    rng = item_rng(seed, 0, "\0memory")
    chosen: dict[str, list[int]] = {}
    for at in sorted(rng.permutation(len(every))[:count].tolist()):
        chosen.setdefault(every[at][0], []).append(every[at][1])
    return chosen
