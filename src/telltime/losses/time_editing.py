"""What pulls a picture towards a time of day, and what holds it: terms of TICL's latent optimisation.

Sources: Lin, Hu and Jiao, "What Time Tells Us?", TMLR 2025; the directional term is StyleGAN-NADA's (Gal et al., 2022).
All features are rows; nothing need be normalised beforehand.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, log_softmax, normalize

_NUDGE = 1e-6


def learning_rate(step: int, steps: int, initial: float, rampdown: float = 0.5, rampup: float = 0.05) -> float:
    """Of one step, counted from 0: linearly up over a share ``rampup`` of the steps, a cosine down over ``rampdown``.

    ``r = initial * (1 - cos(pi * min(1, (1 - t) / rampdown))) / 2 * min(1, t / rampup)``, ``t = step / steps``; the
    first step has none.
    """
    done = step / steps
    down = min(1.0, (1.0 - done) / rampdown)
    return initial * (0.5 - 0.5 * math.cos(math.pi * down)) * min(1.0, done / rampup)


def direction(source: Tensor, target: Tensor) -> Tensor:
    """From one normalised feature to another, of length 1: ``[..., D]``; two that are equal are told apart by 1e-6."""
    start, end = normalize(source, dim=-1), normalize(target, dim=-1)
    moved = end - start
    moved = torch.where(moved.sum(-1, keepdim=True) == 0, end + _NUDGE - start, moved)
    return normalize(moved, dim=-1)


def text_direction(source: Tensor, target: Tensor) -> Tensor:
    """The mean way from texts ``[T, D]`` to texts ``[T, D]`` of the same templates, of length 1: ``[1, D]``."""
    return normalize((normalize(target, dim=-1) - normalize(source, dim=-1)).mean(0, keepdim=True), dim=-1)


def directional(source: Tensor, target: Tensor, words: Tensor) -> Tensor:
    """``1 - cos`` between the way the pictures went and that of the words, ``[N]``.

    Args:
        source, target: features of the pictures before and now, ``[N, D]``.
        words: :func:`text_direction`, ``[1 or N, D]``.
    """
    return 1 - cosine_similarity(direction(source, target), words, dim=-1)


def angle(source: Tensor, target: Tensor, source_text: Tensor, target_text: Tensor) -> Tensor:
    """``|cos of the pictures - cos of the texts|``, ``[N]``: the pictures shall come as far from each other as those.

    Args:
        source, target: ``[N, D]``.
        source_text, target_text: ``[1 or N, D]``.
    """
    return (cosine_similarity(source, target, dim=-1) - cosine_similarity(source_text, target_text, dim=-1)).abs()


def published_ticl(logits: Tensor, classes: Tensor) -> Tensor:
    """``1 - s / 100`` of the wanted class's logit ``s``, ``[N]``, as published: a weak pull, logits being small.

    Args:
        logits: ``[N, C]``, scaled cosines.
        classes: int64 ``[N]``.
    """
    return 1 - logits.gather(1, classes[:, None]).squeeze(1) / 100


def hour_nll(logits: Tensor, hours: Tensor) -> Tensor:
    """Negative log-likelihood of hours under class scores, ``[N]``; a class stands for the middle of its time.

    An hour between two middles counts by its share to both, so that 12:00 asks for 11:30 as much as for 12:30.

    Args:
        logits: ``[N, C]``; class ``c`` is the time from ``24 c / C`` on.
        hours: float ``[N]``, 0 to 24.
    """
    count = logits.shape[1]
    place = hours.to(logits.dtype) * count / 24 - 0.5
    below = place.floor()
    share = (place - below)[:, None]
    first = below.long()[:, None] % count
    shares = log_softmax(logits, 1)
    return -((1 - share) * shares.gather(1, first) + share * shares.gather(1, (first + 1) % count)).squeeze(1)


def drift(latents: Tensor, start: Tensor) -> Tensor:
    """Sum of squares of what was changed, ``[N]``; ``start`` is ``[1 or N, ...]``."""
    return (latents - start).square().flatten(1).sum(1)
