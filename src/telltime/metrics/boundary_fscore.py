"""How well two outlines agree: the boundary F measure of Csurka et al., "What is a good evaluation measure for
semantic segmentation?", BMVC 2013, on outlines as OpenCV follows them (every border pixel once per pass)."""

import numpy as np
from scipy.ndimage import distance_transform_edt


def outline(mask: np.ndarray) -> np.ndarray:
    """How often each pixel of a mask lies on its outline.

    A border is walked from pixel to pixel through all eight neighbours, outer borders and those of holes alike, so
    that a line one pixel wide is passed twice. A pixel's count is its number of gaps between foreground neighbours
    that hold a pixel right beside it (Yokoi's connectivity number). Beyond the picture is background.

    Args:
        mask: bool ``[H, W]``.

    Returns:
        int8 ``[H, W]``, 0 to 4; 0 off the outline.
    """
    height, width = mask.shape
    empty = ~np.pad(np.asarray(mask, dtype=bool), 1)
    ring = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)]
    beside = [empty[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in ring]
    passes = np.zeros(mask.shape, dtype=np.int8)
    for at in range(0, 8, 2):
        following = beside[at] & beside[at + 1] & beside[(at + 2) % 8]
        passes += beside[at] & ~following
    alone = np.logical_and.reduce(beside)
    passes[alone] = 1
    return np.where(mask, passes, 0)


def bfscore(truth: np.ndarray, predicted: np.ndarray, threshold: float) -> float:
    """Boundary F of one picture: ``2 P R / (P + R)`` of the shares of each outline near the other.

    Near is nearer than ``threshold`` pixels, and no pixel as far as that.

    Args:
        truth, predicted: bool ``[H, W]``.

    Returns:
        0 to 1; 0 where the prediction is empty or the whole picture, whatever the truth; NaN where there is no truth
        or no pixel of either outline is near the other, as the published programs have it.
    """
    if predicted.all() or not predicted.any():
        return 0.0
    if not truth.any():
        return float("nan")
    outlines = outline(truth), outline(predicted)
    recall, precision = (_near(mine, other, threshold) for mine, other in (outlines, outlines[::-1]))
    return 2 * precision * recall / (precision + recall) if precision + recall else float("nan")


def mean_bfscore(truth: np.ndarray, predicted: np.ndarray, threshold: float, missed: float = np.nan) -> float:
    """Mean of :func:`bfscore` over pictures bool ``[N, H, W]``, those of NaN left out; NaN when there are no others.

    Args:
        missed: score of a picture with truth and a prediction whose outlines are nowhere near each other. The published
            programs leave it out, which 0 mends.
    """
    scores = np.array([bfscore(*pair, threshold) for pair in zip(truth, predicted, strict=True)])
    scores[np.isnan(scores) & truth.any((1, 2))] = missed
    known = scores[~np.isnan(scores)]
    return float(known.mean()) if len(known) else float("nan")


def _near(mine: np.ndarray, other: np.ndarray, threshold: float) -> float:
    """The share of an outline, by passes, that is nearer than ``threshold`` to another one."""
    squared = np.rint(distance_transform_edt(other == 0) ** 2)
    return float(mine[squared < threshold**2].sum() / mine.sum())
