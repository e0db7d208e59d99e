"""Losses of TIME: classes, the order of frames, the direction of patches, and doubt where time makes no sense.

Source: Yun et al., "Time Is MattEr: Temporal Self-supervision for Video Transformers", ICML 2022.

All work in float32 at least. With smoothing ``s`` a row's cross-entropy over ``K`` classes is
``(1 - s) * -log p_y + s * mean_k(-log p_k)``; it cannot fall below the entropy of the smoothed target.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def mixed_class_loss(scores: Tensor, labels: Tensor, others: Tensor, share: Tensor, smoothing: float = 0.0) -> Tensor:
    """:func:`class_loss` of clips that are mixed of two: by its share each label counts, if there is one.

    Args:
        scores: ``[N, K]``.
        labels, others: int64 ``[N]``, of the clip itself and of what it is mixed with; below 0 where there is none.
        share: ``[N]``, of the clip itself.
    """
    total = weight = torch.zeros_like(_wide(scores[0, 0]))
    for told, part in ((labels, share), (others, 1 - share)):
        rows = F.cross_entropy(
            _wide(scores), told.clamp(min=-1), ignore_index=-1, reduction="none", label_smoothing=smoothing
        )
        total = total + (part * rows).sum()
        weight = weight + (part * (told >= 0)).sum()
    return total / torch.where(weight > 0, weight, 1)


def class_loss(scores: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Smoothed cross-entropy, the mean over clips that have a label; 0 where none has.

    Args:
        scores: ``[N, K]``.
        labels: int64 ``[N]``; below 0 where there is none.
    """
    rows = F.cross_entropy(
        _wide(scores), labels.clamp(min=-1), ignore_index=-1, reduction="none", label_smoothing=smoothing
    )
    return rows.sum() / (labels >= 0).sum().clamp(min=1)


def order_loss(scores: Tensor, places: Tensor, smoothing: float = 0.0) -> Tensor:
    """Smoothed cross-entropy of every frame's place, the mean over frames of all clips.

    Args:
        scores: ``[N, T, T]``, of every frame for every place.
        places: int64 ``[N, T]`` or ``[1, T]``: where in the video's own order each frame stood.
    """
    return F.cross_entropy(
        _wide(scores).flatten(0, 1), places.expand(len(scores), -1).flatten(), label_smoothing=smoothing
    )


def flow_loss(scores: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Smoothed cross-entropy of every patch's direction, the mean over patches; standing still is a class as others.

    Args:
        scores: ``[N, T - 1, P, 9]``.
        labels: int64 ``[N, T - 1, P]``.
    """
    return F.cross_entropy(_wide(scores).flatten(0, -2), labels.flatten(), label_smoothing=smoothing)


def debias_loss(scores: Tensor) -> Tensor:
    """How far clips out of order are from having no class: ``-mean_k log p_k``, the mean over clips.

    It is the cross-entropy from the uniform distribution to the prediction, their divergence plus ``log K``.

    Args:
        scores: class scores of shuffled clips, ``[N, K]``.
    """
    return -F.log_softmax(_wide(scores), -1).mean()


def _wide(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
