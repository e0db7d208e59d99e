"""The guided filter: coarse scores take on the edges of their picture.

Source: He, Sun, Tang, "Guided Image Filtering", ECCV 2010, with colour pictures as guides.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def guided(picture: Tensor, scores: Tensor, radius: int, epsilon: float = 1e-4) -> Tensor:
    """Scores that are linear in the picture's colours within every window.

    Args:
        picture: float ``[N, 3, H, W]``, values 0 to 1.
        scores: float ``[N, K, H, W]``.
        radius: of the square windows, in pixels.
        epsilon: how much contrast an edge needs, as a variance of the colours.

    Returns:
        float ``[N, K, H, W]``.
    """
    if picture.shape[1] != 3 or picture.shape[-2:] != scores.shape[-2:]:
        raise ValueError(f"the guide is [N, 3, H, W] and as large as the scores, not {list(picture.shape)}")
    guide, means = _means(picture, radius), _means(scores, radius)
    inverse = _inverse(picture, guide, radius, epsilon)
    shared = _means((picture[:, :, None] * scores[:, None]).flatten(1, 2), radius).unflatten(1, (3, -1))
    shared = shared - guide[:, :, None] * means[:, None]
    slopes = torch.einsum("nijhw,njkhw->nikhw", inverse, shared)
    rest = means - (slopes * guide[:, :, None]).sum(1)
    return (_means(slopes.flatten(1, 2), radius).view_as(slopes) * picture[:, :, None]).sum(1) + _means(rest, radius)


def _inverse(picture: Tensor, means: Tensor, radius: int, epsilon: float) -> Tensor:
    """Inverses of the windows' covariances of colours, ``[N, 3, 3, H, W]``, by cofactors."""
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    products = _means(torch.stack([picture[:, i] * picture[:, j] for i, j in pairs], dim=1), radius)
    a, b, c, d, e, f = (products[:, at] - means[:, i] * means[:, j] for at, (i, j) in enumerate(pairs))
    a, d, f = a + epsilon, d + epsilon, f + epsilon
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    scale = 1 / (a * aa + b * bb + c * cc)
    rows = ((aa, bb, cc), (bb, dd, ee), (cc, ee, ff))
    return torch.stack([torch.stack([each * scale for each in row], dim=1) for row in rows], dim=1)


def _means(maps: Tensor, radius: int) -> Tensor:
    """Means of the windows, edges going on; rows and columns one after the other."""
    wide = F.pad(maps, (radius,) * 4, mode="replicate")
    size = 2 * radius + 1
    return F.avg_pool2d(F.avg_pool2d(wide, (1, size), 1), (size, 1), 1)
