"""TICL's scene probe as its published program trains it.

That program wipes the trained adapter: after it is loaded, every linear layer that did not come with CLIP is drawn anew
from N(0, 0.02^2), and then trained along. What was published as linear probing of TICL is thus a random adapter,
trained on the scenes, between a fixed CLIP and the classifier; it is here to compare with, not to judge an adapter by.

AdamW without weight decay, the rate falling linearly to 0, gradients clipped at 1, two videos a step, left and right
exchanged in half of them; the epoch that is best on the validation videos is the one that is tested.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from telltime.backbones.adapter import Adapter
from telltime.backbones.scene_head import SceneHead

BATCH = 2
RATES = {"hollywood2": (5e-5, 20), "yup": (5e-5, 10), "360x": (7e-5, 20)}
"""Learning rate and epochs of a data set; others have those of YUP++."""
_SPREAD = 0.02


@dataclass(frozen=True)
class PublishedInputs:
    """Features of some videos as they come from the tower.

    Attributes:
        frames: float32 ``[N, F, D]``.
        mirrored: the same of the frames with left and right exchanged; ``None`` where nothing is trained.
        video: float32 ``[N, E]``, if any.
        labels: int64 ``[N]``.
    """

    frames: Tensor
    labels: Tensor
    mirrored: Tensor | None = None
    video: Tensor | None = None


class PublishedProbe(nn.Module):
    """Adapter, where the model has one, weights over the frames, linear layer; all random.

    Args:
        dim: numbers of a frame's feature.
        hidden: of the adapter; 0 for a model that has none.
    """

    def __init__(self, dim: int, classes: int, frames: int, hidden: int = 0, video_dim: int = 0, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.adapter = Adapter(dim, hidden) if hidden else None
            self.head = SceneHead(dim, classes, frames, video_dim)
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.normal_(layer.weight, std=_SPREAD)
                    if layer.bias is not None:
                        nn.init.zeros_(layer.bias)

    def forward(self, frames: Tensor, video: Tensor | None = None) -> Tensor:
        """Class scores ``[N, K]``."""
        return self.head(frames if self.adapter is None else self.adapter(frames), video)


@dataclass(frozen=True)
class Trained:
    """What the program comes to.

    Attributes:
        best: class scores of the test videos at the epoch chosen, ``[N, K]``.
        last: the same after the last epoch.
        epoch: the one chosen, from 1.
        losses, scores: of every epoch: mean training loss, and accuracy on the validation videos.
    """

    best: Tensor
    last: Tensor
    epoch: int
    losses: list[float]
    scores: list[float]


def train_published(
    probe: PublishedProbe,
    train: PublishedInputs,
    validation: PublishedInputs,
    test: PublishedInputs,
    rate: float,
    epochs: int,
    seed: int = 0,
    told: Callable[[int, int], None] | None = None,
) -> Trained:
    """Train the probe in place and test the epoch that is best on the validation videos, the first of equal ones."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(probe.parameters(), lr=rate, weight_decay=0.0)
    steps = -(-len(train.labels) // BATCH) * epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.0, 1 - step / steps))
    best: tuple[float, int, Tensor] | None = None
    losses, scores = [], []
    logits = torch.zeros(0)
    for epoch in range(1, epochs + 1):
        losses.append(_epoch(probe, train, optimiser, schedule, generator))
        found = _logits(probe, validation).argmax(1)
        scores.append(float((found == validation.labels).double().mean()))
        logits = _logits(probe, test)
        if best is None or scores[-1] > best[0]:
            best = (scores[-1], epoch, logits)
        if told:
            told(epoch, epochs)
    assert best is not None
    return Trained(best[2], logits, best[1], losses, scores)


def _epoch(
    probe: PublishedProbe,
    train: PublishedInputs,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    generator: torch.Generator,
) -> float:
    probe.train()
    total = 0.0
    for rows in torch.randperm(len(train.labels), generator=generator).split(BATCH):
        frames = train.frames[rows]
        turned = torch.rand(len(rows), generator=generator) < 0.5
        if train.mirrored is not None:
            frames = torch.where(turned[:, None, None], train.mirrored[rows], frames)
        loss = cross_entropy(probe(frames, None if train.video is None else train.video[rows]), train.labels[rows])
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(probe.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += float(loss.detach()) * len(rows)
    return total / len(train.labels)


@torch.no_grad()
def _logits(probe: PublishedProbe, inputs: PublishedInputs) -> Tensor:
    probe.eval()
    return probe(inputs.frames, inputs.video)


def epochs_and_rate(name: str) -> tuple[float, int]:
    """The published learning rate and epochs of a data set."""
    return RATES.get(name, RATES["yup"])


def as_labels(labels: np.ndarray) -> Tensor:
    """int64 ``[N]``."""
    return torch.as_tensor(np.asarray(labels, dtype=np.int64))
