"""Scores of segmentations from one count of pixels: how often each true label met each predicted cluster.

Everything follows from that matrix, int64 ``[labels, clusters]``: it is added to batch by batch, and no pixel is kept.
The scores are those of TimeT (ICCV 2023) and Leopart (CVPR 2022).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

MATCHINGS = ("hungarian", "precision", "iou", "none")
PROTOCOLS = ("frame", "clip", "dataset")
VOID = 255
_TOGETHER = 1 << 16


def confusion(
    truth: np.ndarray, predicted: np.ndarray, labels: int, clusters: int, void: int | None = VOID
) -> np.ndarray:
    """Count the pixels of every label in every cluster: int64 ``[labels, clusters]``.

    Args:
        truth: whole numbers below ``labels``, of any shape.
        predicted: whole numbers below ``clusters``, of the same shape.
        void: label that counts for nothing, which may be beyond ``labels``; ``None`` counts all.

    Raises:
        ValueError: the shapes differ, or a number is out of range.
    """
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise ValueError(f"truth {list(truth.shape)} and prediction {list(predicted.shape)} are of different shapes")
    for name, values in (("labels", truth), ("clusters", predicted)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"{name} are whole numbers, not {values.dtype}")
    rows = max(labels, 0 if void is None else void + 1)
    total = np.zeros(rows * clusters, dtype=np.int64)
    flat, guess = truth.reshape(-1), predicted.reshape(-1)
    kind = np.min_scalar_type(rows * clusters)  # the smaller, the faster
    for start in range(0, flat.size, _TOGETHER):
        asked, told = flat[start : start + _TOGETHER], guess[start : start + _TOGETHER]
        if int(told.max()) >= clusters or int(told.min()) < 0:
            raise ValueError(f"clusters are 0 to {clusters - 1}, found {int(told.min())} to {int(told.max())}")
        if int(asked.max()) >= rows or int(asked.min()) < 0:
            raise ValueError(f"labels are 0 to {labels - 1}, found {int(asked.min())} to {int(asked.max())}")
        both = asked.astype(kind)
        both *= kind.type(clusters)
        both += told.astype(kind, copy=False)
        total += np.bincount(both, minlength=rows * clusters)
    counts = total.reshape(rows, clusters)
    beyond = [label for label in range(labels, rows) if label != void and counts[label].any()]
    if beyond:
        raise ValueError(f"labels are 0 to {labels - 1}, found {beyond[-1]}")
    if void is not None and void < labels:
        counts[void] = 0
    return counts[:labels]


@dataclass(frozen=True)
class Matched:
    """Clusters with labels, and how well they fit.

    Attributes:
        labels: those present in the truth, ascending, int64 ``[L]``.
        iou: of each, float64 ``[L]``: TP / (TP + FP + FN).
        mean: over the labels counted; 0 when there is none.
        tp, fp, fn: pixels of each label, int64 ``[L]``.
        mapping: label that each cluster stands for, int64 ``[clusters]``.
    """

    labels: np.ndarray
    iou: np.ndarray
    mean: float
    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    mapping: np.ndarray


def matched_iou(counts: np.ndarray, matching: str = "hungarian", background: bool = True) -> Matched:
    """Give every cluster a label and measure intersection over union of the labels.

    Args:
        counts: :func:`confusion`, int64 ``[labels, clusters]``. Labels with no pixel take no part.
        matching: ``"hungarian"``: one cluster for each label, so that the sum of IoUs is largest; clusters left over
            go to the first label present (the background, where there is any). ``"precision"``: every cluster to the
            label that most of its pixels have, ``"iou"``: to the label that it has the largest IoU with, in both to
            the first of equals. ``"none"``: cluster i is label i.
        background: whether label 0 counts in the mean.

    Raises:
        ValueError: an unknown matching, or a matrix of another kind.
    """
    if matching not in MATCHINGS:
        raise ValueError(f"matching is one of {', '.join(MATCHINGS)}, not {matching!r}")
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.dtype.kind not in "iu":
        raise ValueError(f"counts are whole numbers [labels, clusters], not {counts.dtype} {list(counts.shape)}")
    all_labels, clusters = counts.shape
    present = np.flatnonzero(counts.any(1))
    if not len(present):
        empty = np.zeros(0, dtype=np.int64)
        return Matched(empty, np.zeros(0), 0.0, empty, empty, empty, np.zeros(clusters, dtype=np.int64))
    met = counts[present].astype(np.int64)
    if matching == "none":
        mapping = np.arange(clusters)
    else:
        mapping = present[_places(met, matching)]
    joined = np.zeros((len(present), max(all_labels, int(mapping.max()) + 1)), dtype=np.int64)
    np.add.at(joined.T, mapping, met.T)
    hits = joined[np.arange(len(present)), present]
    missed, wrong = met.sum(1) - hits, joined[:, present].sum(0) - hits
    iou = hits / np.maximum(hits + missed + wrong, 1e-8)
    scored = iou if background else iou[present != 0]
    return Matched(present, iou, float(scored.mean()) if len(scored) else 0.0, hits, wrong, missed, mapping)


def _places(met: np.ndarray, matching: str) -> np.ndarray:
    """Row of ``met`` that each cluster goes to, int64 ``[clusters]``."""
    sizes = met.sum(0)
    if matching == "precision":
        return met.argmax(0)
    iou = met / np.maximum(met.sum(1)[:, None] + sizes[None] - met, 1e-8)
    if matching == "iou":
        return iou.argmax(0)
    from scipy.optimize import linear_sum_assignment

    places = np.zeros(met.shape[1], dtype=np.int64)
    rows, columns = linear_sum_assignment(1 - iou)
    places[columns] = rows
    return places


def localisation(
    truth: np.ndarray,
    predicted: np.ndarray,
    protocol: str = "frame",
    matching: str = "hungarian",
    background: bool = True,
    void: int | None = VOID,
) -> float:
    """Mean IoU of clips, matched anew for every frame or clip, or once for all.

    Args:
        truth: whole numbers below 256, ``[clips, frames, H, W]``.
        predicted: clusters, of the same shape.
        protocol: ``"frame"`` or ``"clip"``, whose scores are averaged, or ``"dataset"``.
        void: label left out; ``None`` counts it as a label like others, as published for frames and clips.

    Raises:
        ValueError: an unknown protocol, or arrays of another kind.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 4 or truth.shape != predicted.shape:
        raise ValueError(f"clips are [clips, frames, H, W], not {list(truth.shape)} and {list(predicted.shape)}")
    clusters = int(predicted.max()) + 1
    flat = {"frame": truth.shape[0] * truth.shape[1], "clip": truth.shape[0], "dataset": 1}[protocol]
    groups = zip(truth.reshape(flat, -1), predicted.reshape(flat, -1), strict=True)
    return mean_iou((confusion(*group, 256, clusters, void) for group in groups), matching, background)


def mean_iou(counts: Iterable[np.ndarray], matching: str = "hungarian", background: bool = True) -> float:
    """The mean of :func:`matched_iou` over several matrices; those without a single label are left out."""
    scores = [matched_iou(each, matching, background).mean for each in counts if each.any()]
    return float(np.mean(scores)) if scores else 0.0
