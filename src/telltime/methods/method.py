"""What the loop knows of a method: four verbs, and how an item is read."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from telltime.clips.item import ItemReader

Batch = dict[str, Tensor]


class Step(NamedTuple):
    """What one training step gives: the loss to descend, and numbers to log (0-d tensors, detached, no host sync)."""

    loss: Tensor
    logs: dict[str, Tensor]


class Embedding(NamedTuple):
    """What a model says of clips.

    Attributes:
        map: float ``[N, C, T', H', W']``, the backbone's feature map.
        slices: float ``[N, C, T']``, averaged over space.
        pooled: float ``[N, C]``, averaged over space and time.
    """

    map: Tensor
    slices: Tensor
    pooled: Tensor


class Method(Protocol):
    """A ``torch.nn.Module`` with four verbs and a reader of items."""

    reader: ItemReader

    def views(self, batch: Batch, generator: torch.Generator) -> Any:
        """A batch, as the loader gives it, to the float views ``forward`` takes, on ``generator``'s device.

        The batch lies on the host: pixels are moved from here, while numbers that say what to do with them are best
        left there, where asking them waits for no device.
        """

    def forward(self, views: Any) -> Step:
        """The loss of a batch of views."""

    def embed(self, clip: Tensor) -> Embedding:
        """Float clips ``[N, 3, T, H, W]`` to features."""

    def after_step(self) -> None:
        """What follows an optimiser step (moving averages, queues)."""


@runtime_checkable
class Paced(Protocol):
    """A method of which something goes by the length of the training."""

    def set_length(self, steps: int) -> None:
        """How many optimiser steps all epochs have; told once before the first step, also when going on."""


@runtime_checkable
class Classifies(Protocol):
    """A method that learns the classes of the data, and may not know how many there are before it sees them."""

    def set_classes(self, count: int) -> None:
        """How many classes the data has, 0 for none; told once, before anything else.

        Raises:
            ValueError: it was made for fewer.
        """
