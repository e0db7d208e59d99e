"""Which frames a clip takes that looks at a whole video: one of each of so many equal segments.

The numbers are those of the published TIME code (ICML 2022), so a seed gives the same clips. Neighbouring segments
share a frame, and the segments of a video shorter than the clip share more: such a clip has frames twice.
"""

from random import Random

import numpy as np
from numpy import ndarray


def segment_bounds(frames: int, clip: int) -> tuple[ndarray, ndarray]:
    """First and last frame of each segment, both part of it: int64 ``[clip]`` twice.

    Raises:
        ValueError: a number is below 1.
    """
    if min(frames, clip) < 1:
        raise ValueError(f"frames and clip are at least 1, not {frames} and {clip}")
    edges = np.round((frames - 1) / clip * np.arange(clip + 1)).astype(np.int64)
    return edges[:-1], edges[1:]


def random_frames(frames: int, clip: int, rng: Random) -> ndarray:
    """int64 ``[clip]``: of every segment one frame drawn, for training."""
    low, high = segment_bounds(frames, clip)
    return np.array([rng.randint(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True)], dtype=np.int64)


def even_frames(frames: int, clip: int, views: int = 1) -> ndarray:
    """int64 ``[views, clip]``: nothing random, for testing.

    One view takes the middle of every segment. Several take places evenly spread in it, where the published code would
    look at the same frames again.
    """
    low, high = segment_bounds(frames, clip)
    return low + (high - low) * (2 * np.arange(views)[:, None] + 1) // (2 * views)
