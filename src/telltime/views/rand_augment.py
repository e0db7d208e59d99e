"""RandAugment for whole batches of clips: all frames of a clip change alike, on any device.

Source: Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space", 2020, in the
form that grows stronger with its magnitude ("increasing"), as the video transformers of the field are trained with.

Results are Pillow's: equal for what changes values alone, within 1 of 255 where pixels move (bilinear).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from numpy.random import RandomState
from torch import Tensor

from telltime.views import colour

OPERATIONS = (
    "auto_contrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "solarize_add",
    "saturation",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
SIGNED = frozenset(OPERATIONS) - {"auto_contrast", "equalize", "invert", "posterize", "solarize", "solarize_add"}
"""Those that go one way or the other; which, is drawn."""

STRONGEST = 10.0
"""The magnitude that larger ones are cut to."""
FILL = 128.0
"""The grey that comes in where pixels move away."""


def argument(name: str, magnitude: float, negative: bool = False) -> float:
    """What an operation is told at a magnitude in 0..10.

    Degrees for ``rotate``; a slope for the shears; a share of the side for the translations; a factor, 1 for no change,
    for saturation, contrast, brightness and sharpness; bits kept for ``posterize``; the first value turned round for
    ``solarize``; what dark values are raised by for ``solarize_add``; nothing (0) for the rest.
    """
    share = magnitude / STRONGEST
    sign = -1 if negative else 1
    if name in ("shear_x", "shear_y"):
        return sign * 0.3 * share
    if name in ("translate_x", "translate_y"):
        return sign * 0.45 * share
    if name in ("saturation", "contrast", "brightness", "sharpness"):
        return 1 + sign * 0.9 * share
    whole = {"posterize": 4 - int(share * 4), "solarize": 256 - int(share * 256), "solarize_add": int(share * 110)}
    return sign * 30 * share if name == "rotate" else float(whole.get(name, 0))


def draw_operations(
    rng: RandomState, count: int, p: float, magnitude: float, spread: float
) -> tuple[list[int], list[float]]:
    """``count`` operations, any may come twice: places in :data:`OPERATIONS`, -1 for none, and their arguments."""
    chosen = rng.randint(0, len(OPERATIONS), count)
    done = rng.uniform(size=count) < p
    sizes = rng.normal(magnitude, spread, count).clip(0, STRONGEST)
    negative = rng.uniform(size=count) > 0.5
    told = [
        argument(OPERATIONS[number], float(size), bool(minus))
        for number, size, minus in zip(chosen, sizes, negative, strict=True)
    ]
    return [int(number) if use else -1 for number, use in zip(chosen, done, strict=True)], told


def rand_augment_(planes: Tensor, operations: Tensor, arguments: Tensor) -> None:
    """Operations one after the other, in place.

    Args:
        planes: float32 ``[3, N, T, H, W]``, whole numbers in 0..255, and such again afterwards.
        operations: int64 ``[N, K]``, places in :data:`OPERATIONS`, -1 for none, **on the host**.
        arguments: ``[N, K]``, as :func:`argument` gives them, on the host.
    """
    for place in range(operations.shape[1]):
        for number in operations[:, place].unique().tolist():
            if number >= 0:
                colour.on_views_(planes, operations[:, place] == number, _DO[number], arguments[:, place].float())


def _per_view(numbers: Tensor) -> Tensor:
    return numbers[:, None, None, None]


def _auto_contrast_(planes: Tensor, _: Tensor) -> Tensor:
    """Every plane of every frame spread to 0..255."""
    values = planes.flatten(-2).double()
    low, high = values.amin(-1, keepdim=True), values.amax(-1, keepdim=True)
    scale = torch.full_like(low, 255.0) / (high - low).clamp(min=1)  # a number over a tensor is not rounded so well
    levels = torch.arange(256, dtype=torch.float64, device=planes.device)
    tables = (levels * scale + -low * scale).clamp(0, 255).floor()
    return _looked_up_(planes, torch.where(high > low, tables, levels))


def _equalize_(planes: Tensor, _: Tensor) -> Tensor:
    """Every plane of every frame spread so that its values are about equally frequent."""
    places = _places(planes)
    rows = planes[..., 0, 0].numel()
    counts = torch.zeros(256 * rows, dtype=torch.int64, device=planes.device)
    counts = counts.index_add_(0, places, torch.ones_like(places)).view(*planes.shape[:-2], 256)
    levels = torch.arange(256, device=planes.device)
    last = torch.where(counts > 0, levels, -1).amax(-1, keepdim=True)
    step = (counts.sum(-1, keepdim=True) - counts.gather(-1, last)) // 255
    whole = step.clamp(min=1)
    tables = ((counts.cumsum(-1) - counts + step // 2) // whole).clamp(max=255)
    return _looked_up_(planes, torch.where(step > 0, tables, levels))


def _invert_(planes: Tensor, _: Tensor) -> Tensor:
    return planes.neg_().add_(255)


def _posterize_(planes: Tensor, bits: Tensor) -> Tensor:
    step = _per_view(torch.exp2(8 - bits))
    return planes.div_(step).floor_().mul_(step)


def _solarize_(planes: Tensor, threshold: Tensor) -> Tensor:
    return planes.copy_(torch.where(planes < _per_view(threshold), planes, 255 - planes))


def _solarize_add_(planes: Tensor, added: Tensor) -> Tensor:
    return planes.copy_(torch.where(planes < 128, (planes + _per_view(added)).clamp(max=255), planes))


def _sharpness_(planes: Tensor, factor: Tensor) -> Tensor:
    """Blend with the smoothed picture, whose outermost pixels are its own."""
    smooth = planes.clone()
    if min(planes.shape[-2:]) > 2:
        rows = planes[..., :-2, :] + planes[..., 1:-1, :] + planes[..., 2:, :]
        box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
        inside = planes[..., 1:-1, 1:-1]
        smooth[..., 1:-1, 1:-1] = box.add_(inside, alpha=4).div_(13).add_(0.5).floor_()
    return colour._blend_(planes, smooth, factor)


def _rotate_(planes: Tensor, degrees: Tensor) -> Tensor:
    """About the middle, against the clock."""
    height, width = planes.shape[-2:]
    angle = -degrees * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    x, y = width / 2, height / 2
    return _moved_(planes, (cos, sin, x - cos * x - sin * y), (-sin, cos, y + sin * x - cos * y))


def _shear_x_(planes: Tensor, slope: Tensor) -> Tensor:
    one, none = torch.ones_like(slope), torch.zeros_like(slope)
    return _moved_(planes, (one, slope, none), (none, one, none))


def _shear_y_(planes: Tensor, slope: Tensor) -> Tensor:
    one, none = torch.ones_like(slope), torch.zeros_like(slope)
    return _moved_(planes, (one, none, none), (slope, one, none))


def _translate_x_(planes: Tensor, share: Tensor) -> Tensor:
    one, none = torch.ones_like(share), torch.zeros_like(share)
    return _moved_(planes, (one, none, share * planes.shape[-1]), (none, one, none))


def _translate_y_(planes: Tensor, share: Tensor) -> Tensor:
    one, none = torch.ones_like(share), torch.zeros_like(share)
    return _moved_(planes, (one, none, none), (none, one, share * planes.shape[-2]))


Line = tuple[Tensor, Tensor, Tensor]


def _moved_(planes: Tensor, across: Line, down: Line) -> Tensor:
    """Each pixel from where an affine map of its place leads, pixel middles lying at halves; grey from outside."""
    height, width = planes.shape[-2:]
    x = torch.arange(width, device=planes.device) + 0.5
    y = torch.arange(height, device=planes.device)[:, None] + 0.5
    source = [a[:, None, None] * x + b[:, None, None] * y + c[:, None, None] for a, b, c in (across, down)]
    inside = (source[0] >= 0) & (source[0] < width) & (source[1] >= 0) & (source[1] < height)
    grid = torch.stack([2 * source[0] / width - 1, 2 * source[1] / height - 1], dim=-1)
    pictures = planes.transpose(0, 1).flatten(1, 2)
    found = F.grid_sample(pictures, grid, "bilinear", "border", align_corners=False).add_(0.5).floor_()
    found = torch.where(inside[:, None], found, FILL).unflatten(1, (3, -1))
    return planes.copy_(found.transpose(0, 1))


def _places(planes: Tensor) -> Tensor:
    """int64 ``[all]``: for each value its place in a table of 256 for every plane of every frame, tables in a row."""
    rows = planes[..., 0, 0].numel()
    first = 256 * torch.arange(rows, device=planes.device).view(*planes.shape[:-2], 1, 1)
    return (planes.long() + first).flatten()


def _looked_up_(planes: Tensor, tables: Tensor) -> Tensor:
    """Values replaced by what ``tables [3, N, T, 256]`` say."""
    return planes.copy_(tables.to(planes.dtype).flatten().index_select(0, _places(planes)).view_as(planes))


_DO: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    _auto_contrast_,
    _equalize_,
    _invert_,
    _rotate_,
    _posterize_,
    _solarize_,
    _solarize_add_,
    colour.saturation_,
    colour.contrast_,
    colour.brightness_,
    _sharpness_,
    _shear_x_,
    _shear_y_,
    _translate_x_,
    _translate_y_,
)
