"""Rectangles set to black, the same in every frame of a view."""

import torch
from torch import Tensor


def erase_(clips: Tensor, boxes: Tensor) -> Tensor:
    """One box of each view set to 0, in place.

    Args:
        clips: float ``[N, T, H, W, 3]``.
        boxes: ``[N, 4]``, top row, left column, height, width in pixels; cut at the border, no height is no box.
    """
    height, width = clips.shape[2:4]
    top, left, rows, columns = boxes[:, :, None].unbind(1)
    row = torch.arange(height, device=boxes.device)
    column = torch.arange(width, device=boxes.device)
    in_rows = (row >= top) & (row < top + rows)
    in_columns = (column >= left) & (column < left + columns)
    kept = ~(in_rows[:, :, None] & in_columns[:, None, :])
    return clips.mul_(kept[:, None, :, :, None].to(clips.dtype))
