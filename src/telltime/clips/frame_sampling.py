"""Which frames stand for a whole video, about one a second: pure functions of its frame count and rate.

Three samplers, so that descriptors can be compared with those of the published methods:

- ``tca``: TCA's (WACV 2021): frames 0, r - 1, 2r - 1, ... with r the rounded rate, and the last one taken twice;
- ``visil``: ViSiL's (ICCV 2019): frames 0, r, 2r, ...;
- ``fps1``: what ``ffmpeg -vf fps=1`` gives (VCSL, S2VS): the last frame before each half second 0.5, 1.5, 2.5, ...
"""

import math
from typing import Literal, get_args

import numpy as np

Sampler = Literal["tca", "visil", "fps1"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)
USUAL_RATE = 25.0
"""Frames per second of a video that says nothing sensible of its own, as published."""

_HIGHEST_RATE = 144.0


def frame_indices(sampler: str, frames: int, rate: float) -> np.ndarray:
    """Frames of a video that are described, int64, ascending; the last may come twice.

    Args:
        sampler: one of :data:`SAMPLERS`.
        frames: how many the video has; none give none.
        rate: frames per second. Where it is no positive number, 25 is taken; as published ``tca`` and ``visil`` take 25
            above 144 too. At rates below one every frame is taken once.

    Raises:
        ValueError: there is no such sampler.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler is one of {', '.join(SAMPLERS)}, not {sampler!r}")
    rate = float(rate)
    if not (math.isfinite(rate) and rate > 0):
        rate = USUAL_RATE
    every = np.arange(max(0, frames), dtype=np.int64)
    if sampler == "fps1":
        if rate <= 1:
            return every
        count = max(1, math.floor(len(every) / rate + 0.5))
        ends = np.ceil((np.arange(count) + 0.5) * rate) - 1
        return np.minimum(ends, len(every) - 1).astype(np.int64) if len(every) else every
    step = max(1, round(rate if rate <= _HIGHEST_RATE else USUAL_RATE))
    if sampler == "visil":
        return every[::step].copy()
    kept = every[(every == 0) | ((every + 1) % step == 0)]
    return np.append(kept, kept[-1:])
