"""What the loop is told, what it is given, and what it answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from telltime.methods.method import Batch


class Batches(Protocol):
    """The batches of one epoch; ``position`` is how many of them are behind us, those passed over included."""

    @property
    def position(self) -> int: ...

    def __next__(self) -> Batch: ...


class Loader(Protocol):
    """Batches in an order that depends on the epoch alone, such as :class:`telltime.clips.loader.ClipLoader`.

    A batch of which nothing could be read is passed over, or comes empty or as ``None``. A plain iterator will do for
    :class:`Batches` if it passes over none.
    """

    def __len__(self) -> int:
        """Batches in an epoch, those included that nothing could be read of."""

    def epoch(self, epoch: int, skip_batches: int = 0) -> Batches:
        """The batches of an epoch, from ``skip_batches`` on."""


class Counted:
    """An epoch's batches with their ``position``, taken from the iterator if it has one."""

    def __init__(self, batches: Batches | Iterator[Batch | None], start: int) -> None:
        self._batches = batches
        self._taken = start

    @property
    def position(self) -> int:
        """How many of the epoch's batches are behind us."""
        return int(getattr(self._batches, "position", self._taken))

    def take(self) -> Batch:
        """The next batch, empty when nothing of it could be read.

        Raises:
            StopIteration: the epoch is over.
        """
        batch = next(self._batches)
        self._taken += 1
        return batch or {}


def items(batch: Batch) -> int:
    """Items of a batch."""
    return next(iter(batch.values())).shape[0] if batch else 0


def clips(batch: Batch) -> int:
    """Clips in a batch: items times views where the batch has ``clips`` of ``[N, V, T, 3, S, S]``, else items."""
    found = batch.get("clips")
    return found.shape[0] * found.shape[1] if found is not None and found.ndim == 6 else items(batch)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        epochs: passes over the data.
        max_steps: optimiser steps of the whole training, those before a resume included, if that ends it earlier.
        accumulate: batches whose gradients make one optimiser step.
        clip_norm: largest common norm of the gradients; None leaves them.
        precision: ``"auto"``, ``"bf16"`` or ``"fp32"``; see :func:`telltime.training.devices.precision`.
        compile: compile the method's forward with ``torch.compile``.
        fsdp: spread parameters and optimiser state over the processes.
        seed: of everything drawn in a step.
        log_every: optimiser steps between two rows of means; the device is waited for only then.
        save_every: optimiser steps between two saved states beside those at epoch ends.
        keep_every: keep the model of every so many epochs; 0 keeps none but the best and the last.
        device: ``"auto"`` or ``"cpu"``.
    """

    epochs: int = 1
    max_steps: int | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    precision: str = "auto"
    compile: bool = False
    fsdp: bool = False
    seed: int = 0
    log_every: int = 10
    save_every: int | None = None
    keep_every: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Trained:
    """How a training ended: ``ended`` is ``"done"``, ``"max_steps"`` or ``"stopped"`` (by ``signal``)."""

    ended: str
    epoch: int
    step: int
    videos: int
    seconds: float
    loss: float | None
    signal: int = 0
