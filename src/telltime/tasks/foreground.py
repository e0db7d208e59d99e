"""Cluster-based foreground extraction: objects cut out by what a transformer looks at, without naming them.

Places of all pictures are clustered finely. The clusters that lie where the class token attends are foreground. How
much they have to is tuned on the training pictures. Then the objects alone are clustered into classes. From Ziegler and
Asano, "Self-supervised learning of object parts for semantic segmentation" (Leopart), CVPR 2022. Presets:

``paper``
    TimeT's program (ICCV 2023): 300 clusters of either split by itself; the truth tunes the threshold; void pixels are
    foreground in Jaccard; borders are compared with those of the **background**, void apart, and pictures whose
    borders are nowhere near are left out of the mean.
``corrected``
    One clustering of both splits; the attention on the training pictures tunes the threshold, so that no label is
    used; void counts for nothing; borders are those of the foreground, and borders nowhere near score 0.
``leopart``
    200 clusters of both splits by cosine; the rest as ``paper``.

Clusters are found at the grid's own places and brought to the masks by nearest pixel, which is the same as clustering
upsampled places, but that k-means draws its points from the grid. Precisions and the Jaccard of every cut come from
one count of pixels by picture and cluster.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.errors import CheckpointError
from telltime.datasets.masks import VOID
from telltime.datasets.record import Table
from telltime.features.crops import nearest as nearest_pixels
from telltime.features.kmeans import FAISS_POINTS, centroids, drawn_places, nearest
from telltime.features.principal import ScaledComponents
from telltime.features.spool import Spool
from telltime.metrics.boundary_fscore import mean_bfscore
from telltime.metrics.foreground import (
    ClusterCounts,
    cluster_precisions,
    count_pixels,
    cuts,
    foreground_clusters,
    joined,
    mean_jaccard,
    threshold_of,
)
from telltime.metrics.segmentation import confusion, matched_iou
from telltime.tasks.dense import (
    Pictures,
    called,
    describe_encoder,
    describe_masks,
    masked,
    of_instances,
    things,
)
from telltime.tasks.foreground_places import Places, cluster_places, read_places, reduce_places
from telltime.tasks.measuring import Reading, partial_notes
from telltime.tasks.result import Result

_TOGETHER = 64
_LABELS = 256


@dataclass(frozen=True)
class ForegroundSettings:
    """How foreground is found and scored; see the module for what the presets set.

    Attributes:
        k: clusters of the foreground's search.
        classes: clusters of the objects found; ``None``: as many as the masks have labels.
        size: side that frames are squashed to.
        masks: side of the masks that are scored.
        components: principal components that are clustered.
        border: pixels nearer than which borders meet.
        joint: cluster both splits together.
        spherical: by cosine.
        tuned_on: ``"truth"`` or ``"attention"`` of the training pictures.
        void_counts: void pixels are foreground in Jaccard; otherwise they count for nothing.
        background_border: compare borders with the background's, as published.
        share: of the attention that is looked at.
        iterations, restarts, points: of k-means; ``points`` per cluster are learned from.
        frames: annotated frames taken of each video; 0: all.
    """

    k: int = 300
    classes: int | None = None
    size: int = 448
    masks: int = 100
    components: int = 50
    border: int = 16
    joint: bool = False
    spherical: bool = False
    tuned_on: str = "truth"
    void_counts: bool = True
    background_border: bool = True
    share: float = 0.65
    iterations: int = 50
    restarts: int = 5
    points: int = FAISS_POINTS
    frames: int = 0

    def __post_init__(self) -> None:
        if self.tuned_on not in ("truth", "attention"):
            raise ValueError(f"the threshold is tuned on truth or attention, not {self.tuned_on!r}")


PRESETS = {
    "paper": ForegroundSettings(),
    "corrected": ForegroundSettings(joint=True, tuned_on="attention", void_counts=False, background_border=False),
    "leopart": ForegroundSettings(k=200, joint=True, spherical=True),
}


def settings_of(preset: str = "paper", **changes: Any) -> ForegroundSettings:
    """A preset with some settings changed.

    Raises:
        ValueError: there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"presets of foreground are {', '.join(PRESETS)}, not {preset}")
    return replace(PRESETS[preset], **changes)


