"""Dense optical flow: where each pixel of a frame is found in another.

Lucas and Kanade's method ("An iterative image registration technique", IJCAI 1981) from coarse to fine, with a Gaussian
window around every pixel, and weights that let pixels count less whose colours do not meet.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_COARSEST = 12
_DAMPING = 1e-4
_NOISE = 0.05


def flow(first: Tensor, second: Tensor, steps: int = 5, window: float = 3.0, levels: int = 5) -> Tensor:
    """How far each pixel of ``first`` has moved in ``second``.

    Args:
        first, second: float ``[N, C, H, W]``, values 0 to 1.
        steps: Gauss-Newton steps at each level of the pyramid, at the finest two fewer; each moves a pixel by one at
            most each way.
        window: standard deviation of the Gaussian window, in pixels of the level.
        levels: pictures of the pyramid, each half as large as the one before; fewer where sides would be under 12.

    Returns:
        float ``[N, 2, H, W]`` in pixels, x before y: the place ``p`` of ``first`` is ``p + flow(p)`` in ``second``.
    """
    if first.shape != second.shape or first.ndim != 4:
        raise ValueError(f"flow is between pictures of one shape [N, C, H, W], not {first.shape} and {second.shape}")
    found = first.new_zeros(len(first), 2, 1, 1)
    for here, there in zip(_pyramid(first, levels), _pyramid(second, levels), strict=True):
        found = enlarged(found, (int(here.shape[-2]), int(here.shape[-1])))
        finest = here.shape[-2:] == first.shape[-2:]
        for _ in range(steps - 2 * finest if steps > 2 else steps):
            found = found + _step(here, there, found, window)
    return median(found)


def warp(pictures: Tensor, by: Tensor) -> Tensor:
    """Pictures ``[N, C, H, W]`` looked up where ``by``, float ``[N, 2, H, W]`` in pixels, points; edges go on."""
    height, width = by.shape[-2:]
    at = positions(height, width, by) + by
    grid = torch.stack([(2 * at[:, 0] + 1) / width - 1, (2 * at[:, 1] + 1) / height - 1], dim=-1)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def enlarged(by: Tensor, size: tuple[int, int]) -> Tensor:
    """Flow ``[N, 2, h, w]`` on a grid of another ``size``, in its pixels: bilinear where finer, means where coarser."""
    scale = by.new_tensor([size[1] / by.shape[-1], size[0] / by.shape[-2]]).view(1, 2, 1, 1)
    if size[0] < by.shape[-2]:
        return F.adaptive_avg_pool2d(by, size) * scale
    return F.interpolate(by, size, mode="bilinear", align_corners=False) * scale


def positions(height: int, width: int, like: Tensor) -> Tensor:
    """x and y of each pixel, float ``[2, height, width]`` of the type and device of ``like``."""
    y, x = torch.meshgrid(
        torch.arange(height, device=like.device, dtype=like.dtype),
        torch.arange(width, device=like.device, dtype=like.dtype),
        indexing="ij",
    )
    return torch.stack([x, y])


def median(maps: Tensor) -> Tensor:
    """Each channel of ``[N, C, H, W]`` by the median of the 3 x 3 pixels around each."""
    count, channels, height, width = maps.shape
    wide = F.pad(maps, (1, 1, 1, 1), mode="replicate").reshape(count * channels, 1, height + 2, width + 2)
    return F.unfold(wide, 3).median(dim=1).values.view_as(maps)


def smooth(maps: Tensor, deviation: float) -> Tensor:
    """``[N, C, H, W]`` under a Gaussian of this standard deviation, edges going on."""
    reach = max(1, round(2.5 * deviation))
    weights = torch.exp(
        -(torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype) ** 2) / (2 * deviation**2)
    )
    weights = weights / weights.sum()
    rows = maps.reshape(-1, 1, *maps.shape[-2:])
    rows = F.conv2d(F.pad(rows, (reach, reach, 0, 0), mode="replicate"), weights.view(1, 1, 1, -1))
    rows = F.conv2d(F.pad(rows, (0, 0, reach, reach), mode="replicate"), weights.view(1, 1, -1, 1))
    return rows.view_as(maps)


def _step(here: Tensor, there: Tensor, by: Tensor, window: float) -> Tensor:
    moved = warp(there, by)
    rest = moved - here
    (ax, ay), (bx, by_) = _slopes(here), _slopes(moved)
    x, y = (ax + bx) / 2, (ay + by_) / 2
    trust = _NOISE / (rest.square().sum(1, keepdim=True) + _NOISE**2).sqrt()
    products = torch.stack([(trust * a * b).sum(1) for a, b in ((x, x), (x, y), (y, y), (x, rest), (y, rest))], dim=1)
    xx, xy, yy, xr, yr = smooth(products, window).unbind(1)
    xx, yy = xx + _DAMPING, yy + _DAMPING
    scale = -1 / (xx * yy - xy * xy)
    return torch.stack([(yy * xr - xy * yr) * scale, (xx * yr - xy * xr) * scale], dim=1).clamp(-1, 1)


def _slopes(pictures: Tensor) -> tuple[Tensor, Tensor]:
    wide = F.pad(pictures, (1, 1, 1, 1), mode="replicate")
    across = (wide[:, :, 1:-1, 2:] - wide[:, :, 1:-1, :-2]) / 2
    down = (wide[:, :, 2:, 1:-1] - wide[:, :, :-2, 1:-1]) / 2
    return across, down


def _pyramid(pictures: Tensor, levels: int) -> list[Tensor]:
    """Coarsest first."""
    found = [pictures]
    while len(found) < levels and min(found[-1].shape[-2:]) >= 2 * _COARSEST:
        size = [side // 2 for side in found[-1].shape[-2:]]
        found.append(F.interpolate(smooth(found[-1], 1.0), size, mode="bilinear", align_corners=False))
    return found[::-1]
