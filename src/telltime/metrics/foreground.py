"""Foreground by clusters and attention: which clusters lie where a network looks, and how well they cut objects out.

Cluster-based foreground extraction of Ziegler and Asano, "Self-supervised learning of object parts for semantic
segmentation", CVPR 2022. All is computed from one count of pixels, picture by cluster: no map is made for a cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LOWEST, HIGHEST = 0.55, 0.75
"""Shares of the clusters that may be background."""

STEP = 0.05
"""Thresholds are multiples of it."""


@dataclass(frozen=True)
class ClusterCounts:
    """Pixels of each cluster in each picture.

    Attributes:
        pixels: int64 ``[N, K]``: how many there are.
        attended: int64 ``[N, K]``: how many of them the network attends to.
        foreground: int64 ``[N, K]``: how many of them are truly foreground.
        truth: int64 ``[N]``: foreground pixels of the picture.
    """

    pixels: np.ndarray
    attended: np.ndarray
    foreground: np.ndarray
    truth: np.ndarray

    @property
    def clusters(self) -> int:
        """``K``."""
        return int(self.pixels.shape[1])


class Cut(NamedTuple):
    """The clusters from one on, in order of precision, called foreground.

    Attributes:
        precision: of the first of them.
        start: how many clusters are background.
        jaccard: mean over pictures.
    """

    precision: float
    start: int
    jaccard: float


def count_pixels(
    clusters: np.ndarray, count: int, attention: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None
) -> ClusterCounts:
    """Count a batch of pictures.

    Args:
        clusters: integers ``[N, H, W]`` below ``count``.
        attention, truth: bool ``[N, H, W]``: where the network looks, and what is foreground.
        counted: bool ``[N, H, W]``: pixels that count for anything; all when not given.
    """
    number = len(clusters)
    kept = np.ones(clusters.shape, dtype=bool) if counted is None else np.asarray(counted, dtype=bool)
    codes = clusters.astype(np.int64) + count * np.arange(number)[:, None, None]

    def table(chosen: np.ndarray) -> np.ndarray:
        return np.bincount(codes[chosen], minlength=number * count).reshape(number, count)

    real = np.asarray(truth, dtype=bool) & kept
    looked = np.asarray(attention, dtype=bool) & kept
    return ClusterCounts(table(kept), table(looked), table(real), real.sum((1, 2), dtype=np.int64))


def joined(parts: Sequence[ClusterCounts]) -> ClusterCounts:
    """The counts of several batches as one."""
    return ClusterCounts(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ClusterCounts.__dataclass_fields__)
    )


def cluster_precisions(counts: ClusterCounts) -> np.ndarray:
    """Share of a cluster's pixels that are attended to, meant over the pictures that it is in.

    Returns:
        float64 ``[K]``; 0 for a cluster in no picture, which the published programs take for an error.
    """
    shares = counts.attended / np.maximum(counts.pixels, 1)
    return np.asarray(shares.sum(0) / np.maximum((counts.pixels > 0).sum(0), 1))


def cuts(counts: ClusterCounts, precisions: np.ndarray) -> list[Cut]:
    """Every cut that leaves 55 to 75 percent of the clusters to the background, in ascending order of Jaccard.

    Clusters of equal precision keep their order; of cuts with equal Jaccard the one with fewer foreground clusters
    comes last.
    """
    count = counts.clusters
    order = np.argsort(precisions, kind="stable")
    starts = range(int(LOWEST * count), int(HIGHEST * count))
    if not starts:
        raise ValueError(f"{count} clusters leave no cut to try between 55 and 75 percent of them; take 3 or more")
    from_here = [np.cumsum(each[:, order[::-1]], axis=1)[:, ::-1] for each in (counts.foreground, counts.pixels)]
    common, marked = (each[:, list(starts)] for each in from_here)
    means = _jaccards(common, marked, counts.truth[:, None]).mean(0)
    found = [
        Cut(float(precisions[order[start]]), start, float(mean)) for start, mean in zip(starts, means, strict=True)
    ]
    return sorted(found, key=lambda cut: cut.jaccard)


def threshold_of(found: Sequence[Cut]) -> float:
    """The precision of the best cut, brought to the nearest multiple of 0.05 below 1."""
    steps = np.arange(0, 1, STEP)
    return float(steps[np.argmin(np.abs(steps - found[-1].precision))])


def foreground_clusters(precisions: np.ndarray, threshold: float) -> np.ndarray:
    """Which clusters are foreground: bool ``[K]``; none where no precision reaches the threshold."""
    return np.asarray(precisions >= threshold)


def mean_jaccard(counts: ClusterCounts, chosen: np.ndarray) -> float:
    """Jaccard of the pixels of the clusters ``chosen`` (bool ``[K]``) with the truth, mean over pictures."""
    common, marked = (each[:, chosen].sum(1) for each in (counts.foreground, counts.pixels))
    return float(_jaccards(common, marked, counts.truth).mean())


def _jaccards(common: np.ndarray, marked: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union from counts; 1 where both are empty."""
    union = marked + truth - common
    return np.asarray(np.where(union > 0, common / np.maximum(union, 1), 1.0))
