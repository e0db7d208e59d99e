"""From a photo's features to a distribution over the day: TICL's head, and others on the same features.

Every head maps float ``[N, dim]`` to scores ``[N, classes]`` (log shares of equal classes of the day, but for a
constant) and, by ``density``, to the shares of any number of bins, ``[N, bins]``, rows sum to 1. What it takes is
features as they are (``CosineHead``) or standardised ones.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import VonMises

from telltime.backbones.adapter import Adapter
from telltime.backbones.time_encoder import TimeEncoder

LOGIT = math.log(1 / 0.07)
"""Where the logarithm of the scale of similarities starts."""

MONTHS = 12


def spread(shares: Tensor, bins: int) -> Tensor:
    """Shares of classes ``[N, C]`` over ``bins`` equal bins.

    Every class keeps its share; within it the density is a line with the slope between its neighbours, as far as that
    stays above 0 (:func:`telltime.metrics.circular.refine`, with gradients).
    """
    classes = shares.shape[1]
    fine = math.lcm(classes, bins)
    parts = fine // classes
    limit = 2 * shares
    slope = ((shares.roll(-1, 1) - shares.roll(1, 1)) / 2).clamp(-limit, limit)
    inside = (torch.arange(parts, device=shares.device, dtype=shares.dtype) + 0.5) / parts - 0.5
    found = (shares[..., None] + slope[..., None] * inside) / parts
    return found.reshape(len(shares), bins, fine // bins).sum(2)


class CosineHead(nn.Module):
    """TICL's: an adapter for photos, an encoder for classes, and the cosine between them times a learnt scale.

    The names of its parameters are the published ones, so its state dict is the published checkpoint. Its scores are
    likelihoods: they hold for a day whose hours are equally common.

    Args:
        classes: equal parts of the day.
        dim: numbers of a feature.
        hidden: of the adapter.
        dropout: scales the published dropout.
    """

    def __init__(self, classes: int = 24, dim: int = 768, hidden: int = 192, dropout: float = 1.0) -> None:
        super().__init__()
        self.classes, self.dim, self.hidden, self.dropout = classes, dim, hidden, dropout
        self.logit = nn.Parameter(torch.tensor(LOGIT))
        self.image_encoder = Adapter(dim, hidden)
        self.time_encoder = TimeEncoder(classes, dim, dropout)

    def embed(self, features: Tensor) -> Tensor:
        """The adapter's output, ``[N, dim]``: what photos are found by."""
        return self.image_encoder(features)

    def against(self, features: Tensor, times: Tensor) -> Tensor:
        """Scaled cosines ``[N, M]`` of photos' features with time vectors ``[M, dim]``."""
        return self.logit.exp() * F.normalize(self.embed(features)) @ F.normalize(times).T

    def pairs(self, features: Tensor, classes: Tensor) -> Tensor:
        """Photos by the times of the batch, ``[B, B]``: what the published loss is of."""
        rows = F.one_hot(classes, self.classes).to(features.dtype)
        return self.against(features, self.time_encoder(rows))

    def forward(self, features: Tensor, counts: Tensor | None = None) -> Tensor:
        """Scores ``[N, classes]``; ``counts`` as :meth:`TimeEncoder.gallery` takes them."""
        return self.against(features, self.time_encoder.gallery(counts))

    def density(self, features: Tensor, bins: int = 96) -> Tensor:
        """``[N, bins]``; see :func:`spread`."""
        return spread(self(features).softmax(1), bins)


