"""Which frames make a clip of a dense method: pure functions of frame counts and a ``random.Random``.

The four ways of the published TimeT code (ICCV 2023), drawing the very numbers it draws:

- ``uniform``: distinct frames of the whole video, sorted, so with random gaps; what it was trained with;
- ``dense``: neighbouring frames at a random place;
- ``regular``: frames ``step`` apart at a random place;
- ``full``: every frame.
"""

from random import Random
from typing import Literal, get_args

import numpy as np

from telltime.clips.sampling import fold

Choice = Literal["uniform", "dense", "regular", "full"]
CHOICES: tuple[str, ...] = get_args(Choice)


def choose_frames(choice: str, frames: int, clip: int, step: int, rng: Random) -> np.ndarray:
    """Frames of a clip, ascending but for short videos.

    A video with fewer frames than the clip is repeated: ``uniform`` draws with repetition, as published, and sorts;
    ``dense`` and ``regular``, which end in an error as published, read it forth and back from its first frame. A
    video too short for ``clip * step`` frames has ``regular`` step by ``frames // clip``.

    Args:
        choice: one of :data:`CHOICES`.
        frames: how many the video has, at least 1.
        clip: how many are wanted; ``full`` takes no notice of it.
        step: distance between frames, for ``regular`` alone.

    Returns:
        int64 ``[clip]``, or ``[frames]`` for ``full``.

    Raises:
        ValueError: there is no such choice, or a number is below 1.
    """
    if choice not in CHOICES:
        raise ValueError(f"choice is one of {', '.join(CHOICES)}, not {choice!r}")
    if min(frames, clip, step) < 1:
        raise ValueError(f"frames, clip and step are at least 1, not {frames}, {clip} and {step}")
    if choice == "full":
        return np.arange(frames, dtype=np.int64)
    if choice == "uniform":
        every = range(frames)
        drawn = rng.choices(every, k=clip) if frames < clip else rng.sample(every, clip)
        return np.array(sorted(drawn), dtype=np.int64)
    if frames < clip:
        return fold(np.arange(clip, dtype=np.int64), frames)
    if choice == "dense":
        return rng.randint(0, frames - clip) + np.arange(clip, dtype=np.int64)
    step = step if frames >= clip * step else frames // clip
    return rng.randint(0, frames - clip * step) + step * np.arange(clip, dtype=np.int64)
