"""Losses of the time of day.

Scores are float ``[B, C]`` over the ``C`` equal classes of the day, the first from midnight; hours float ``[B]`` in
[0, 24). Source of the first two: Lin, Hu, Jiao, "What Time Tells Us?", TMLR 2025.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_TURN = 2 * math.pi / 24


def in_batch(logits: Tensor) -> Tensor:
    r"""Cross entropy of each photo with its own time among all times of the batch, one direction.

    .. math:: -\frac{1}{B} \sum_i \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}

    Args:
        logits: ``[B, B]``, photos by times. Times of one class stand against each other, as published.
    """
    return F.cross_entropy(logits, torch.arange(len(logits), device=logits.device))


def class_count(scores: Tensor, classes: Tensor, counts: Tensor | None = None) -> Tensor:
    r"""The same from one column a class: a softmax over classes weighted by how often the batch has them.

    .. math:: \frac{1}{B} \sum_i \log \sum_c n_c e^{s_{ic}} - s_{i c_i}

    Equal to :func:`in_batch` to the last digits, and with the same gradients. The counts stand for the prior, so the
    scores learn likelihoods: they hold for a day whose hours are equally common.

    Args:
        classes: int64 ``[B]``.
        counts: photos of each class ``[C]``; by default those of the batch.
    """
    if counts is None:
        counts = torch.zeros(scores.shape[1], device=scores.device, dtype=scores.dtype)
        counts = counts.scatter_add(0, classes, torch.ones_like(classes, dtype=scores.dtype))
    weighted = scores + counts.to(scores.dtype).log()
    return (weighted.logsumexp(1) - scores.gather(1, classes[:, None])[:, 0]).mean()


def circular_targets(hours: Tensor, classes: int, width: float) -> Tensor:
    """Soft labels: a wrapped normal curve of ``width`` hours around each time, at the classes' middles; rows sum to 1.

    Args:
        hours: ``[B]``.

    Returns:
        ``[B, classes]`` in the type of ``hours``.

    Raises:
        ValueError: the width is not above 0.
    """
    if not width > 0:
        raise ValueError(f"the width of soft labels is above 0 hours, not {width}")
    middles = (torch.arange(classes, device=hours.device, dtype=hours.dtype) + 0.5) * (24 / classes)
    away = (hours[:, None] - middles + 12).remainder(24) - 12
    turns = torch.arange(-2, 3, device=hours.device, dtype=hours.dtype) * 24
    return (-0.5 * ((away[..., None] + turns) / width) ** 2).logsumexp(-1).softmax(-1)


def soft_circular(scores: Tensor, hours: Tensor, width: float = 1.0) -> Tensor:
    """Mean cross entropy with :func:`circular_targets`: a miss by an hour costs less than one by six."""
    targets = circular_targets(hours.to(scores.dtype), scores.shape[1], width)
    return -(targets * scores.log_softmax(1)).sum(1).mean()


def log_von_mises(hours: Tensor, centres: Tensor, log_kappa: Tensor) -> Tensor:
    r"""Logarithm of the von Mises density an hour, :math:`e^{\kappa \cos(2 \pi (t - \mu) / 24)} / (24 I_0(\kappa))`.

    Shapes broadcast; ``centres`` are hours.
    """
    kappa = log_kappa.exp()
    bessel = torch.special.i0e(kappa).log()
    return kappa * (torch.cos((hours - centres) * _TURN) - 1) - bessel - math.log(24)


def von_mises_mixture(weights: Tensor, centres: Tensor, log_kappa: Tensor, hours: Tensor) -> Tensor:
    """Mean negative log likelihood, in nats of a density an hour, of mixtures of ``K`` von Mises curves.

    Args:
        weights: logits ``[B, K]``.
        centres: hours ``[B, K]``.
        log_kappa: logarithm of the concentrations, ``[B, K]``.
        hours: ``[B]``.
    """
    parts = weights.log_softmax(1) + log_von_mises(hours.to(weights.dtype)[:, None], centres, log_kappa)
    return -parts.logsumexp(1).mean()


def hour_by_month(
    scores: Tensor, hours: Tensor, months: Tensor, width: float = 1.0, month_width: float = 1.0
) -> Tensor:
    """Mean cross entropy on the torus of hours and months, with soft labels on both circles.

    A photo whose month is not known (below 0) is learnt from by its hour alone.

    Args:
        scores: ``[B, C, 12]``.
        months: float or int ``[B]``, 0 for the start of January up to 12, or below 0.
        width: hours, of the label's curve along the day.
        month_width: months, along the year.
    """
    hours = hours.to(scores.dtype)
    day = circular_targets(hours, scores.shape[1], width)
    year = circular_targets(months.to(scores.dtype).remainder(12) * 2, 12, 2 * month_width)
    shares = scores.flatten(1).log_softmax(1).view_as(scores)
    known = -(day[:, :, None] * year[:, None] * shares).flatten(1).sum(1)
    unknown = -(day * shares.logsumexp(2)).sum(1)
    return torch.where(months >= 0, known, unknown).mean()
