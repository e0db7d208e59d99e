"""Matched mIoU of 18 million pixels, 21 classes, as Pascal VOC's val masks at 112: pairs of masks against one count.

The published way, written out here: for every pair of a class and a cluster three sums over masks of all pixels, then
clusters renamed one after the other, then three sums for every class. telltime counts every pixel once and works on
the counts. Both are single-threaded; the published program spreads its pairs over processes, which on two cores made it
slower. Equal scores, counts and mappings are asserted first, on a part of the pixels; the published way is timed on
``--share`` of them, of 500 clusters also on a few clusters only, and scaled up (it is linear in both): ``--share 1``
times the first in full. Seconds are those of the processor.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks import _measure as measure
from telltime.metrics.segmentation import confusion, matched_iou

PIXELS, CLASSES, FEW = 18_176_256, 21, 10  # 1,449 pictures of 112 x 112


def pixels(count: int, clusters: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels with a large background, and clusters that follow them half of the time: uint8 or uint16 ``[count]``."""
    random = np.random.default_rng(seed)
    shares = np.r_[12.0, np.linspace(2, 0.5, CLASSES - 1)]
    truth = random.choice(CLASSES, count, p=shares / shares.sum()).astype(np.uint8)
    kind = np.uint8 if clusters <= 256 else np.uint16
    own = (truth + CLASSES * random.integers(0, max(1, clusters // CLASSES), count)) % clusters
    return truth, np.where(random.random(count) < 0.5, own, random.integers(0, clusters, count)).astype(kind)


def pair(truth: np.ndarray, predicted: np.ndarray, label: int, cluster: int) -> tuple[int, int, int]:
    """True positives, false positives and false negatives of a cluster taken for a class."""
    is_label, is_cluster = truth == label, predicted == cluster
    return (
        int(np.sum(is_label & is_cluster)),
        int(np.sum(~is_label & is_cluster)),
        int(np.sum(is_label & ~is_cluster)),
    )


def matrix(truth: np.ndarray, predicted: np.ndarray, clusters: int, precision: bool) -> np.ndarray:
    """IoU or precision of every pair, float64 ``[classes, clusters]``."""
    found = np.zeros((CLASSES, clusters))
    for label in range(CLASSES):
        for cluster in range(clusters):
            tp, fp, fn = pair(truth, predicted, label, cluster)
            found[label, cluster] = tp / max(tp + fp + (0 if precision else fn), 1e-8)
    return found


def score(truth: np.ndarray, predicted: np.ndarray, mapping: np.ndarray) -> float:
    """Mean IoU of clusters renamed."""
    renamed = np.zeros(len(predicted), dtype=predicted.dtype)
    for cluster, label in enumerate(mapping):
        renamed[predicted == cluster] = label
    counts = [pair(truth, renamed, label, label) for label in range(CLASSES)]
    return float(np.mean([tp / max(tp + fp + fn, 1e-8) for tp, fp, fn in counts]))


def published(truth: np.ndarray, predicted: np.ndarray, clusters: int, matching: str) -> tuple[float, np.ndarray]:
    """Mean IoU and the class each cluster stands for."""
    found = matrix(truth, predicted, clusters, matching == "precision")
    if matching == "precision":
        mapping = found.argmax(0)
    else:
        mapping = np.zeros(clusters, dtype=np.int64)
        rows, columns = linear_sum_assignment(1 - found)
        mapping[columns] = rows
    return score(truth, predicted, mapping), mapping


def ours(truth: np.ndarray, predicted: np.ndarray, clusters: int, matching: str) -> tuple[float, np.ndarray]:
    found = matched_iou(confusion(truth, predicted, CLASSES, clusters), matching)
    return found.mean, found.mapping


def seconds(way: Callable[..., object], *given: object) -> float:
    start = time.process_time()
    way(*given)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pixels", type=int, default=PIXELS)
    parser.add_argument("--share", type=float, default=0.1, help="of the pixels that the published way is timed on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    rows, results = [], {}
    for name, clusters, matching, timed in (
        ("Hungarian, K = 21", 21, "hungarian", 21),
        ("many to one by precision, K = 500", 500, "precision", FEW),
    ):
        truth, predicted = pixels(options.pixels, clusters)
        few = slice(0, 40_000)
        theirs, mine = (way(truth[few], predicted[few], clusters, matching) for way in (published, ours))
        assert abs(theirs[0] - mine[0]) < 1e-12
        np.testing.assert_array_equal(theirs[1], mine[1])

        part = slice(0, max(1, int(options.share * options.pixels)))
        asked, told = truth[part], predicted[part]
        scale = options.pixels / len(asked)
        pairs = seconds(matrix, asked, told, timed, matching == "precision") * clusters / timed
        mapping = mine[1]
        renaming = seconds(score, asked, told, mapping)
        baseline = scale * (pairs + renaming)
        taken = [seconds(ours, truth, predicted, clusters, matching) for _ in range(options.repeats)]
        gain = measure.spread(baseline / np.asarray(taken))
        rows.append((name, f"{baseline:.1f} s", f"{measure.milliseconds(taken)} ms", f"{gain['median']:.0f} times"))
        results[matching] = {
            "clusters": clusters,
            "published_seconds": baseline,
            "published_timed_on": {"pixels": len(asked), "clusters": timed},
            "ours_seconds": measure.spread(taken),
            "ratio": gain,
        }
    measure.table(
        f"Matched mIoU of {options.pixels:,} pixels, {CLASSES} classes",
        ("", "pairs of masks (scaled up)", "one count", "gain"),
        rows,
    )
    measure.write("dense_metrics", {"pixels": options.pixels, "classes": CLASSES, **results}, options.out)


if __name__ == "__main__":
    main()
