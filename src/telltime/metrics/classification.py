"""Accuracy of class scores: of clips, of videos, by class."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch.nn.functional as F
from torch import Tensor


def video_scores(logits: Tensor, present: Tensor) -> Tensor:
    """Class shares of videos: the mean, over the clips that are there, of each clip's softmax.

    Args:
        logits: float ``[N, P, K]``, ``P`` clips a video.
        present: bool ``[N, P]``; what the logits of an absent clip hold does not matter.

    Returns:
        ``[N, K]`` in 0 to 1, rows sum to 1; all zero where a video has no clip.
    """
    shares = logits.softmax(-1).masked_fill(~present[..., None], 0.0)
    return shares.sum(1) / present.sum(1, keepdim=True).clamp_min(1).to(shares.dtype)


def fused_scores(logits: Tensor, present: Tensor, fuse: Literal["sum", "softmax", "max"] = "sum") -> Tensor:
    """Scores of videos from those of their clips, ``[N, K]``; all zero where a video has no clip.

    Args:
        logits: float ``[N, P, K]``, ``P`` clips a video.
        present: bool ``[N, P]``.
        fuse: ``"sum"`` of the scores as they come, as TIME's tests publish; ``"softmax"``, the mean of class shares;
            ``"max"`` of the scores, which as published begins at 0 and so knows nothing below it.
    """
    if fuse == "softmax":
        return video_scores(logits, present)
    if fuse not in ("sum", "max"):
        raise ValueError(f'scores of clips are joined by "sum", "softmax" or "max", not {fuse!r}')
    held = logits.masked_fill(~present[..., None], 0.0)
    return held.sum(1) if fuse == "sum" else held.amax(1).clamp_min(0.0)


def validation_loss(logits: Tensor, labels: Tensor, present: Tensor, batch: int = 48) -> float:
    """Cross-entropy as TCLR's probe reports it: averaged in a batch, over batches, then over positions.

    Args:
        logits: float ``[N, P, K]``; one pass a position over the ``N`` videos in batches of ``batch``.
        labels: int64 ``[N]``.
        present: bool ``[N, P]``; absent clips are left out of their batch.
    """
    positions = []
    for position in range(logits.shape[1]):
        losses = []
        for first in range(0, len(logits), batch):
            rows = slice(first, first + batch)
            there = present[rows, position]
            if there.any():
                losses.append(float(F.cross_entropy(logits[rows, position][there], labels[rows][there])))
        if losses:
            positions.append(float(np.mean(losses)))
    return float(np.mean(positions)) if positions else float("nan")


def ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """int64 ``[N]``: how many other classes score as high as the right one or higher; a tie is no hit."""
    return (scores >= scores.gather(1, labels[:, None])).sum(1) - 1


def topk_accuracy(scores: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5)) -> dict[int, float]:
    """Share of rows whose class is among the ``k`` highest scores; equal scores count against it.

    Args:
        scores: float ``[N, K]``.
        labels: int64 ``[N]``, 0 to K-1.

    Raises:
        ValueError: no rows, a label outside the scores, or a score that is not a number.
    """
    if not len(labels):
        raise ValueError("accuracy of no rows")
    if scores.isnan().any():
        raise ValueError("scores hold values that are not numbers")
    if int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]:
        raise ValueError(f"labels {int(labels.min())} to {int(labels.max())} do not fit {scores.shape[1]} classes")
    place = ranks(scores, labels)
    return {k: float((place < k).double().mean()) for k in ks}


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """int64 ``[classes, classes]``: rows are the true class, columns the predicted one."""
    flat = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predictions, dtype=np.int64)
    return np.bincount(flat, minlength=classes * classes).reshape(classes, classes)


def per_class(matrix: np.ndarray) -> np.ndarray:
    """float64 ``[K]``: share of each class that is right in a confusion matrix; NaN for a class with no example."""
    total = matrix.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, np.diag(matrix) / total, np.nan)
