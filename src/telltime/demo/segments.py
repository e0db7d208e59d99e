"""Masks without labels: places of frames clustered, before and after tuning on what the videos themselves show."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.dense import load_dense
from telltime.datasets import load as load_data
from telltime.datasets.generated_masks import generate_masked
from telltime.datasets.record import Record, Table
from telltime.features.kmeans import FAISS_POINTS, centroids, drawn_places, nearest
from telltime.features.principal import ScaledComponents
from telltime.media.video import Video
from telltime.metrics.segmentation import confusion, matched_iou
from telltime.tasks.clustering import Settings, clustering
from telltime.training.build import resolve
from telltime.training.progress import Sink
from telltime.training.run import Run
from telltime.training.start import train
from telltime.views.dense import resized

RECIPE = "timet"
BEFORE, AFTER = "as it comes", "tuned on time"
EPOCHS = 4
SIZE = 224
"""Shorter side of what is segmented, in pixels."""

_CLUSTERS, _SHOTS, _FRAMES, _CELL = 4, 3, 3, 16
_FOOTAGE: dict[str, Any] = {"sequences": 18, "frames": 12, "size": (120, 160), "objects": 2, "newcomers": 0}


@dataclass(frozen=True)
class Shot:
    """A real shot and its clusters.

    Attributes:
        name: of its file.
        frames: uint8 ``[n, 3, H, W]``, RGB.
        clusters: by model, uint8 ``[n, H, W]``; the largest is 0, and equal numbers cover much the same places.
    """

    name: str
    frames: np.ndarray = field(repr=False)
    clusters: dict[str, np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Segments:
    """What tuning on time did to masks.

    Attributes:
        videos: it was tuned on.
        steps: of the tuning.
        unseen: drawn sequences with known masks that it was not tuned on.
        miou: model to matched IoU of k-means on those, a clip at a time.
        shots: real shots, segmented by both models.
    """

    videos: int
    steps: int
    unseen: int
    miou: dict[str, float]
    shots: list[Shot]


def segment_shots(
    shots: list[Path],
    folder: Path,
    sink: Sink,
    seed: int = 0,
    max_steps: int | None = None,
    workers: int = 1,
    footage_options: dict[str, Any] | None = None,
) -> Segments:
    """Tune the embedded encoder on real shots and drawn footage, and cluster places with it and without.

    Args:
        shots: real footage, without labels.
        folder: gets ``masks/`` (drawn footage) and ``tuned/`` (the run).
        sink: told of the tuning.
        seed: of footage, weights and batches.
        max_steps: end the tuning early.
        workers: processes that read videos.
        footage_options: other arguments of :func:`telltime.datasets.generated_masks.generate_masked`.
    """
    root = generate_masked(folder / "masks", **_FOOTAGE | {"seed": seed} | (footage_options or {}))
    drawn, unseen = (load_data("davis", root, split) for split in ("train", "val"))
    learn = Table("demo", "train", folder, records=(*drawn.records, *(Record(path.name, path) for path in shots)))
    values = {"data.name": "davis", "data.root": str(root), "epochs": EPOCHS, "max_steps": max_steps}
    values |= {"seed": seed, "workers": workers}
    with Run(folder / "tuned") as run:
        train(resolve(RECIPE, values=values), learn, run, sink, board=False)
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    models = {BEFORE: load_dense(RECIPE), AFTER: load_dense(folder / "tuned")}
    settings = Settings(per="clip", size=SIZE)
    return Segments(
        videos=len(learn),
        steps=max(row["step"] for row in rows if row["kind"] == "step"),
        unseen=len(unseen),
        miou={name: clustering(model, unseen, settings, name=name).metrics["miou"] for name, model in models.items()},
        shots=[_segmented(path, models) for path in shots[:: max(1, len(shots) // _SHOTS)][:_SHOTS]],
    )


def _segmented(path: Path, models: dict[str, DenseEncoder]) -> Shot:
    video = Video(path)
    at = np.linspace(0, video.probe().frames - 1, _FRAMES).round().astype(int).tolist()
    frames = video.frames(at, partial=True).pixels
    found: dict[str, np.ndarray] = {}
    for name, model in models.items():
        clusters = _clusters(model, frames)
        first = next(iter(found.values()), None)
        if first is None:
            order = np.argsort(-np.bincount(clusters.ravel(), minlength=_CLUSTERS), kind="stable")
            found[name] = np.argsort(order).astype(np.uint8)[clusters]
        else:
            same = matched_iou(confusion(first, clusters, _CLUSTERS, _CLUSTERS), "hungarian").mapping
            found[name] = same.astype(np.uint8)[clusters]
    return Shot(path.name, frames.numpy(), found)


@torch.no_grad()
def _clusters(encoder: DenseEncoder, frames: torch.Tensor) -> np.ndarray:
    """Clusters of the places of uint8 ``[n, 3, H, W]``, over all its frames: uint8 ``[n, H, W]``."""
    height, width = frames.shape[-2:]
    scale = SIZE / min(height, width)
    size = tuple(max(1, round(side * scale / _CELL)) * _CELL for side in (height, width))
    grid = encoder(encoder.prepare(resized(frames, (size[0], size[1])))).float()
    learned = ScaledComponents()
    learned.add(grid.permute(0, 2, 3, 1).flatten(0, 2))
    grid = learned.grid(grid)
    means = centroids(drawn_places(grid, (height, width), FAISS_POINTS * _CLUSTERS), _CLUSTERS)
    return nearest(grid, means, (height, width))