def foreground(
    encoder: DenseEncoder,
    train: Table,
    test: Table,
    settings: ForegroundSettings | None = None,
    reading: Reading | None = None,
    *,
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Cut the test split's objects out and score them.

    Metrics: ``jaccard`` (mean over frames), ``boundary_f``, ``threshold`` (of precision), ``foreground_share`` (of
    pixels cut out), and ``miou`` of the objects clustered, one cluster a label.

    Raises:
        DatasetError: a split has no masks, or nothing of it could be read.
        CheckpointError: the network has no class token to attend with.
    """
    started, settings, how = time.monotonic(), settings or ForegroundSettings(), reading or Reading()
    train, test = masked(train), masked(test)
    encoder = encoder.to(how.place()).eval()
    _check_attention(encoder, settings.size, name)
    pictures = Pictures([record.id for record in test.records])
    shared = ScaledComponents(settings.components) if settings.joint else None
    with Spool() as first, Spool() as second:
        learning, asked = (
            Places(table, shared or ScaledComponents(settings.components), spool)
            for table, spool in ((train, first), (test, second))
        )
        for split in (learning, asked):
            read_places(split, encoder, settings, how, pictures, seed)
        both = reduce_places(learning, asked)
        told = how.told("clustering")
        cluster_places(learning, asked, both, settings)
        if told is not None:
            told(1, 2)
        known = _counts(learning, settings)
        counts = _counts(asked, settings)
        pseudo = known if settings.tuned_on == "truth" else _as_truth(known)
        threshold = threshold_of(cuts(pseudo, cluster_precisions(known)))
        precisions = cluster_precisions(counts)
        chosen = foreground_clusters(precisions, threshold)
        miou = _objects(asked, chosen, settings)
        if told is not None:
            told(2, 2)
    scores = {"jaccard": mean_jaccard(counts, chosen), "boundary_f": _border(asked, chosen, settings)}
    cut = chosen[asked.clusters]
    for record, rows, frames in asked.shown:
        found = nearest_pixels(cut[rows], asked.labels.shape[1:]).astype(np.uint8)
        pictures.add(record, frames, _binary(asked.labels[rows]), found)
    notes = partial_notes([train, test])
    if not chosen.any():
        notes.append(f"No cluster of the test split reaches the threshold of {threshold:.2f}: nothing was cut out.")
    if of_instances(test):
        notes.append("Labels are objects of single videos, yet miou matches them over all: read jaccard.")
    return Result(
        task="foreground",
        protocol=called(settings, PRESETS),
        metrics={
            **{key: value for key, value in scores.items() if not np.isnan(value)},
            "miou": miou,
            "threshold": threshold,
            "foreground_share": float(cut.mean()),
        },
        model=describe_encoder(encoder, settings.size, name),
        data=describe_masks([train, test]) | {"settings": asdict(settings)},
        records=asked.records,
        dropped=how.policy.dropped,
        seconds=time.monotonic() - started,
        details={"notes": notes, **things(test), **pictures.details()},
    )


def _check_attention(encoder: DenseEncoder, size: int, name: str | None) -> None:
    """Say at once what would only come after a batch was read."""
    try:
        with torch.inference_mode():
            encoder.attention(encoder.mean.new_zeros(1, 3, size, size))
    except ValueError as error:
        raise CheckpointError(f"{name or encoder.name} cannot tell foreground: {error}") from None


def _counts(split: Places, settings: ForegroundSettings) -> ClusterCounts:
    """Pixels of the masks by frame and cluster."""
    parts = []
    for rows in _parts(len(split.labels)):
        labels = split.labels[rows]
        clusters, attention = (
            nearest_pixels(each[rows], labels.shape[1:]) for each in (split.clusters, split.attention)
        )
        counted = None if settings.void_counts else labels != VOID
        parts.append(count_pixels(clusters, settings.k, attention, labels != 0, counted))
    return joined(parts)


def _as_truth(counts: ClusterCounts) -> ClusterCounts:
    """The attention in the place of the truth."""
    return replace(counts, foreground=counts.attended, truth=counts.attended.sum(1))


def _border(split: Places, chosen: np.ndarray, settings: ForegroundSettings) -> float:
    """Boundary F, mean over frames; NaN when no frame has one."""
    found = nearest_pixels(chosen[split.clusters], split.labels.shape[1:])
    if settings.background_border:
        return mean_bfscore(split.labels == 0, found, settings.border)
    return mean_bfscore(_binary(split.labels) == 1, found, settings.border, missed=0.0)


def _objects(split: Places, chosen: np.ndarray, settings: ForegroundSettings) -> float:
    """mIoU of what was cut out, clustered over all frames; the background's features are 0."""
    labels = np.unique(split.labels)
    k = settings.classes or int((labels != VOID).sum())
    side = (settings.masks, settings.masks)
    cut = chosen[split.clusters]
    learned = ScaledComponents(settings.components)
    for block, mask in _masked(split, cut):
        learned.add((block * mask).permute(0, 2, 3, 1).flatten(0, 2))
    grid = torch.cat([learned.grid(block * mask) for block, mask in _masked(split, cut)])
    means = centroids(drawn_places(grid, side, settings.points * k, 1), k, settings.iterations, settings.restarts, 1)
    counts = np.zeros((_LABELS, len(means)), dtype=np.int64)
    for rows in _parts(len(grid)):
        counts += confusion(split.labels[rows], nearest(grid[rows], means, side), _LABELS, len(means))
    return matched_iou(counts).mean


def _masked(split: Places, cut: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
    """Features ``[n, C, h, w]`` and what of them was cut out, ``[n, 1, h, w]``."""
    at = 0
    for block in split.spool:
        mask = torch.from_numpy(cut[at : at + len(block)]).float()[:, None]
        yield torch.from_numpy(block).float(), mask
        at += len(block)


def _binary(labels: np.ndarray) -> np.ndarray:
    """Labels to 0, 1 and void."""
    return np.where(labels == VOID, VOID, labels > 0).astype(np.uint8)


def _parts(count: int) -> Iterator[slice]:
    return (slice(start, start + _TOGETHER) for start in range(0, count, _TOGETHER))
