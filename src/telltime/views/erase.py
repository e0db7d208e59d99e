"""Rectangles set to black, the same in every frame of a view."""

from torch import Tensor


def erase_(clips: Tensor, boxes: Tensor) -> Tensor:
    """One box of each view set to 0, in place.

    Args:
        clips: ``[N, T, H, W, 3]``.
        boxes: int64 ``[N, 4]`` on the host: top row, left column, height, width in pixels; cut at the border, and a
            height of 0 is no box.
    """
    for clip, (top, left, height, width) in zip(clips, boxes.tolist(), strict=True):
        if height and width:
            clip[:, top : top + height, left : left + width] = 0
    return clips
