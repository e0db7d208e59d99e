"""How well the time of day is told: of classes, of estimates, of densities.

Hours are floats in [0, 24); densities as in :mod:`telltime.metrics.circular`. Shares are 0 to 1, errors are hours.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from telltime.metrics import circular

CLASSES = 24
SHARES = (0.5, 0.8)
_LENT, _FINE = 0.5, 60


class Reliability(NamedTuple):
    """Predictions sorted by how sure they are, in equal bins of confidence: float64 ``[bins]`` each.

    ``confidence`` and ``accuracy`` are means over a bin, NaN where ``photos`` (int64) is 0.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    photos: np.ndarray


def kept_rows(rows: int, batch: int | None) -> int:
    """Rows that are measured: all, or, as published, those of full batches of ``batch``, in file order."""
    return rows if batch is None else rows // batch * batch


def topk(scores: Any, classes: Any, ks: Sequence[int] = (1, 3, 5)) -> dict[int, float]:
    """Share of rows whose class is among the ``k`` highest of ``scores`` ``[N, C]``; equal scores count against it.

    Raises:
        ValueError: no rows.
    """
    given, truth = np.asarray(scores), np.asarray(classes)
    if not len(given):
        raise ValueError("accuracy of no rows")
    place = (given >= given[np.arange(len(given)), truth][:, None]).sum(1)
    return {k: float((place <= k).mean()) for k in ks}


def class_centres(scores: Any) -> np.ndarray:
    """The middle of each row's best class, hours ``[N]``: how the published code decides."""
    given = np.asarray(scores)
    return circular.centres(given.shape[1])[given.argmax(1)]


def published(scores: Any, hours: Any, drop_last: int | None = None) -> dict[str, float]:
    """What the published code reports: top-1, 3 and 5 of classes, and the error of the best class's middle.

    Args:
        scores: ``[N, C]``.
        hours: ``[N]``.
        drop_last: leave out the rows that fill no batch of this size, as published (512).

    Raises:
        ValueError: no rows are left.
    """
    kept = kept_rows(len(hours), drop_last)
    given, told = np.asarray(scores)[:kept], np.asarray(hours, np.float64)[:kept]
    shares = topk(given, circular.classes_of(told, given.shape[1]))
    errors = circular.distance(class_centres(given), told)
    named = {f"top{k}": value for k, value in shares.items()}
    return named | {"mae_hours": float(errors.mean()), "within_half_hour": float((errors <= 0.5).mean())}


def error_scores(estimates: Any, hours: Any) -> dict[str, float]:
    """Mean and median circular error, and the shares within 1, 2 and 3 hours."""
    errors = circular.distance(estimates, hours)
    within = {f"within_{reach}h": float((errors <= reach).mean()) for reach in (1, 2, 3)}
    return {"mae_hours": float(errors.mean()), "median_hours": float(np.median(errors)), **within}


def macro(values: Any, classes: Any) -> float:
    """Mean over the classes that occur of each one's mean."""
    given, owners = np.asarray(values, np.float64), np.asarray(classes)
    return float(np.mean([given[owners == owner].mean() for owner in np.unique(owners)]))


def nll(shares: Any, classes: Any) -> float:
    """Mean of minus the logarithm of the true class's share; a share of 0 counts as 1e-12."""
    given = np.asarray(shares, np.float64)
    return float(-np.log(np.maximum(given[np.arange(len(given)), np.asarray(classes)], 1e-12)).mean())


def brier(shares: Any, classes: Any) -> float:
    """Mean squared distance of the shares from a one at the true class, 0 to 2."""
    given = np.asarray(shares, np.float64)
    truth = np.eye(given.shape[1])[np.asarray(classes)]
    return float(((given - truth) ** 2).sum(1).mean())


