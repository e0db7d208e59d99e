"""Which frames TICL's scene classifier looks at: sixteen spread over a video, of which its image encoder sees four."""

import numpy as np

COUNT, USED = 16, 4


def scene_frames(frames: int, count: int = COUNT) -> np.ndarray:
    """int64 ``[count]``: frame numbers, ascending; short videos repeat some.

    As published: every ``frames // count``-th frame, of which ``count`` are taken evenly, the first and the last among
    them. Videos of fewer than ``count`` frames are read frame by frame (one of the published readers fails on them).

    Raises:
        ValueError: there is no frame.
    """
    if frames < 1:
        raise ValueError(f"a video of {frames} frames has none to choose from")
    coarse = np.arange(0, frames, max(1, frames // count), dtype=np.int64)
    return coarse[np.arange(count) * (len(coarse) - 1) // (count - 1)]


def used_frames(frames: int, used: int = USED, count: int = COUNT) -> np.ndarray:
    """int64 ``[used]``: the frames that the image encoder sees, the first of every ``count // used`` of the above."""
    return scene_frames(frames, count)[:: count // used][:used]
