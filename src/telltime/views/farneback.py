"""Dense motion between frames by polynomial expansion, for whole batches on any device, and directions of patches.

Source: Farneback, "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003. Scales, filters and borders
are those of OpenCV's function of this name, so that its labels are found again; nothing of it is needed here.

Around every pixel a picture is taken for a parabola. Moving a parabola changes its linear part, which tells how far it
moved; what neighbours tell is averaged, from coarse scales to fine.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST = 32
"""Pixels a side must have at a coarse scale for it to be used."""
BORDER = (0.14, 0.14, 0.4472, 0.4472, 0.4472)
"""How far the outermost pixels are believed, from the edge inwards."""
GREY = (0.299, 0.587, 0.114)
BINS = 8
_TOGETHER = 16


def flow_labels(clips: Tensor, grid: tuple[int, int], floor: float = 0.0) -> Tensor:
    """In which direction every patch moves until the next frame.

    Args:
        clips: float ``[N, T, 3, H, W]`` in 0..1, RGB.
        grid: rows and columns of patches.
        floor: see :func:`direction_labels`.

    Returns:
        int64 ``[N, T - 1, rows * columns]``: 0 still, 1 to 8 the directions of :func:`direction_labels`.
    """
    made = []
    for part in clips.float().split(_TOGETHER):
        grey = 256 * torch.einsum("ntchw,c->nthw", part, part.new_tensor(GREY)) - 128
        moved = farneback(grey).flatten(0, 1)
        made.append(direction_labels(F.adaptive_avg_pool2d(moved, grid), floor).unflatten(0, (len(part), -1)))
    return torch.cat(made)


def direction_labels(vectors: Tensor, floor: float = 0.0) -> Tensor:
    """Motions to classes: 0 still, then eighths of a turn, 1 from right to down-right, 8 from up-right to right.

    A patch is still below a hundredth of the range from the least to the largest motion of its pair of frames.

    Args:
        vectors: float ``[..., 2, h, w]``, pixels to the right and downwards.
        floor: pixels; what moves less is still, however little the rest moves.

    Returns:
        int64 ``[..., h * w]``, row after row.
    """
    right, down = vectors.unbind(-3)
    size = torch.hypot(right, down).flatten(-2)
    least, most = size.amin(-1, keepdim=True), size.amax(-1, keepdim=True)
    spread = most - least
    share = torch.where(spread > 0, (size - least) / spread.clamp(min=1e-30), 0.0)
    moving = (share * 100 >= 1) & (size >= floor)
    angle = torch.atan2(down, right).flatten(-2).remainder(2 * math.pi)
    eighth = (angle * (BINS / (2 * math.pi))).floor().clamp(0, BINS - 1).long()
    return torch.where(moving, 1 + eighth, 0)


def farneback(
    frames: Tensor,
    scales: int = 3,
    window: int = 15,
    iterations: int = 3,
    reach: int = 5,
    sigma: float = 1.2,
) -> Tensor:
    """Motion of every pixel until the next frame.

    Args:
        frames: float ``[N, T, H, W]``, grey; the contrast matters where there is little of it, values of 0..255 or
            -128..128 are meant.
        scales: coarse ones beside the frames' own, each half as large; those below 32 pixels are left out.
        window: side of the square in which motions are averaged; odd.
        iterations: at each scale.
        reach, sigma: radius and deviation of the weights under which a parabola is fitted.

    Returns:
        float32 ``[N, T - 1, 2, H, W]``: pixels to the right, and downwards.
    """
    count, times, height, width = frames.shape
    pictures = frames.reshape(-1, 1, height, width).float()
    coarse = 0
    while coarse < scales and min(height, width) * 0.5 ** (coarse + 1) >= SMALLEST:
        coarse += 1
    motion = pictures.new_zeros(count * (times - 1), 2, 1, 1)
    for level in range(coarse, -1, -1):
        size = [round(height * 0.5**level), round(width * 0.5**level)]
        if level == coarse:
            motion = motion.expand(-1, -1, *size)
        else:
            motion = 2 * F.interpolate(motion, size=size, mode="bilinear", align_corners=False)
        parabolas = expand(_scaled(pictures, level, size), reach, sigma).unflatten(0, (count, times))
        first, second = parabolas[:, :-1].flatten(0, 1), _exact(parabolas[:, 1:].flatten(0, 1))
        for _ in range(iterations):
            motion = _solved(_averaged(_equations(first, second, motion), window))
    return motion.unflatten(0, (count, times - 1))


def expand(pictures: Tensor, reach: int, sigma: float) -> Tensor:
    """The parabola around every pixel: ``[N, 1, H, W]`` to linear parts down and right, then squares of down, of right
    and their product, ``[N, 5, H, W]``. Beyond the edges pictures go on as they end."""
    down, along, back = (torch.tensor(values, device=pictures.device) for values in _weights(reach, sigma))
    padded = F.pad(pictures, (0, 0, reach, reach), mode="replicate")
    rows = F.conv2d(padded, down[:, None, :, None])
    padded = F.pad(rows, (reach, reach, 0, 0), mode="replicate")
    found = F.conv2d(padded, along[:, :, None, :])
    return torch.einsum("nchw,dc->ndhw", found, back)


@lru_cache(maxsize=8)
def _weights(reach: int, sigma: float) -> tuple[list, list, list]:
    """Filters down the columns ``[3, K]``, along the rows ``[6, 3, K]``, and from moments to parabolas ``[5, 6]``."""
    x = torch.arange(-reach, reach + 1, dtype=torch.float64)
    g = torch.exp(-(x**2) / (2 * sigma**2))
    g = g / g.sum()
    moments = [g, x * g, x * x * g]
    along = torch.zeros(6, 3, len(x), dtype=torch.float64)
    for row, (power_down, power_right) in enumerate(((0, 0), (1, 0), (0, 1), (2, 0), (0, 2), (1, 1))):
        along[row, power_down] = moments[power_right]
    second, fourth = float((x**2 * g).sum()), float((x**4 * g).sum())
    metric = torch.diag(torch.tensor([1, second, second, fourth, fourth, second**2], dtype=torch.float64))
    metric[0, 3] = metric[3, 0] = metric[0, 4] = metric[4, 0] = second
    metric[3, 4] = metric[4, 3] = second**2
    return torch.stack(moments).float().tolist(), along.float().tolist(), metric.inverse()[1:].float().tolist()


def _scaled(pictures: Tensor, level: int, size: list[int]) -> Tensor:
    """Pictures smoothed for a scale, and brought to its ``size``."""
    sigma = (2.0**level - 1) / 2
    taps = max(3, round(5 * sigma) | 1)
    x = torch.arange(taps, dtype=torch.float64) - taps // 2
    g = torch.exp(-(x**2) / (2 * sigma**2)) if sigma else torch.tensor([0.5, 1.0, 0.5], dtype=torch.float64)
    g = (g / g.sum()).to(pictures)
    half = taps // 2
    smooth = F.conv2d(F.pad(pictures, (half, half, half, half), mode="reflect"), g.view(1, 1, 1, -1))
    smooth = F.conv2d(smooth, g.view(1, 1, -1, 1))
    if list(smooth.shape[-2:]) == size:
        return smooth
    return F.interpolate(smooth, size=size, mode="bilinear", align_corners=False)


def _exact(told: Tensor) -> Tensor:
    """With zeros to the right and below, so that the sides less 1 are powers of 2.

    Places are handed to the sampling as shares of these, which are then exact: frames that are the same agree exactly.
    """
    height, width = (2 ** (side - 1).bit_length() + 1 for side in told.shape[-2:])
    return F.pad(told, (0, width - told.shape[-1], 0, height - told.shape[-2]))


def _equations(first: Tensor, second: Tensor, motion: Tensor) -> Tensor:
    """What each pixel tells of its motion: ``[N, 5, H, W]``, three numbers of a matrix and two of a vector."""
    height, width = first.shape[-2:]
    rows = torch.arange(height, device=first.device, dtype=first.dtype)[:, None]
    columns = torch.arange(width, device=first.device, dtype=first.dtype)
    right, down = motion.unbind(1)
    x, y = columns + right, rows + down
    inside = ((x >= 0) & (x < width - 1) & (y >= 0) & (y < height - 1))[:, None]
    where = torch.stack([2 * x / (second.shape[-1] - 1) - 1, 2 * y / (second.shape[-2] - 1) - 1], -1)
    moved = F.grid_sample(second, where, mode="bilinear", padding_mode="zeros", align_corners=True)
    linear = torch.where(inside, moved[:, :2], 0.0)
    squares = torch.where(inside, (first[:, 2:] + moved[:, 2:]) / 2, first[:, 2:])
    by, bx = ((first[:, :2] - linear) / 2).unbind(1)
    yy, xx, xy = squares.unbind(1)
    xy = xy / 2
    by, bx = by + yy * down + xy * right, bx + xy * down + xx * right
    believed = (_believed(height, first.device)[:, None] * _believed(width, first.device)) ** 2
    told = torch.stack([yy * yy + xy * xy, (yy + xx) * xy, xx * xx + xy * xy, yy * by + xy * bx, xy * by + xx * bx], 1)
    return told * believed


def _believed(length: int, device: torch.device) -> Tensor:
    weights = torch.ones(length)
    for place, weight in enumerate(BORDER[:length]):
        weights[place] *= weight
        weights[length - 1 - place] *= weight
    return weights.to(device)


def _averaged(told: Tensor, window: int) -> Tensor:
    half = window // 2
    told = _summed(F.pad(told, (0, 0, half, half), mode="replicate"), window, -2)
    return _summed(F.pad(told, (half, half, 0, 0), mode="replicate"), window, -1) / window**2


def _summed(x: Tensor, window: int, axis: int) -> Tensor:
    """Sums of ``window`` neighbours: of 1, 2, 4 and so on, and of these those that make it up."""
    length = x.shape[axis] - window + 1
    total, done, power = None, 0, 1
    while True:
        if window & power:
            part = x.narrow(axis, done, length)
            total = part if total is None else total + part
            done += power
        if 2 * power > window:
            assert total is not None
            return total
        x = x.narrow(axis, 0, x.shape[axis] - power) + x.narrow(axis, power, x.shape[axis] - power)
        power *= 2


def _solved(told: Tensor) -> Tensor:
    down, mixed, right, by, bx = told.unbind(1)
    over = down * right - mixed * mixed + 1e-3
    return torch.stack([(down * bx - mixed * by) / over, (right * by - mixed * bx) / over], 1)