class Straight(nn.Module):
    """What the other heads share: a linear map, perhaps with a hidden layer before it, that starts at 0.

    What it maps is divided by the root of its size, so that standardised features come in at length 1 and plain
    gradient descent with momentum finds the best weights in a few hundred steps.
    """

    def __init__(self, dim: int, out: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dim, self.hidden, self.dropout = dim, hidden, dropout
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        layers += [nn.Linear(dim, hidden), nn.ReLU()] if hidden else []
        self.out = nn.Linear(hidden or dim, out)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.trunk = nn.Sequential(*layers)

    def embed(self, features: Tensor) -> Tensor:
        """What photos are found by: the hidden layer, or what the linear map says, ``[N, ...]``."""
        return self.trunk(features) if self.hidden else self.told(features)

    def told(self, features: Tensor) -> Tensor:
        """The linear map's output."""
        return self.out(self.trunk(features) / math.sqrt(self.out.in_features))


class SoftHead(Straight):
    """Soft circular labels: the log density is a smooth curve along the day, a sum of a few waves a photo.

    Args:
        classes: of the scores.
        dim: numbers of a feature.
        harmonics: waves; the shortest has ``24 / harmonics`` hours.
        roughness: wave ``m`` is scaled down by ``m ** roughness``, so that weight decay asks for smooth curves.
        hidden: of a layer before the linear map; 0 for none.
        dropout: share of features left out in training.
    """

    def __init__(
        self,
        classes: int = 24,
        dim: int = 768,
        harmonics: int = 6,
        roughness: float = 1.0,
        hidden: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim, 2 * harmonics, hidden, dropout)
        self.classes, self.harmonics, self.roughness = classes, harmonics, roughness

    def waves(self, bins: int, like: Tensor) -> Tensor:
        """The waves at the middles of bins, ``[2 * harmonics, bins]``."""
        turn = (torch.arange(bins, device=like.device, dtype=like.dtype) + 0.5) * (2 * math.pi / bins)
        number = torch.arange(1, self.harmonics + 1, device=like.device, dtype=like.dtype)[:, None]
        scale = number**-self.roughness
        return torch.cat([scale * torch.cos(number * turn), scale * torch.sin(number * turn)])

    def forward(self, features: Tensor) -> Tensor:
        """Scores ``[N, classes]``."""
        told = self.told(features)
        return told @ self.waves(self.classes, told)

    def density(self, features: Tensor, bins: int = 96) -> Tensor:
        """``[N, bins]``."""
        told = self.told(features)
        return (told @ self.waves(bins, told)).softmax(1)


class MixtureHead(Straight):
    """A mixture of von Mises curves a photo.

    Args:
        classes: of the scores.
        dim: numbers of a feature.
        components: curves; they start evenly around the day.
        hidden, dropout: as of :class:`SoftHead`.
    """

    def __init__(
        self, classes: int = 24, dim: int = 768, components: int = 4, hidden: int = 0, dropout: float = 0.0
    ) -> None:
        super().__init__(dim, 4 * components, hidden, dropout)
        self.classes, self.components = classes, components
        start = (torch.arange(components) + 0.5) * (2 * math.pi / components)
        with torch.no_grad():
            self.out.bias[components : 2 * components] = torch.cos(start)
            self.out.bias[2 * components : 3 * components] = torch.sin(start)

    def curves(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the weights, centres in hours, and log concentrations, ``[N, components]`` each."""
        weights, x, y, log_kappa = self.told(features).chunk(4, 1)
        return weights, torch.atan2(y, x) * (12 / math.pi) % 24, log_kappa.clamp(-3, 5)

    def forward(self, features: Tensor) -> Tensor:
        """Scores ``[N, classes]``, the logarithms of the classes' shares."""
        return self.density(features, self.classes).clamp_min(1e-12).log()

    def density(self, features: Tensor, bins: int = 96) -> Tensor:
        """``[N, bins]``: the mixture at the middles of the bins, or of finer ones."""
        weights, centres, log_kappa = self.curves(features)
        finer = -(-96 // bins)
        count = bins * finer
        middles = (torch.arange(count, device=weights.device, dtype=weights.dtype) + 0.5) * (2 * math.pi / count)
        curves = VonMises(centres[:, None] * (math.pi / 12), log_kappa.exp()[:, None], validate_args=False)
        parts = curves.log_prob(middles[:, None])
        shares = (weights.log_softmax(1)[:, None] + parts).logsumexp(2).softmax(1)
        return shares.view(len(shares), bins, finer).sum(2)


class MonthHead(Straight):
    """Hours by months: a score for each class of the day in each month.

    Args:
        classes: of the day.
        dim: numbers of a feature.
        hidden, dropout: as of :class:`SoftHead`.
    """

    def __init__(self, classes: int = 24, dim: int = 768, hidden: int = 0, dropout: float = 0.0) -> None:
        super().__init__(dim, classes * MONTHS, hidden, dropout)
        self.classes = classes

    def grid(self, features: Tensor) -> Tensor:
        """Scores ``[N, classes, 12]``."""
        return self.told(features).unflatten(1, (self.classes, MONTHS))

    def forward(self, features: Tensor, months: Tensor | None = None) -> Tensor:
        """Scores ``[N, classes]``: over all months, or in the given ones (int64 ``[N]``, below 0 where not known)."""
        grid = self.grid(features)
        whole = grid.logsumexp(2)
        if months is None:
            return whole
        own = grid.gather(2, months.clamp_min(0)[:, None, None].expand(-1, self.classes, 1))[..., 0]
        return torch.where(months[:, None] >= 0, own, whole)

    def density(self, features: Tensor, bins: int = 96, months: Tensor | None = None) -> Tensor:
        """``[N, bins]``; see :func:`spread`."""
        return spread(self(features, months).softmax(1), bins)


HEADS: dict[str, Any] = {"cosine": CosineHead, "soft": SoftHead, "mixture": MixtureHead, "month": MonthHead}
"""Heads by the names that a recipe gives them."""
