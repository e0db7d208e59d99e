"""Segmentation without labels: places are clustered by their features, clusters matched to the masks' labels.

``clustering`` matches one cluster to each label (Hungarian), ``overclustering`` gives each of many clusters the label
that most of it has. k-means runs over each frame, each clip or the whole data set. Presets:

``paper``
    TimeT (ICCV 2023): frames squashed to 224 pixels, masks to 112; scaling and 50 principal components over 16 clips
    at a time (over everything for a data set); features upsampled to the masks; faiss's k-means, 50 iterations, the
    best of 5 starts. Four frames of each clip, drawn from the annotated ones. Void counts for nothing.
``leopart``
    Leopart (CVPR 2022): 448 pixels, k-means over the grid's own places of the whole data set, masks of 100 pixels,
    100 iterations, the mean of 5 seeds.
``published``
    As TimeT's program scores frames and clips: ``paper``, but void is a label like others, and the score is the mean
    of the means of 16 clips each, the last of which may be fewer.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.dense import DenseEncoder
from telltime.datasets.masks import VOID
from telltime.datasets.record import DatasetError, Record, Table
from telltime.features.dense import Seen, View, drawn_frames, see
from telltime.features.kmeans import FAISS_POINTS, centroids, drawn_places, nearest
from telltime.features.principal import ScaledComponents
from telltime.features.spool import Spool
from telltime.metrics.segmentation import MATCHINGS, PROTOCOLS, Matched, confusion, matched_iou
from telltime.tasks.dense import (
    Pictures,
    describe_encoder,
    describe_masks,
    deviation,
    label_names,
    masked,
    of_instances,
    things,
)
from telltime.tasks.measuring import Reading, partial_notes
from telltime.tasks.result import Result

PRESETS = ("paper", "leopart", "published")
_LABELS = 256


@dataclass(frozen=True)
class Settings:
    """How places are clustered and scored; see the module for what the presets set.

    Attributes:
        per: ``"frame"``, ``"clip"`` or ``"dataset"``: what one k-means runs over.
        k: clusters; ``None``: as many as there are labels in what is clustered.
        matching: ``"hungarian"``, ``"precision"`` or ``"iou"``; see :func:`telltime.metrics.segmentation.matched_iou`.
        size: side of the frames in pixels.
        masks: side of the masks.
        frames: annotated frames of a clip that are looked at, 0 for all.
        components: principal components that are clustered.
        group: clips that scaling and components are learned from together, of frames and clips.
        smooth: features are upsampled bilinearly to the masks; otherwise clusters of the grid are, nearest.
        iterations, restarts, points: of k-means; ``points`` per cluster are learned from.
        seeds: runs of k-means, seeded 1, 2, ..., whose scores are averaged.
        void_counts: void is a label like others.
        by_group: the score is the mean of groups' means.
    """

    per: str = "clip"
    k: int | None = None
    matching: str = "hungarian"
    size: int = 224
    masks: int = 112
    frames: int = 4
    components: int = 50
    group: int = 16
    smooth: bool = True
    iterations: int = 50
    restarts: int = 5
    points: int = FAISS_POINTS
    seeds: int = 1
    void_counts: bool = False
    by_group: bool = False

    def __post_init__(self) -> None:
        if self.per not in PROTOCOLS:
            raise ValueError(f"per is one of {', '.join(PROTOCOLS)}, not {self.per!r}")
        if self.matching not in MATCHINGS[:3]:
            raise ValueError(f"matching is one of {', '.join(MATCHINGS[:3])}, not {self.matching!r}")


def settings_of(task: str, preset: str = "paper", **changed: Any) -> Settings:
    """The settings of a preset for ``"clustering"`` or ``"overclustering"``, some of them changed.

    Overclustering has 500 clusters of a data set and 10 of a frame or clip unless ``k`` says otherwise.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset is one of {', '.join(PRESETS)}, not {preset!r}")
    settings = Settings()
    if preset == "leopart":
        settings = Settings(per="dataset", size=448, masks=100, smooth=False, iterations=100, seeds=5)
    if preset == "published":
        settings = Settings(void_counts=True, by_group=True)
    if task == "overclustering":
        settings = replace(settings, per="dataset", matching="precision")
    settings = replace(settings, **changed)
    if task == "overclustering" and settings.k is None:
        settings = replace(settings, k=500 if settings.per == "dataset" else 10)
    if settings.per == "dataset":
        settings = replace(settings, void_counts=False, by_group=False)
    return settings


