"""Action recognition: the classes that a model's own classifier tells of unseen videos.

As TIME publishes it (and Something-Something-V2's tables in general) a video is seen in one clip of frames spread over
all of it and three crops; the scores of these views are summed as they come. A network trained on consecutive frames is
asked at ten places of the video instead.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from telltime.checkpoints.model import Model
from telltime.clips.item import Item, ItemReader
from telltime.datasets.record import DatasetError, Table
from telltime.media.files import whole
from telltime.metrics.classification import confusion, fused_scores, per_class, topk_accuracy
from telltime.tasks.clip_outputs import Said, clip_outputs, is_first
from telltime.tasks.measuring import Reading, describe_data, describe_model, labelled, partial_notes
from telltime.tasks.result import Result
from telltime.tasks.vocabulary import columns_of
from telltime.views.time_reader import TimeTestReader

Fuse = Literal["sum", "softmax", "max"]
KS = (1, 5)
_BEST = 5


@dataclass(frozen=True)
class Sights:
    """How a video is seen.

    Attributes:
        views: clips over time; ``None`` for 1 where frames are spread over the whole video, else 10.
        crops: of each, 1 or 3; ``None`` for 3 where frames are spread, else 1. Consecutive frames are cut once only.
    """

    views: int | None = None
    crops: int | None = None

    def reader(self, model: Model) -> ItemReader:
        """What reads videos so for a model.

        Raises:
            DatasetError: three crops of consecutive frames.
        """
        clip = model.clip
        if clip.sampling == "segments":
            return TimeTestReader(clip.size, clip.frames, self.views or 1, self.crops or 3, 1 / clip.crop)
        if (self.crops or 1) != 1:
            raise DatasetError("a model of consecutive frames sees the middle of each; leave --crops out, or take 1")
        return model.reader(self.views or 10)

    def told(self, model: Model) -> str:
        """In words."""
        spread = model.clip.sampling == "segments"
        views, crops = self.views or (1 if spread else 10), self.crops or (3 if spread else 1)
        return f"{views} x {crops} views"


def action(
    model: Model,
    test: Table,
    reading: Reading | None = None,
    *,
    sights: Sights | None = None,
    fuse: Fuse = "sum",
    out: Path | None = None,
    name: str | None = None,
) -> Result:
    """Accuracy of a model's classifier.

    Metrics: ``top1``, ``top5``, ``mean_class_top1`` of videos, ``clip_top1`` of single views. Details: ``confusion``,
    ``classes``, ``per_class``, ``chance``, ``most_frequent``, ``notes``.

    Args:
        fuse: see :func:`~telltime.metrics.classification.fused_scores`.
        out: folder that gets ``predictions.json`` and, in its order, ``scores.safetensors``.

    Raises:
        DatasetError: the model has no classifier, or one of other classes; there are no labels, or nothing can be read.
    """
    started, reading, sights = time.monotonic(), reading or Reading(), sights or Sights()
    test = labelled(test)
    columns, names = columns_of(model, test)
    reader = sights.reader(model)

    def say(batch: Item, _: Table) -> Said:
        return {"logits": view_scores(model, batch, reading.batch), "present": batch["present"]}

    found = clip_outputs(model, test, reader, reading, say)
    logits, present = found.values["logits"], found.values["present"]
    labels = torch.from_numpy(columns[found.table.labels()])
    scores = fused_scores(logits, present, fuse)
    best = {f"top{k}": value for k, value in topk_accuracy(scores, labels, KS).items()}
    right = (logits.argmax(-1) == labels[:, None])[present].double().mean()
    matrix = confusion(labels.numpy(), scores.argmax(1).numpy(), logits.shape[-1])
    by_class = per_class(matrix)
    if out is not None and is_first():
        write_predictions(out, found.table, scores, labels, names)
    return Result(
        task="action",
        protocol=f"{sights.told(model)}, {fuse}",
        metrics=best | {"mean_class_top1": float(np.nanmean(by_class)), "clip_top1": float(right)},
        model=describe_model(model, name),
        data=describe_data((test,)),
        records=len(found),
        dropped=found.dropped,
        seconds=time.monotonic() - started,
        details=_details(matrix, by_class, names, labels) | {"notes": partial_notes((test,))},
    )


def view_scores(model: Model, batch: Item, together: int) -> Tensor:
    """The classifier's scores of a batch's clips, float32 ``[B, P, K]``; 0 for clips that are absent."""
    present = batch["present"]
    assert model.classifier is not None
    with torch.no_grad():
        said = model.classifier(model.for_classes(batch["clips"][present], together)).float().cpu()
    scores = said.new_zeros(*present.shape, said.shape[-1])
    scores[present] = said
    return scores


def write_predictions(folder: Path, table: Table, scores: Tensor, labels: Tensor, names: tuple[str, ...]) -> None:
    """What was said of each video: its best classes as JSON, all scores as tensors in the same order.

    Args:
        scores: float ``[N, K]``.
        labels: int64 ``[N]``, columns of ``scores``.
        names: of the columns.
    """
    best = scores.topk(min(_BEST, scores.shape[1]), 1)
    videos: list[dict[str, Any]] = []
    for record, label, values, places in zip(
        table.records, labels.tolist(), best.values.tolist(), best.indices.tolist(), strict=True
    ):
        top = [{"class": names[place], "score": round(value, 5)} for place, value in zip(places, values, strict=True)]
        videos.append({"id": record.id, "class": names[label], "right": places[0] == label, "top": top})
    with whole(folder / "predictions.json") as beside:
        beside.write_text(json.dumps({"classes": list(names), "videos": videos}, indent=1) + "\n")
    with whole(folder / "scores.safetensors") as beside:
        save_file({"scores": scores.contiguous(), "labels": labels.contiguous()}, beside)


def _details(matrix: np.ndarray, by_class: np.ndarray, names: tuple[str, ...], labels: Tensor) -> dict[str, Any]:
    """What the report shows, of the classes that have videos or were named."""
    seen = np.flatnonzero(matrix.sum(0) + matrix.sum(1))
    counts = np.bincount(labels.numpy(), minlength=len(names))
    return {
        "confusion": matrix[np.ix_(seen, seen)],
        "classes": [names[i] for i in seen],
        "per_class": {names[i]: float(by_class[i]) for i in seen if counts[i]},
        "chance": {f"top{k}": min(1.0, k / len(names)) for k in KS},
        "most_frequent": float(counts.max() / counts.sum()),
    }
