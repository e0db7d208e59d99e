"""What moves otherwise than the camera makes everything move."""

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.views.flow import positions

_POOL = 4
_STEPS = 20
_LEAST_SPREAD = 0.05
_JITTER = 0.3


def own_motion(flows: Tensor) -> tuple[Tensor, Tensor]:
    """What is left of flows when the motion that most pixels share, that of the camera, is taken away.

    The camera's motion is a polynomial of second degree of the place, which a turning, moving or zooming camera makes
    of a scene of little depth; it is fitted by iterated least squares in which what does not follow counts less and
    less (Geman and McClure's weights).

    Args:
        flows: float ``[N, 2, H, W]`` in pixels.

    Returns:
        ``rest``, float ``[N, 2, h, w]`` in pixels of the flow, on a grid of a quarter of its size; and ``excess``,
        float ``[N, h, w]``: its length in units of what the pixels that follow the camera are usually off.
    """
    coarse = F.avg_pool2d(flows, _POOL) if min(flows.shape[-2:]) >= 4 * _POOL else flows
    count, _, height, width = coarse.shape
    terms = _terms(height, width, coarse)
    rest, excess = [], []
    for each in coarse.flatten(2).mT.double():
        off, spread = _fit(terms, each)
        rest.append(off.mT)
        excess.append(off.norm(dim=1) / (2 * spread + _JITTER))
    shape = (count, -1, height, width)
    return torch.stack(rest).view(shape).float(), torch.stack(excess).view(shape)[:, 0].float()


def moving(excess: Tensor) -> Tensor:
    """How surely a place moves by itself, 0 to 1, of :func:`own_motion`'s excess."""
    return 1 - torch.exp(-excess.square())


def _fit(terms: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """What is left of vectors ``[n, 2]``, and the usual length of it."""
    weights = terms.new_ones(len(terms), 1)
    tiny = 1e-9 * torch.eye(terms.shape[1], dtype=terms.dtype, device=terms.device) * len(terms)
    for _ in range(_STEPS):
        weighted = terms * weights
        rest = vectors - terms @ torch.linalg.solve(terms.mT @ weighted + tiny, weighted.mT @ vectors)
        lengths = rest.norm(dim=1, keepdim=True)
        spread = (1.4826 * lengths.median()).clamp(min=_LEAST_SPREAD)
        weights = (1 + (lengths / spread).square()).square().reciprocal()
    return rest, spread


def _terms(height: int, width: int, like: Tensor) -> Tensor:
    """1, x, y, x², xy and y² of each place, float64 ``[height * width, 6]``, the longer side from -1 to 1."""
    half = max(height, width) / 2
    x, y = positions(height, width, like).double()
    x, y = (x - (width - 1) / 2) / half, (y - (height - 1) / 2) / half
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=-1).flatten(0, 1)
