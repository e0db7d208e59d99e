"""From clip logits of a test split to a result: the part that all classifying evaluations share."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.datasets.record import Table
from telltime.metrics.classification import confusion, per_class, topk_accuracy, video_scores
from telltime.tasks.measuring import classes_seen

KS = (1, 5)


def score_videos(logits: Tensor, present: Tensor, labels: np.ndarray) -> dict[str, float]:
    """``top1``, ``top5`` of videos and ``mean_class_top1``; a video's score is the mean softmax of its clips.

    Args:
        logits: float ``[N, P, K]``.
        present: bool ``[N, P]``.
        labels: int64 ``[N]``.
    """
    scores = video_scores(logits, present)
    found = topk_accuracy(scores, torch.as_tensor(labels), KS)
    by_class = per_class(confusion(labels, scores.argmax(1).numpy(), logits.shape[-1]))
    return {f"top{k}": value for k, value in found.items()} | {"mean_class_top1": float(np.nanmean(by_class))}


def class_details(logits: Tensor, present: Tensor, train: Table, test: Table) -> dict[str, Any]:
    """``confusion``, ``classes`` and ``per_class`` for the report, of the classes that either split has."""
    seen = classes_seen(train, test)
    predicted = video_scores(logits, present).argmax(1).numpy()
    matrix = confusion(test.labels(), predicted, logits.shape[-1])[np.ix_(seen, seen)]
    names = [test.classes[label] for label in seen]
    shares = zip(names, per_class(matrix).tolist(), strict=True)
    frequent = np.bincount(test.labels()).max() / len(test)
    return {
        "confusion": matrix,
        "classes": names,
        "per_class": {name: share for name, share in shares if not np.isnan(share)},
        "chance": {"top1": 1 / len(seen), "top5": min(1.0, 5 / len(seen))},
        "most_frequent": float(frequent),
    }
