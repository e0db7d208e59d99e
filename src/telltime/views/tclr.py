"""TCLR's augmentation: its values, its random numbers, and its operations on whole batches of views.

A clip of 16 frames is seen in several *views*; the parameters of a view are drawn once and hold for all its frames.
:func:`draw` draws as the published code does (one legacy generator, all views of a video together), :func:`settle`
turns the numbers into what is done to each view, the reader cuts the crops, and :func:`augment` does the rest, on the
device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from numpy.random import RandomState
from torch import Tensor

from telltime.views import colour
from telltime.views.erase import erase_

_SIZE = 112
Range = tuple[float, float]
Draws = dict[str, Tensor]


@dataclass(frozen=True)
class Values:
    """Ranges and probabilities of the augmentation; the defaults are those of TCLR's pre-training.

    Attributes:
        scale: side of the square crop as a share of the frame's short side.
        contrast: factor, with ``p_contrast``; half of the time before all other colours, half of the time after.
        hue: turn of the hue, as a share of a full turn.
        saturation: factor, with ``p_saturation``.
        brightness: factor, with ``p_brightness``.
        gamma: exponent, for a share ``p_gamma`` of the grey views.
        p_grey: probability that a view turns grey.
        p_drop: probability that a view loses one colour channel (never both this and grey).
        p_flip: probability of a mirror image.
        p_erase: probability that a rectangle is black, with sides from ``erase[0]`` to ``erase[1] - 1`` pixels of a
            clip of the published 112; smaller clips have smaller ones.
    """

    scale: Range = (0.6, 1.0)
    contrast: Range = (0.75, 1.25)
    p_contrast: float = 0.25
    hue: Range = (-0.1, 0.1)
    p_hue: float = 0.3
    saturation: Range = (0.75, 1.25)
    p_saturation: float = 0.3
    brightness: Range = (0.75, 1.25)
    p_brightness: float = 0.3
    gamma: Range = (0.75, 1.25)
    p_gamma: float = 0.75
    p_grey: float = 0.175
    p_drop: float = 0.125
    p_flip: float = 0.5
    p_erase: float = 0.5
    erase: tuple[int, int] = (9, 19)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.startswith("p_") and not 0 <= value <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1, not {value}")
            if not name.startswith("p_"):
                object.__setattr__(self, name, tuple(value))
                if value[0] > value[1]:
                    raise ValueError(f"{name} is a range (low, high), not {value}")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale is a range within (0, 1], not {self.scale}")
        if self.erase[0] == self.erase[1]:
            raise ValueError(f"erase is a range (first, one past the last), not {self.erase}")
        if self.p_grey + self.p_drop > 1:
            raise ValueError(f"p_grey + p_drop must be at most 1, not {self.p_grey + self.p_drop}")


PRETRAIN = Values()
PROBE = Values(
    contrast=(0.9, 1.1),
    p_contrast=0.125,
    hue=(-0.05, 0.05),
    p_hue=0.15,
    saturation=(0.9, 1.1),
    p_saturation=0.15,
    brightness=(0.9, 1.1),
    p_brightness=0.15,
    gamma=(0.85, 1.15),
    p_grey=0.1,
    p_drop=0.0,
    p_erase=0.25,
)
PRESETS = {"pretrain": PRETRAIN, "probe": PROBE}


def draw(
    rng: RandomState,
    versions: int,
    values: Values,
    height: int,
    width: int,
    size: int = 112,
    crop: str = "reference",
    kept: int | None = None,
) -> dict[str, ndarray]:
    """All random numbers of ``versions`` views, in the published order; every number is drawn whether used or not.

    Only the first ``kept`` views (default: all) are given back, and only they have the place of a crop drawn: the
    published probe draws for 2 views and uses 1.

    The published code knows frames of 240 x 320 only; for others its numbers are shares of the frame: the crop is a
    square of ``int(short side * scale)``, and with ``crop="reference"`` its left column is drawn below
    ``int(width - width * scale + 1)``, which at 320 x 240 leaves the right part of the frame unseen, as published.
    ``crop="full"`` lets the crop reach every column.

    Returns:
        Arrays ``[kept]`` (``uniform`` ``[kept, 8]``): ``uniform``, ``erase_top``, ``erase_left``, ``scale``,
        ``left``, ``top``, ``side``, ``contrast``, ``hue``, ``saturation``, ``brightness``, ``gamma``, ``erase_height``,
        ``erase_width``, ``channel``; pixels and the channel int64, the rest float64.
    """
    if crop not in ("reference", "full"):
        raise ValueError(f"crop is 'reference' or 'full', not {crop!r}")
    kept = versions if kept is None else kept
    drawn: dict[str, ndarray] = {"uniform": rng.rand(versions, 8)}
    drawn["erase_top"] = rng.randint(0, size, versions)
    drawn["erase_left"] = rng.randint(0, size, versions)
    scale = drawn["scale"] = rng.uniform(*values.scale, versions)
    side = drawn["side"] = np.array([max(1, int(min(height, width) * c)) for c in scale])
    for name, length in (("left", width), ("top", height)):
        places = [length - s + 1 for s in side] if crop == "full" else [int(length - length * c + 1) for c in scale]
        drawn[name] = np.array([rng.randint(0, places[v]) for v in range(kept)])
    for name in ("contrast", "hue", "saturation", "brightness", "gamma"):
        low, high = getattr(values, name)
        drawn[name] = rng.uniform(low, high, versions)
    for name in ("erase_height", "erase_width"):
        drawn[name] = (rng.randint(*values.erase, versions) * size + _SIZE // 2) // _SIZE
    drawn["channel"] = rng.randint(0, 3, versions)
    return {name: numbers[:kept] for name, numbers in drawn.items()}


def settle(drawn: dict[str, ndarray], values: Values) -> dict[str, ndarray]:
    """What is done to each view: the drawn parameters, and "nothing" where the dice say so.

    Returns:
        ``top``, ``left``, ``side`` int64 ``[V]``; float64 ``[V]`` with NaN for "leave alone": ``contrast_first``,
        ``hue`` (whole numbers of 1/256 of a turn), ``saturation``, ``brightness``, ``contrast_last``, ``gamma``;
        ``grey`` and ``flip`` bool ``[V]``; ``channel`` int64 ``[V]``, the channel to drop or -1; ``erase`` int64
        ``[V, 4]``, top, left, height, width, all 0 for no box.
    """
    r = drawn["uniform"].T

    def where(condition: ndarray, parameter: ndarray) -> ndarray:
        return np.where(condition, parameter, np.nan)

    late = (r[0] > values.p_contrast / 2) & (r[0] < values.p_contrast)
    drop = r[4] >= 1 - values.p_drop
    grey = (r[4] > 1 - values.p_drop - values.p_grey) & ~drop
    box = np.stack([drawn[f"erase_{name}"] for name in ("top", "left", "height", "width")], axis=1)
    return {
        "top": drawn["top"],
        "left": drawn["left"],
        "side": drawn["side"],
        "contrast_first": where(r[0] < values.p_contrast / 2, drawn["contrast"]),
        "hue": where(r[1] < values.p_hue, np.trunc(drawn["hue"] * 255)),
        "saturation": where(r[2] < values.p_saturation, drawn["saturation"]),
        "brightness": where(r[3] < values.p_brightness, drawn["brightness"]),
        "contrast_last": where(late, drawn["contrast"]),
        "grey": grey,
        "gamma": where(grey & (r[5] > 1 - values.p_gamma), drawn["gamma"]),
        "channel": np.where(drop, drawn["channel"], -1),
        "flip": r[6] > 1 - values.p_flip,
        "erase": box * (r[7] < values.p_erase)[:, None],
    }


_FACTORS = (
    ("contrast_first", colour.contrast_),
    ("hue", colour.hue_),
    ("saturation", colour.saturation_),
    ("brightness", colour.brightness_),
    ("contrast_last", colour.contrast_),
)
_USED = (*(name for name, _ in _FACTORS), "grey", "gamma", "channel", "flip", "erase")


def augment(clips: Tensor, draws: Draws, chunk: int | None = None) -> Tensor:
    """Colour, mirror image, black boxes and conversion to float, for any number of views at once.

    Args:
        clips: uint8 ``[..., T, 3, S, S]``, already cropped; any leading axes, e.g. batch and views, in any order.
        draws: what :func:`settle` gives, with the same leading axes, **on the host**: which views an operation touches
            is decided there, so that nothing waits for the device. A key left out is an operation left out, so ``{}``
            only converts.
        chunk: views worked on at once; by default 1 on the CPU, where a view then stays in the cache, and 64 elsewhere.

    Returns:
        float32 ``[..., 3, T, S, S]`` in 0..1, no mean taken off; memory as ``channels_last_3d``.
    """
    lead = clips.shape[:-4]
    pixels = clips.movedim(-3, -1)
    pixels = pixels.reshape(-1, *pixels.shape[-4:])
    host = {key: draws[key] for key in _USED if key in draws}
    host = {key: value.reshape(-1, *value.shape[len(lead) :]) for key, value in host.items()}
    out = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
    step = chunk or (1 if pixels.device.type == "cpu" else 64)
    for first in range(0, len(pixels), step):
        rows = slice(first, first + step)
        _augment(pixels[rows], {key: value[rows] for key, value in host.items()}, out[rows])
    return out.view(*lead, *out.shape[1:]).movedim(-1, -4)


def _augment(pixels: Tensor, draws: Draws, out: Tensor) -> None:
    """:func:`augment` of one chunk: uint8 ``[n, T, S, S, 3]`` to float32 ``out`` of the same shape."""
    tasks: list[tuple[Tensor, Callable[..., Tensor], Tensor]] = []
    for name, operation in _FACTORS:
        if name in draws:
            tasks.append((~draws[name].isnan(), operation, draws[name]))
    if "grey" in draws:
        gamma = draws.get("gamma", torch.ones(len(pixels))).nan_to_num(1.0)
        tasks.append((draws["grey"], colour.grey_, gamma))
    if "channel" in draws:
        tasks.append((draws["channel"] >= 0, colour.drop_channel_, draws["channel"]))
    if "flip" in draws:
        pixels = _mirrored(pixels, draws["flip"])
    if any(bool(touched.any()) for touched, _, _ in tasks):
        planes = torch.empty(3, *pixels.shape[:-1], dtype=torch.float32, device=pixels.device)
        planes.copy_(pixels.movedim(-1, 0))
        for touched, operation, numbers in tasks:
            colour.on_views_(planes, touched, operation, numbers)
        for channel, plane in enumerate(planes):
            out[..., channel].copy_(plane)
    else:
        out.copy_(pixels)
    out.div_(255)
    if "erase" in draws:
        erase_(out, draws["erase"])


def _mirrored(pixels: Tensor, flip: Tensor) -> Tensor:
    """``[n, T, H, W, 3]`` with the views that ``flip`` names mirrored; the input is left as it is."""
    rows = flip.nonzero()[:, 0]
    if len(rows) == 0:
        return pixels
    if len(rows) == len(pixels):
        return pixels.flip(3)
    index = rows.to(pixels.device, non_blocking=True)
    return pixels.index_copy(0, index, pixels.index_select(0, index).flip(3))
