"""How well the outline of an object is met: DAVIS's boundary measure F.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016, section 4.
The outline is that of the Berkeley benchmark (Martin et al.), one pixel wide, where a pixel meets its neighbours on the
right and below.
"""

import math

import numpy as np

TOLERANCE = 0.008
"""How far apart outlines may lie, as a share of the picture's diagonal."""


def outline(masks: np.ndarray) -> np.ndarray:
    """Boolean masks ``[..., H, W]`` to their outlines, boolean of the same shape.

    A pixel is on it where it differs from its neighbour on the right, below or diagonally between the two. Pixels of
    the last row and column have one neighbour, that of the corner has none.
    """
    masks = np.asarray(masks, dtype=bool)
    found = np.zeros_like(masks)
    right = masks[..., :, :-1] ^ masks[..., :, 1:]
    below = masks[..., :-1, :] ^ masks[..., 1:, :]
    found[..., :, :-1] = right
    found[..., :-1, :] |= below
    found[..., :-1, :-1] |= masks[..., :-1, :-1] ^ masks[..., 1:, 1:]
    return found


def reach(height: int, width: int, tolerance: float = TOLERANCE) -> int:
    """Pixels that outlines may lie apart: ``tolerance`` itself if it is at least 1, else that share of the diagonal."""
    if tolerance <= 0:
        raise ValueError(f"tolerance is above 0, not {tolerance}")
    return math.ceil(tolerance if tolerance >= 1 else tolerance * math.hypot(height, width))


def boundary_f(
    predicted: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None, tolerance: float = TOLERANCE
) -> np.ndarray:
    """The boundary measure of every mask.

    Args:
        predicted, truth: boolean ``[..., H, W]``.
        void: pixels that belong to neither, boolean, of a shape that broadcasts to theirs.
        tolerance: see :func:`reach`.

    Returns:
        float64 ``[...]``, in [0, 1]: the harmonic mean of the shares of either outline that lies within reach of the
        other. 1 where neither has an outline, 0 where one has none.
    """
    predicted, truth = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if predicted.shape != truth.shape:
        raise ValueError(f"masks of {list(predicted.shape)} cannot be compared with masks of {list(truth.shape)}")
    *lead, height, width = truth.shape
    near = reach(height, width, tolerance)
    kept = None if void is None else ~np.broadcast_to(np.asarray(void, dtype=bool), truth.shape)
    scores = np.empty(tuple(lead))
    for at in np.ndindex(*lead):
        one, other = predicted[at], truth[at]
        if kept is not None:
            one, other = one & kept[at], other & kept[at]
        scores[at] = _f(_edge_points(one), _edge_points(other), near)
    return scores


def _edge_points(mask: np.ndarray) -> np.ndarray:
    """Rows and columns of the outline, ``[points, 2]``, found in the box that the mask fills."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return np.empty((0, 2), dtype=np.int64)
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    box = mask[top : rows[-1] + 2, left : columns[-1] + 2]  # slices end at the border where there is no neighbour
    return np.argwhere(outline(box)) + np.array([top, left])


def _f(predicted: np.ndarray, truth: np.ndarray, near: int) -> float:
    if not len(predicted) or not len(truth):
        return float(len(predicted) == len(truth))
    precision, recall = _share_near(predicted, truth, near), _share_near(truth, predicted, near)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def _share_near(points: np.ndarray, others: np.ndarray, near: int) -> float:
    from scipy.spatial import cKDTree

    limit = math.sqrt(near * near + 0.5)  # whole pixels: nothing lies between near and this
    distance, _ = cKDTree(others).query(points, distance_upper_bound=limit)
    return float(np.isfinite(distance).mean())
