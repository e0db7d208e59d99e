"""Moving a picture to another time of day: the loss over any differentiable renderer, as TICL edits StyleGAN2 latents.

>>> loss = TimeEditLoss(hours_of=clock_scores)             # pictures 0 to 1 -> class scores [N, C]
>>> loss.begin(render(latents), latents)
>>> loss(render(moved), moved, hours)["total"].sum().backward()

The published program hands pictures of -1 to 1 to an encoder that expects 0 to 1. Here they are brought to 0 to 1;
``mapping="published"`` keeps the mistake, for comparison.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from telltime.losses.time_editing import directional, drift, hour_nll, published_ticl

MAPPINGS = ("right", "published")
Score = Callable[[Tensor], Tensor]
Compare = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class EditWeights:
    """How much each term counts; 0 leaves it out. Those of a term whose network is not given do not count.

    Attributes:
        nll: negative log-likelihood of the wanted hour.
        ticl: the published ``1 - s / 100``.
        directional: the way of the pictures against that of the words.
        l2: squared change of the latent.
    """

    nll: float = 1.0
    ticl: float = 0.0
    directional: float = 1.0
    l2: float = 0.0005


PUBLISHED = EditWeights(nll=0.0, ticl=1.0)


class TimeEditLoss(nn.Module):
    """How far pictures are from the hours wanted, and latents from where they started.

    Args:
        hours_of: pictures ``[N, 3, H, W]`` in 0 to 1 to class scores ``[N, C]`` of the times of day, differentiable.
        describe: such pictures to features ``[N, D]`` of a network that knows words too, for the directional term.
        words: ``[N, D]``, one direction for each of the hours to come, or one for all.
        weights: of the terms.
        others: further terms by name: a weight, and a function of pictures now and before (0 to 1) that gives ``[N]``:
            the identity of a face, LPIPS.
        mapping: ``"right"``, or ``"published"``, see above.
    """

    start: Tensor | None
    before: Tensor | None
    described: Tensor | None

    def __init__(
        self,
        hours_of: Score | None = None,
        describe: Score | None = None,
        words: Tensor | None = None,
        weights: EditWeights = EditWeights(),
        others: Mapping[str, tuple[float, Compare]] | None = None,
        mapping: str = "right",
    ) -> None:
        super().__init__()
        if mapping not in MAPPINGS:
            raise ValueError(f"mapping is one of {', '.join(MAPPINGS)}, not {mapping!r}")
        if hours_of is None and (describe is None or words is None):
            raise ValueError("an edit needs a clock, or a network of pictures and words with directions")
        self.hours_of, self.describe, self.weights, self.mapping = hours_of, describe, weights, mapping
        self.others = dict(others or {})
        self.register_buffer("words", words)
        self.start = self.before = self.described = None

    def seen(self, pictures: Tensor) -> Tensor:
        """Rendered pictures as the networks take them."""
        return (pictures + 1) / 2 if self.mapping == "right" else pictures

    @torch.no_grad()
    def begin(self, pictures: Tensor, latents: Tensor) -> None:
        """Take what pictures and latents are measured against, of one row or of as many as will come."""
        self.start, self.before = latents.detach().clone(), self.seen(pictures.detach())
        self.described = None if self.describe is None else self.describe(self.before)

    def forward(self, pictures: Tensor, latents: Tensor, hours: Tensor) -> dict[str, Tensor]:
        """Each term as it is and their weighted ``"total"``, all ``[N]``.

        Args:
            pictures: rendered of ``latents``, ``[N, 3, H, W]``, about -1 to 1.
            latents: ``[N, ...]``.
            hours: ``[N]``, 0 to 24.
        """
        if self.start is None or self.before is None:
            raise RuntimeError("begin() must be told where the edit starts")
        now, terms = self.seen(pictures), {"l2": drift(latents, self.start)}
        weights: dict[str, float] = {"l2": self.weights.l2}
        if self.hours_of is not None and (self.weights.nll or self.weights.ticl):
            scores = self.hours_of(now)
            terms |= {"nll": hour_nll(scores, hours), "ticl": published_ticl(scores, _classes(hours, scores.shape[1]))}
            weights |= {"nll": self.weights.nll, "ticl": self.weights.ticl}
        words: Any = self.words
        if self.describe is not None and words is not None and self.weights.directional:
            assert self.described is not None
            terms["directional"] = directional(self.described, self.describe(now), words)
            weights["directional"] = self.weights.directional
        for name, (weight, compare) in self.others.items():
            terms[name], weights[name] = compare(now, self.before), weight
        terms["total"] = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum(0)
        return terms


def tower_scores(tower: Any, scores: Score) -> Score:
    """Pictures in 0 to 1 to what ``scores`` makes of an image tower's features, differentiable.

    Args:
        tower: a :class:`telltime.backbones.image_tower.ImageTower`, frozen by the caller.
        scores: features ``[N, D]`` to class scores ``[N, C]``.
    """

    def score(pictures: Tensor) -> Tensor:
        return scores(tower.rows(tower.normalised(255 * fitted(tower, pictures))))

    return score


def fitted(tower: Any, pictures: Tensor) -> Tensor:
    """Float pictures ``[N, 3, H, W]`` scaled and cut as the tower's profile has it, ``[N, 3, size, size]``."""
    size, (height, width) = tower.size, pictures.shape[2:]
    if tower.crop is None:
        return _scaled(pictures, size, size, tower.resampling)
    short = max(size, round(size / tower.crop))
    tall, wide = (max(short, round(short * side / min(height, width))) for side in (height, width))
    pictures = _scaled(pictures, tall, wide, tower.resampling)
    top, left = (tall - size) // 2, (wide - size) // 2
    return pictures[:, :, top : top + size, left : left + size]


def _scaled(pictures: Tensor, height: int, width: int, resampling: str) -> Tensor:
    if pictures.shape[2:] == (height, width):
        return pictures
    return interpolate(pictures, (height, width), mode=resampling, align_corners=False, antialias=True)


def _classes(hours: Tensor, count: int) -> Tensor:
    """int64 ``[N]``: the class that each hour falls into, to the minute."""
    return (hours * 60).round().long() % 1440 * count // 1440
