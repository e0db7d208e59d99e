"""Which frames a clip takes: pure functions of frame counts and a legacy ``RandomState``.

Two families, both with the numbers of the published TCLR code (CVIU 2022):

- pre-training: one global clip of ``clip`` frames, ``ratio`` apart, and ``ratio`` local clips of ``clip`` neighbouring
  frames that tile the same window of ``clip * ratio`` frames;
- probing and testing: one clip of ``clip`` frames, ``step`` apart, at a random place or at evenly spread positions.

The functions draw exactly the numbers the published code draws, so a seed gives the same clips. ``frames`` is how many
frames a video says it has; what then decodes may be fewer, and :func:`complete` mends the end of a clip by reflection.
"""

from collections.abc import Sequence

import numpy as np
from numpy import ndarray
from numpy.random import RandomState


def _below(rng: RandomState, high: float) -> int:
    """An integer in ``[0, int(high))``: the legacy ``randint`` truncates a float bound."""
    return int(rng.randint(0, int(high)))


def pretrain_start(frames: float, rng: RandomState, clip: int = 16, ratio: int = 4) -> int | None:
    """First frame of the window that the global and the local clips share.

    Args:
        frames: how many frames the video says it has.
        rng: drawn from only if the video is longer than the window of ``clip * ratio`` frames.

    Returns:
        A start in ``[0, frames - window)``, or 0 for a video no longer than the window; ``None`` if ``frames`` is at
        most ``window - clip / 2`` (56 as published), too short to be mended. The very last window is never drawn.
    """
    window = clip * ratio
    if frames <= window - clip // 2:
        return None
    return _below(rng, frames - window) if frames > window else 0


def pretrain_frames(start: int, clip: int = 16, ratio: int = 4) -> tuple[ndarray, ndarray]:
    """Frames of the global clip, int64 ``[clip]``, and of the local clips, int64 ``[ratio, clip]``.

    The local clips tile ``start .. start + clip * ratio - 1``; with ``clip`` divisible by ``ratio``, part ``j`` of the
    global clip (``clip / ratio`` frames, a time slice of its feature map) lies in the window of local clip ``j``.
    """
    together = start + np.arange(clip * ratio, dtype=np.int64).reshape(ratio, clip)
    return together.ravel()[::ratio].copy(), together


def complete(decoded: Sequence[int] | ndarray, clip: int = 16, least: int = 9) -> ndarray | None:
    """A clip whose last frames did not decode, mended by reflection that does not repeat the last frame.

    Args:
        decoded: the frames of the clip that decoded, in order.
        clip: how many there should be.
        least: fewest decoded frames that may be mended.

    Returns:
        int64 ``[clip]``, or ``None`` when there are too few (fewer than ``least``, or too few to reflect).
    """
    have = np.asarray(decoded, dtype=np.int64)
    missing = clip - len(have)
    if missing > 0:
        if len(have) < least:
            return None
        have = np.concatenate([have, have[::-1][1 : missing + 1]])
    return have if len(have) == clip else None


def pretrain_least(clip: int = 16, ratio: int = 4) -> ndarray:
    """Fewest frames that must decode of the global and of each local clip, int64 ``[1 + ratio]``.

    As published, the global clip may lack an eighth of its frames (2 of 16), the last local clip fewer than half (it is
    mended by reflection, so one more than half must be there), the others none.
    """
    return np.array([clip - max(1, clip // 8), *[clip] * (ratio - 1), clip // 2 + 1])


def pretrain_complete(
    glob: ndarray, local: ndarray, decoded: Sequence[int] | ndarray
) -> tuple[ndarray, ndarray] | None:
    """Global and local clips mended as published, or ``None`` when the video must be left out.

    Args:
        glob: int64 ``[clip]``, as :func:`pretrain_frames` gives it.
        local: int64 ``[ratio, clip]``.
        decoded: every frame that decoded.
    """
    ratio, clip = local.shape
    least = pretrain_least(clip, ratio)
    mended = [
        complete(frames[np.isin(frames, decoded)], clip, int(fewest))
        for frames, fewest in zip((glob, *local), least, strict=True)
    ]
    whole = [frames for frames in mended if frames is not None]
    return (whole[0], np.stack(whole[1:])) if len(whole) == len(mended) else None


def probe_start(frames: float, rng: RandomState, clip: int = 16, step: int = 2) -> int | None:
    """First frame of a probe's training clip, in ``[0, frames - clip * step)``; ``None`` if there is no such frame."""
    if int(frames - clip * step) <= 0:
        return None
    return _below(rng, frames - clip * step)


def probe_frames(start: int, clip: int = 16, step: int = 2) -> ndarray:
    """int64 ``[clip]``: ``clip`` frames from ``start`` on, ``step`` apart."""
    return start + step * np.arange(clip, dtype=np.int64)


def test_starts(frames: float, positions: int, clip: int = 16, step: int = 2, margin: int = 10) -> ndarray:  # noqa: PT028
    """First frames of the test clips, int64 ``[positions]``, evenly spread.

    Position ``m`` starts at ``int(linspace(0, frames - clip * step - margin, positions)[m])``. The cut is toward zero,
    so a video a little too short starts several positions at frame 0; where the start would be negative it is ``m``.
    """
    starts = np.linspace(0, frames - clip * step - margin, positions).astype(np.int64)
    return np.where(starts < 0, np.arange(positions), starts)


def test_frames(frames: float, positions: int, clip: int = 16, step: int = 2, margin: int = 10) -> ndarray:  # noqa: PT028
    """Frames of all test clips, int64 ``[positions, clip]``; those past the end are for :func:`complete` to mend."""
    return test_starts(frames, positions, clip, step, margin)[:, None] + probe_frames(0, clip, step)


def fold(indices: ndarray, frames: int) -> ndarray:
    """``indices`` reflected into ``[0, frames)``: forth and back, repeating neither end, as often as it takes."""
    if frames < 1:
        raise ValueError(f"cannot fold into {frames} frames")
    period = max(1, 2 * (frames - 1))
    inside = np.asarray(indices) % period
    return np.minimum(inside, period - inside)
