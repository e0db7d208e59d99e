"""Masks of objects through a video, measured as DAVIS does: region J, boundary F, and their course over time.

Perazzi et al., CVPR 2016, for one object; Pont-Tuset et al., "The 2017 DAVIS Challenge", for several.
"""

from dataclasses import dataclass

import numpy as np

from telltime.metrics.boundary import TOLERANCE, boundary_f

BINS = 4
"""Parts of a video; the decay is between the first and the last."""

SUCCESS = 0.5
"""A frame counts for the recall above this."""


@dataclass(frozen=True)
class Course:
    """One measure of one object over the frames of a video.

    Attributes:
        mean: over frames.
        recall: share of frames above 0.5.
        decay: mean of the first quarter of the frames less that of the last; below 0 where it got better.
    """

    mean: float
    recall: float
    decay: float


def region_j(predicted: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of boolean masks ``[..., H, W]``: float64 ``[...]``, 1 where both are empty.

    ``void`` are pixels that count for nothing, of a shape that broadcasts to the masks'.
    """
    predicted, truth = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of {list(predicted.shape)} cannot be compared with masks of {list(truth.shape)}")
    both, either = predicted & truth, predicted | truth
    if void is not None:
        kept = ~np.asarray(void, dtype=bool)
        both, either = both & kept, either & kept
    shared = np.count_nonzero(both, axis=(-2, -1)).astype(np.float64)
    union = np.count_nonzero(either, axis=(-2, -1))
    return np.where(union == 0, 1.0, shared / np.maximum(union, 1))


def score_objects(
    predicted: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None, tolerance: float = TOLERANCE
) -> tuple[np.ndarray, np.ndarray]:
    """J and F of every object in every frame.

    Args:
        predicted: boolean ``[objects, T, H, W]``; objects of the truth that it lacks are taken for never seen.
        truth: boolean ``[objects, T, H, W]``.
        void: boolean ``[T, H, W]``, pixels that count for nothing.

    Returns:
        Two arrays, float64 ``[objects, T]``.

    Raises:
        ValueError: more objects are predicted than there are.
    """
    if len(predicted) > len(truth):
        raise ValueError(f"{len(predicted)} objects are predicted where the truth has {len(truth)}")
    j, f = np.empty(truth.shape[:2]), np.empty(truth.shape[:2])
    nothing = np.zeros(truth.shape[1:], dtype=bool)
    for at in range(len(truth)):
        mask = predicted[at] if at < len(predicted) else nothing
        j[at], f[at] = region_j(mask, truth[at], void), boundary_f(mask, truth[at], void, tolerance)
    return j, f


def score_labels(
    predicted: np.ndarray,
    truth: np.ndarray,
    objects: list[int],
    void: int = 255,
    tolerance: float = TOLERANCE,
) -> tuple[np.ndarray, np.ndarray]:
    """J and F, float64 ``[objects, T]``, of label maps uint8 ``[T, H, W]``, a frame at a time.

    Args:
        objects: labels that are scored.
        void: label of the truth whose pixels count for nothing.

    Raises:
        ValueError: the maps differ in shape, or a label is predicted that is neither 0, ``void`` nor an object.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"label maps of {list(predicted.shape)} cannot be compared with {list(truth.shape)}")
    known = np.zeros(256, dtype=bool)
    known[[0, void, *objects]] = True
    j, f = np.empty((len(objects), len(truth))), np.empty((len(objects), len(truth)))
    for t, (guess, real) in enumerate(zip(predicted, truth, strict=True)):
        there = np.flatnonzero(np.bincount(guess.ravel(), minlength=256))
        if unknown := there[~known[there]].tolist():
            raise ValueError(f"frame {t} of the prediction holds objects {unknown}, the video has {objects}")
        missing = real == void
        ignored = missing if missing.any() else None
        for at, label in enumerate(objects):
            masks = guess == label, real == label
            j[at, t], f[at, t] = region_j(*masks, ignored), boundary_f(*masks, ignored, tolerance)
    return j, f


def course(values: np.ndarray) -> Course:
    """Mean, recall and decay of one object's measure, float ``[T]``; NaN where a frame was not measured.

    Quarters share the frame between them, as DAVIS cuts them.
    """
    values = np.asarray(values, dtype=np.float64)
    if not len(values) or np.isnan(values).all():
        return Course(float("nan"), float("nan"), float("nan"))
    cuts = np.floor(np.linspace(1, len(values), BINS + 1) + 0.5 + 1e-10).astype(np.int64) - 1
    first, last = values[cuts[0] : cuts[1] + 1], values[cuts[-2] : cuts[-1] + 1]
    seen = values[~np.isnan(values)]
    return Course(float(seen.mean()), float((seen > SUCCESS).mean()), _mean(first) - _mean(last))


def _mean(values: np.ndarray) -> float:
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if len(seen) else float("nan")
