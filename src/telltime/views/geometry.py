"""Crops of decoded frames, cut and resized as Pillow does it, next to the decoder."""

import math

import numpy as np
import torch
from numpy.random import RandomState
from torch import Tensor

_resize = torch.ops.aten._upsample_bilinear2d_aa.out


def empty_clips(*shape: int) -> Tensor:
    """Uninitialised uint8 ``[..., 3, H, W]`` whose memory is channels-last (``[..., H, W, 3]``)."""
    *lead, channels, height, width = shape
    return torch.empty(*lead, height, width, channels, dtype=torch.uint8).movedim(-1, -3)


def crop(frames: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A box of every frame; what lies outside the frame is black.

    Args:
        frames: ``[T, 3, H, W]``.
        top: first row, may be negative.
        left: first column, may be negative.

    Returns:
        ``[T, 3, height, width]``: a view of ``frames`` where the box lies inside, else a channels-last copy.
    """
    rows, columns = frames.shape[-2:]
    y, x = max(top, 0), max(left, 0)
    inside = frames[..., y : max(y, min(top + height, rows)), x : max(x, min(left + width, columns))]
    if inside.shape[-2:] == (height, width):
        return inside
    box = empty_clips(*frames.shape[:-2], height, width).zero_().to(frames.dtype)
    box[..., y - top : y - top + inside.shape[-2], x - left : x - left + inside.shape[-1]] = inside
    return box


def crop_resize(frames: Tensor, top: int, left: int, side: int, size: int, out: Tensor | None = None) -> Tensor:
    """A square box of every frame, resized with the antialiased bilinear filter (Pillow's, to within 1).

    Args:
        frames: uint8 ``[T, 3, H, W]``; channels-last memory is twice as fast.
        top: first row of the box; the box may reach outside the frame, where all is black.
        left: first column of the box.
        side: height and width of the box, in pixels, at least 1.
        size: height and width of the result.
        out: uint8 ``[T, 3, size, size]`` to write to: one large tensor filled piece by piece spares page faults.

    Returns:
        uint8 ``[T, 3, size, size]``, channels-last memory unless ``out`` has another.
    """
    if side < 1:
        raise ValueError(f"a crop needs at least one pixel, not {side}")
    if out is None:
        out = empty_clips(len(frames), 3, size, size)
    box = crop(frames, top, left, side, side)
    if side == size:
        return out.copy_(box)
    return _resize(box, [size, size], False, None, None, out=out)


class Window:
    """A square of frames that are scaled without antialiasing, of which no more than the square is computed.

    Its memory is used again for every frame, which for pictures of this size halves the time.

    Args:
        frame: height and width of the frames.
        shape: height and width they are scaled to.
        top, left: first row and column of the square in the scaled frame.
        size: height and width of the square.
    """

    def __init__(self, frame: tuple[int, int], shape: tuple[int, int], top: int, left: int, size: int) -> None:
        (self._top, self._rows, down), (self._left, self._columns, right) = (
            _between(length, scaled, start, size)
            for length, scaled, start in zip(frame, shape, (top, left), strict=True)
        )
        self._down, self._right = down[:, None, None], right[:, None]
        width = int(self._columns.max()) + 1
        self._bytes = torch.empty(size, width, 3, dtype=torch.uint8)
        self._wide = torch.empty(2, size, width, 3)
        self._square = torch.empty(2, size, size, 3)

    def __call__(self, picture: Tensor) -> Tensor:
        """uint8 ``[3, H, W]`` to float32 ``[3, size, size]`` in 0..255, not rounded; the next call overwrites it."""
        pixels = picture.movedim(0, -1)[self._top :, self._left : self._left + self._bytes.shape[1]]
        for rows, wide in zip(self._rows, self._wide, strict=True):
            wide.copy_(torch.index_select(pixels, 0, rows, out=self._bytes))
        self._wide[0].lerp_(self._wide[1], self._down)
        for columns, square in zip(self._columns, self._square, strict=True):
            torch.index_select(self._wide[0], 1, columns, out=square)
        return self._square[0].lerp_(self._square[1], self._right).movedim(-1, 0)


def _between(length: int, scaled: int, start: int, size: int) -> tuple[int, Tensor, Tensor]:
    """Pixels ``start`` to ``start + size`` of a row of ``length`` scaled to ``scaled``.

    Returns:
        The first source pixel; int64 ``[2, size]``, the two each lies between, counted from it; ``[size]``, the second
        one's share.
    """
    places = ((torch.arange(start, start + size) + 0.5) * (length / scaled) - 0.5).clamp(min=0)
    low = places.long().clamp(max=length - 1)
    high = (low + 1).clamp(max=length - 1)
    return int(low[0]), torch.stack([low, high]) - low[0], places - low


def window(frames: Tensor, shape: tuple[int, int], top: int, left: int, size: int) -> Tensor:
    """The same :class:`Window` of each of uint8 ``[T, 3, H, W]``: float32 ``[T, 3, size, size]`` in 0..255."""
    cut = Window((frames.shape[-2], frames.shape[-1]), shape, top, left, size)
    return torch.stack([cut(frame).clone() for frame in frames])


def centre_box(height: int, width: int, side: int) -> tuple[int, int]:
    """Top row and left column of the centred square box, as torchvision's ``center_crop`` rounds them.

    Negative where the frame is smaller than the box.
    """

    def first(length: int) -> int:
        return round((length - side) / 2) if length >= side else -((side - length) // 2)

    return first(height), first(width)


def centre_crop(frames: Tensor, side: int, size: int, out: Tensor | None = None) -> Tensor:
    """The centred square box of ``side`` pixels of every frame, resized: :func:`crop_resize` at :func:`centre_box`."""
    top, left = centre_box(frames.shape[-2], frames.shape[-1], side)
    return crop_resize(frames, top, left, side, size, out)


def random_box(rng: RandomState, height: int, width: int, area: tuple[float, float]) -> tuple[int, int, int, int]:
    """Top, left, height and width of a random part of a picture, as torchvision's ``RandomResizedCrop`` draws it.

    Its share of the picture is uniform in ``area``, its width over height log-uniform in 3/4 to 4/3. When ten draws do
    not fit, it is the largest part in the middle of such proportions.
    """
    for _ in range(10):
        covered = height * width * rng.uniform(*area)
        ratio = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(covered * ratio)), round(math.sqrt(covered / ratio))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.randint(0, height - h + 1)), int(rng.randint(0, width - w + 1)), h, w
    w, h = min(width, round(height * 4 / 3)), min(height, round(width * 4 / 3))
    return (height - h) // 2, (width - w) // 2, h, w


def take_frames(frames: Tensor, positions: np.ndarray) -> Tensor:
    """``frames[positions]``, as a view where the positions are evenly spaced and rise, else a channels-last copy."""
    if len(positions) == 1:
        return frames[int(positions[0]) : int(positions[0]) + 1]
    step = int(positions[1] - positions[0])
    if step > 0 and (np.diff(positions) == step).all():
        return frames[int(positions[0]) : int(positions[-1]) + 1 : step]
    rows = frames.movedim(-3, -1).index_select(0, torch.from_numpy(positions))
    return rows.movedim(-1, -3)