def reliability(confidence: Any, right: Any, bins: int = 15) -> Reliability:
    """Confidence against accuracy, over ``bins`` equal parts of 0 to 1."""
    sure, hit = np.asarray(confidence, np.float64), np.asarray(right, np.float64)
    place = np.minimum((sure * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [np.bincount(place, values, bins) / np.where(count, count, np.nan) for values in (sure, hit)]
    return Reliability(means[0], means[1], count)


def calibration_error(confidence: Any, right: Any, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy, over the bins of :func:`reliability`.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    found = reliability(confidence, right, bins)
    gaps = np.abs(found.confidence - found.accuracy)
    return float(np.nansum(gaps * found.photos) / max(1, found.photos.sum()))


def coverage(arcs: circular.Arc, hours: Any) -> float:
    """Share of times that lie in their arc."""
    return float(np.mean(arcs.holds(np.asarray(hours, np.float64))))


def clock_scores(
    density: Any, hours: Any, arcs: Mapping[float, circular.Arc] | None = None, classes: int = CLASSES
) -> dict[str, float]:
    """Everything that is reported of densities: classes, errors of the circular median, calibration, coverage.

    Args:
        density: ``[N, bins]``.
        hours: ``[N]``, the true times.
        arcs: for each share the arcs that claim it; by default the shortest ones of the densities.
        classes: that top-k, NLL, Brier and calibration are of.

    Raises:
        ValueError: no rows.
    """
    told = np.asarray(hours, np.float64)
    shares = circular.rebin(density, classes)
    truth = circular.classes_of(told, classes)
    medians = circular.circular_median(density)
    found = {f"top{k}": value for k, value in topk(shares, truth).items()}
    found |= error_scores(medians, told)
    right = shares.argmax(1) == truth
    found["macro_top1"] = macro(right, truth)
    found["macro_mae_hours"] = macro(circular.distance(medians, told), truth)
    found["ece"] = calibration_error(shares.max(1), right)
    found["nll"], found["brier"] = nll(shares, truth), brier(shares, truth)
    for share in SHARES if arcs is None else arcs:
        claimed = circular.arc(density, share) if arcs is None else arcs[share]
        found[f"coverage_{100 * share:g}"] = coverage(claimed, told)
        found[f"arc_{100 * share:g}_hours"] = float(np.mean(claimed.length))
    return found


def by_group(estimates: Any, hours: Any, groups: Sequence[Any]) -> dict[str, dict[str, float]]:
    """Count, mean and median error of each group, such as daylight phases, in order of first sight."""
    errors = circular.distance(estimates, hours)
    owners = np.asarray([str(group) for group in groups])
    found = {}
    for owner in dict.fromkeys(owners.tolist()):
        own = errors[owners == owner]
        found[owner] = {"photos": len(own), "mae_hours": float(own.mean()), "median_hours": float(np.median(own))}
    return found


def by_hour(estimates: Any, hours: Any, classes: int = CLASSES) -> dict[str, np.ndarray]:
    """For each true class: ``photos`` int64 and ``mae_hours`` float64 (NaN where there is none), ``[classes]``."""
    errors = circular.distance(estimates, hours)
    owners = np.asarray(circular.classes_of(hours, classes))
    count = np.bincount(owners, minlength=classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"photos": count, "mae_hours": np.bincount(owners, errors, classes) / np.where(count, count, np.nan)}


def confusion(estimates: Any, hours: Any, classes: int = CLASSES) -> np.ndarray:
    """int64 ``[classes, classes]``: rows are the true class, columns that of the estimate."""
    flat = np.asarray(circular.classes_of(hours, classes)) * classes + circular.classes_of(estimates, classes)
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def decisions(matrix: Any, strength: float = 1.0) -> np.ndarray:
    """For each predicted class the time that is best answered, hours ``[C]``.

    The posterior over true times, given that class, is the column of the counts, lent to neighbouring predictions and
    with a prior of ``strength`` photos in it; the answer is its circular median, which has the least expected error.

    Args:
        matrix: counts ``[C, C]``, true classes by predicted ones.
    """
    counts = np.asarray(matrix, np.float64)
    prior = counts.sum(1) / max(counts.sum(), 1)
    lent = circular.smooth(counts, _LENT * circular.DAY / len(counts))
    posterior = (lent + strength * prior[:, None]).T
    posterior = posterior / posterior.sum(1, keepdims=True)
    return np.asarray(circular.circular_median(circular.refine(posterior, _FINE * len(counts))))


def expected_error(matrix: Any, estimates: Any) -> float:
    """Mean circular error, in hours, of one answer a predicted class.

    True times are taken to lie within their class as :func:`telltime.metrics.circular.refine` has it, for each
    prediction of its own: of the published matrix this gives the published error to 0.2 minutes, an even spread to 1.3.
    """
    counts = np.asarray(matrix, np.float64)
    weight = counts.sum(0)
    shares = (counts / np.maximum(weight, 1e-300)).T
    even = np.where(weight[:, None] > 0, shares, 1 / len(counts))
    errors = circular.expected_error(circular.refine(even, _FINE * len(counts)), np.asarray(estimates))
    return float((errors * weight).sum() / weight.sum())