def clustering(
    encoder: DenseEncoder,
    table: Table,
    settings: Settings | None = None,
    reading: Reading | None = None,
    *,
    task: str = "clustering",
    preset: str = "",
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Matched IoU of clusters.

    Metrics: ``miou`` (mean over labels, then over what was clustered), ``miou_foreground`` (without label 0, where
    there are others), ``clusters`` (mean number), and of several seeds ``miou_std``.

    Args:
        preset: which preset the settings come from, for the result.
        name: of the model, for the result.
        seed: of the frames drawn.

    Raises:
        DatasetError: nothing has masks, or nothing could be read.
    """
    started, settings, reading = time.monotonic(), settings or Settings(), reading or Reading()
    there = masked(table)
    pictures = Pictures([record.id for record in there.records])
    run = _Run(encoder, there, settings, reading, pictures, seed)
    scores = run.dataset() if settings.per == "dataset" else run.units()
    if not run.records:
        raise DatasetError(f"not one of {len(there)} {table.split} records with masks could be read")
    return Result(
        task=task,
        protocol=f"{preset + ' ' if preset else ''}per {settings.per}, {settings.matching}",
        metrics=scores,
        model=describe_encoder(encoder, settings.size, name),
        data=describe_masks([there]) | {"settings": vars(settings)},
        records=run.records,
        dropped=reading.policy.dropped,
        seconds=time.monotonic() - started,
        details=run.details | pictures.details() | things(there) | {"notes": [*partial_notes([table]), *run.notes()]},
    )


class _Run:
    """One evaluation under way."""

    def __init__(
        self, encoder: DenseEncoder, table: Table, settings: Settings, reading: Reading, pictures: Pictures, seed: int
    ) -> None:
        self.encoder, self.table, self.settings, self.reading = encoder, table, settings, reading
        self.pictures, self.seed = pictures, seed
        self.records = self.alone = self.blank = self.scored = 0
        self.details: dict[str, Any] = {}
        self._side = (settings.masks, settings.masks)
        self._void = None if settings.void_counts else VOID

    def _seen(self) -> Iterator[Seen]:
        """All records, as they are looked at."""
        view = View(self.settings.size, self.settings.masks, deviation(self.encoder, self.table), shown=True)
        for seen in see(
            self.encoder,
            self.table.records,
            view,
            drawn_frames(self.settings.frames, self.seed),
            batch=self.reading.batch,
            threads=self.reading.workers,
            policy=self.reading.policy,
            limits=self.reading.limits,
            progress=self.reading.told(f"{self.table.split}: features"),
        ):
            self.records += 1
            yield seen

    def units(self) -> dict[str, float]:
        """Scores of frames or clips, clustered a group of clips at a time."""
        means: list[np.ndarray] = []
        held: list[Seen] = []
        for seen in self._seen():
            held.append(seen)
            if len(held) == self.settings.group:
                means.append(self._group(held))
                held = []
        if held:
            means.append(self._group(held))
        means = [each for each in means if len(each)]
        if not means:
            return {"miou": 0.0, "clusters": 0.0}
        if self.settings.by_group:
            means = [np.nanmean(each, 0, keepdims=True) for each in means]
        return _metrics(np.concatenate(means))

    def _group(self, clips: Sequence[Seen]) -> np.ndarray:
        """Scores float64 ``[units, seeds, 3]``: mIoU, that without background, clusters."""
        learned = ScaledComponents(self.settings.components)
        for clip in clips:
            learned.add(clip.grid.permute(0, 2, 3, 1).flatten(0, 2))
        rows = []
        for clip in clips:
            assert clip.labels is not None
            grid = learned.grid(clip.grid)
            shown = np.full_like(clip.labels, VOID)
            scores = []
            whole = self.settings.per == "clip"
            for at in [slice(0, len(grid))] if whole else [slice(i, i + 1) for i in range(len(grid))]:
                found = self._unit(grid[at], clip.labels[at])
                if found is not None:
                    scores.append(found[0])
                    shown[at] = found[1]
            rows += scores
            if scores and self.pictures.wants(clip.record) and clip.frames is not None:
                score = float(np.mean([each[:, 0] for each in scores]))
                self.pictures.add(clip.record, clip.frames, clip.labels, shown, score)
        return np.stack(rows) if rows else np.zeros((0, self.settings.seeds, 3))

    def _unit(self, grid: Tensor, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Scores ``[seeds, 3]`` of one frame or clip, and its clusters as labels; ``None`` where all is void."""
        present = self._present(labels)
        if not len(present):
            self.blank += 1
            return None
        self.scored += 1
        self.alone += len(present) == 1
        k = self.settings.k or len(present)
        rows, shown = [], labels
        for seed in range(1, self.settings.seeds + 1):
            means = self._means(grid, k, seed)
            clusters = nearest(grid, means, self._side, self.settings.smooth)
            counts = confusion(labels, clusters, _LABELS, len(means), self._void)
            matched, score = self._score(counts)
            rows.append([*score, k])
            if seed == 1:
                shown = matched.mapping.astype(np.uint8)[clusters]
        return np.array(rows), shown

    def dataset(self) -> dict[str, float]:
        """Scores of all places clustered together."""
        learned = ScaledComponents(self.settings.components)
        kept: list[tuple[int, Record, Tensor]] = []
        labels: list[np.ndarray] = []
        with Spool() as spool:
            for seen in self._seen():
                assert seen.labels is not None
                if self.pictures.wants(seen.record) and seen.frames is not None:
                    kept.append((len(labels), seen.record, seen.frames))
                learned.add(seen.grid.permute(0, 2, 3, 1).flatten(0, 2))
                spool.append(seen.grid.cpu().numpy())
                labels.append(seen.labels)
            if not labels:
                return {}
            grid = torch.cat([learned.grid(torch.from_numpy(block).to(self.encoder.std.device)) for block in spool])
        starts = np.cumsum([0, *map(len, labels)])
        present = sorted({int(label) for each in labels for label in self._present(each)})
        self.scored = self.records
        k = self.settings.k or len(present)
        told = self.reading.told("clustering")
        rows = []
        for seed in range(1, self.settings.seeds + 1):
            means = self._means(grid, k, seed)
            counts = np.zeros((_LABELS, len(means)), dtype=np.int64)
            for start, truth in zip(starts, labels, strict=False):
                clusters = nearest(grid[start : start + len(truth)], means, self._side, self.settings.smooth)
                counts += confusion(truth, clusters, _LABELS, len(means), self._void)
            matched, score = self._score(counts)
            rows.append([*score, k])
            if seed == 1:
                names = label_names(self.table, matched.labels.tolist())
                self.details["per_class"] = dict(zip(names, matched.iou.tolist(), strict=True))
                for at, record, frames in kept:
                    clusters = nearest(grid[starts[at] : starts[at + 1]], means, self._side, self.settings.smooth)
                    self.pictures.add(record, frames, labels[at], matched.mapping.astype(np.uint8)[clusters])
            if told is not None:
                told(seed, self.settings.seeds)
        return _metrics(np.array(rows)[None])

    def _means(self, grid: Tensor, k: int, seed: int) -> Tensor:
        points = drawn_places(grid, self._side, self.settings.points * k, seed, self.settings.smooth)
        return centroids(points, k, self.settings.iterations, self.settings.restarts, seed)

    def _score(self, counts: np.ndarray) -> tuple[Matched, tuple[float, float]]:
        matched = matched_iou(counts, self.settings.matching)
        front = matched.iou[matched.labels != 0]
        return matched, (matched.mean, float(front.mean()) if len(front) else np.nan)

    def _present(self, labels: np.ndarray) -> np.ndarray:
        present = np.unique(labels)
        return present if self._void is None else present[present != self._void]

    def notes(self) -> list[str]:
        """Sentences for the page."""
        thing = {"frame": "frames", "clip": "clips", "dataset": "records"}[self.settings.per]
        notes = []
        if self.alone:
            notes.append(f"{self.alone} of {self.scored} {thing} hold a single label, which no cluster can miss.")
        if self.blank:
            notes.append(f"{self.blank} {thing} are all void and count for nothing.")
        if self.settings.per == "dataset" and of_instances(self.table):
            notes.append("Labels are objects of single videos, yet matched over all of them: read the score per clip.")
        if self._void is None:
            notes.append("As published, void counts as a label.")
        return notes


def _metrics(scores: np.ndarray) -> dict[str, float]:
    """Means of ``[units, seeds, 3]``; units of background alone have no score of the foreground."""
    miou, front, clusters = np.moveaxis(scores, -1, 0)
    front = front[~np.isnan(front)]
    found = {"miou": float(miou.mean()), "clusters": float(clusters.mean())}
    if len(front):
        found["miou_foreground"] = float(front.mean())
    return found | ({"miou_std": float(miou.mean(0).std())} if scores.shape[1] > 1 else {})
