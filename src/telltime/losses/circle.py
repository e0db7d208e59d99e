"""Losses of rows of logits ``[B, 1 + K]`` whose column 0 is the similarity with the positive, the rest with negatives.

``valid`` (bool ``[1 + K]`` or ``[B, 1 + K]``) leaves out columns, such as slots of a bank nothing has come to yet.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def circle(logits: Tensor, margin: float = 0.25, gamma: float = 256.0, valid: Tensor | None = None) -> Tensor:
    r"""Circle loss: each similarity is pulled the harder the further it is from where it should be.

    .. math:: z_p = \gamma\,[1 + m - s_p]_+ (s_p - (1 - m)), \quad z_n = \gamma\,[s_n + m]_+ (s_n - m)

    and the mean over rows of :math:`-\log` softmax of column 0; the weights in brackets are held constant.
    Source: Sun et al., "Circle Loss: A Unified Perspective of Pair Similarity Optimization", CVPR 2020.
    """
    positive, negative = logits[:, :1], logits[:, 1:]
    pull = (1 + margin - positive.detach()).clamp(min=0) * (positive - (1 - margin))
    push = (negative.detach() + margin).clamp(min=0) * (negative - margin)
    return _first_of(gamma * torch.cat([pull, push], dim=1), valid)


def circle_legacy(logits: Tensor, margin: float = 0.25, gamma: float = 256.0, valid: Tensor | None = None) -> Tensor:
    """The circle loss as published with TCA, which takes row 0 for column 0; for parity only.

    Every column of the first row counts as a positive, every column of the other rows as a negative.
    """
    first = torch.zeros(len(logits), 1, dtype=torch.bool, device=logits.device)
    first[:1] = True
    held = logits.detach()
    weight = torch.where(first, 1 + margin - held, held + margin).clamp(min=0)
    target = torch.where(first, 1 - margin, margin)
    return _first_of(gamma * weight * (logits - target), valid)


def info_nce(logits: Tensor, temperature: float = 1.0, valid: Tensor | None = None) -> Tensor:
    """Mean cross entropy of ``logits / temperature`` with column 0.

    Source: van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018.
    """
    return _first_of(logits / temperature, valid)


def triplet(logits: Tensor, margin: float = 0.5, valid: Tensor | None = None) -> Tensor:
    """Mean over rows of the mean over negatives of ``[s_n - s_p + margin]_+``.

    Source: Schroff, Kalenichenko, Philbin, "FaceNet", CVPR 2015.
    """
    losses = (logits[:, 1:] - logits[:, :1] + margin).clamp(min=0)
    if valid is None:
        return losses.mean()
    kept = valid.expand_as(logits)[:, 1:]
    return (losses.where(kept, 0).sum(1) / kept.sum(1).clamp(min=1)).mean()


def _first_of(scores: Tensor, valid: Tensor | None) -> Tensor:
    if valid is not None:
        scores = scores.masked_fill(~valid, -torch.inf)
    return F.cross_entropy(scores, scores.new_zeros(len(scores), dtype=torch.long))
