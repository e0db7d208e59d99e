"""Contrast between videos: two views of a video are close, every other video is far.

Source: NT-Xent of Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations", ICML 2020,
as used between clips by Dave et al., "TCLR: Temporal Contrastive Learning for Video Representation", CVIU 2022.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(a: Tensor, b: Tensor, temperature: float = 0.1, cosine: bool = False) -> Tensor:
    r"""NT-Xent between the rows of ``a`` and ``b``; row ``i`` of one is the positive of row ``i`` of the other.

    With the ``2N`` rows stacked, ``s`` their dot products over ``temperature`` and ``p(i)`` the partner of row ``i``:

    .. math:: \frac{1}{2N} \sum_i \Big(\log \sum_{j \ne i} e^{s_{ij}} - s_{i\,p(i)}\Big)

    Args:
        a: ``[..., N, C]``, unit vectors unless ``cosine``. Leading axes are independent problems.
        b: same shape.
        temperature: divides the similarities, above 0.
        cosine: normalise the rows first.

    Returns:
        ``[...]``, at least 0. With ``N`` = 1 there is nothing to tell apart: exactly 0, with zero gradient.
    """
    if a.shape != b.shape:
        raise ValueError(f"two views of the same rows have one shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    rows = torch.cat([a, b], dim=-2)
    if cosine:
        rows = F.normalize(rows, dim=-1)
    count = a.shape[-2]
    similarity = rows @ rows.mT / temperature
    itself = torch.eye(2 * count, dtype=torch.bool, device=rows.device)
    positive = torch.cat([similarity.diagonal(count, -2, -1), similarity.diagonal(-count, -2, -1)], dim=-1)
    return (similarity.masked_fill(itself, -torch.inf).logsumexp(-1) - positive).mean(-1)


def instance_contrast(views: Tensor, temperature: float = 0.1) -> Tensor:
    r"""Mean of :func:`nt_xent` over all pairs of views, each pair once, from one Gram tensor.

    For row ``i`` of view ``a``, with :math:`E_{ab}(i) = \log \sum_{j \ne i} e^{s(a_i, b_j)}`, the row's share of the
    pair ``(a, b)`` is :math:`\log(e^{s(a_i, b_i)} + e^{E_{aa}(i)} + e^{E_{ab}(i)}) - s(a_i, b_i)`.

    TCLR's instance loss of the local clips sums the ordered pairs of its 8 local views and divides by 4, which is
    14 times this mean; that of the two global clips is this mean.

    Args:
        views: ``[V, N, C]`` unit vectors, at least two views of ``N`` videos.
        temperature: divides the similarities, above 0.

    Returns:
        0-d, at least 0. A single video has no negatives: exactly 0, with zero gradient.
    """
    count, videos = views.shape[:2]
    if count < 2:
        raise ValueError(f"instance contrast compares views: two or more are needed, {count} was given")
    if videos == 1:
        return (views * 0).sum()
    similarity = torch.einsum("anc,bmc->abnm", views, views) / temperature
    positive = similarity.diagonal(0, -2, -1)
    same_video = torch.eye(videos, dtype=torch.bool, device=views.device)
    others = similarity.masked_fill(same_video, -torch.inf).logsumexp(-1)
    within = others.diagonal(0, 0, 1).T[:, None]
    rows = torch.logaddexp(positive, torch.logaddexp(within, others)) - positive
    itself = torch.eye(count, dtype=rows.dtype, device=views.device)[..., None]
    return (rows * (1 - itself)).sum() / (count * (count - 1) * videos)
