"""Learning rate and weight decay as functions of the position in the training, and of the losses seen so far."""

import math
from abc import ABC, abstractmethod
from typing import Any, NamedTuple


class At(NamedTuple):
    """A position in the training.

    Attributes:
        epoch: epochs behind us.
        step: optimiser steps behind us in this epoch.
        steps: optimiser steps in an epoch.
        epochs: epochs of the whole training.
    """

    epoch: int
    step: int
    steps: int
    epochs: int

    def passed(self, per: str) -> tuple[int, int]:
        """How many units are behind us, and how many make an epoch; a unit is a ``"step"`` or an ``"epoch"``."""
        return (self.epoch * self.steps + self.step, self.steps) if per == "step" else (self.epoch, 1)


class Schedule(ABC):
    """Decides the learning rate, and remembers the lowest epoch loss.

    Everything a schedule remembers is in :meth:`state_dict`, as plain numbers.

    Attributes:
        needs_length: whether the learning rate depends on the length of the whole training.
        best: lowest mean loss of an epoch, ``None`` before the first one ends.
    """

    needs_length = False

    def __init__(self) -> None:
        self.best: float | None = None

    @abstractmethod
    def lr(self, base: float, at: At) -> float:
        """The learning rate of the step that starts at ``at``, for a group whose own rate is ``base``."""

    def weight_decay(self, base: float, at: At) -> float:
        """The weight decay of that step, for a group whose own is ``base``."""
        return base

    def start_epoch(self, epoch: int) -> None:  # noqa: B027, a hook
        """Tell that ``epoch`` is about to start; telling it twice is telling it once."""

    def end_epoch(self, loss: float) -> bool:
        """Tell an epoch's mean loss; True when it is lower than every one before."""
        if self.best is not None and not loss < self.best:
            return False
        self.best = loss
        return True

    def state_dict(self) -> dict[str, Any]:
        """What must be kept to go on: JSON numbers only."""
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for key in self.state_dict():
            setattr(self, key, state[key])


class WarmupPlateau(Schedule):
    """TCLR's: a warm-up by epochs, then a tenth whenever the epoch loss has been above its best ``patience`` times.

    The count starts again at a new best and at each drop; a loss equal to the best leaves it alone. No floor, no end.
    Source: the published pre-training script; its trace is pinned by a golden file.

    Args:
        warmup: divisors of the learning rate in the first epochs, one an epoch.
        patience: worse epochs before a drop.
        drop: what a drop divides the learning rate by.
    """

    def __init__(self, warmup: tuple[float, ...] = (100, 20, 10, 2, 1), patience: int = 9, drop: float = 10.0) -> None:
        super().__init__()
        self.warmup, self.patience, self.drop = tuple(warmup), patience, drop
        self.worse = 0
        self.drops = 0
        self.started = -1

    def lr(self, base: float, at: At) -> float:
        if at.epoch < len(self.warmup):
            return base / self.warmup[at.epoch]
        return base / self.drop**self.drops

    def start_epoch(self, epoch: int) -> None:
        if epoch == self.started:
            return
        self.started = epoch
        if self.worse >= self.patience:
            self.worse = 0
            self.drops += 1

    def end_epoch(self, loss: float) -> bool:
        before, better = self.best, super().end_epoch(loss)
        if better:
            self.worse = 0
        elif before is not None and loss > before:
            self.worse += 1
        return better

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"worse": self.worse, "drops": self.drops, "started": self.started}


class _Warm(Schedule):
    """A linear warm-up over ``warmup`` epochs, then what :meth:`after` says; by step or by epoch."""

    def __init__(self, warmup: float, per: str) -> None:
        super().__init__()
        if per not in ("step", "epoch"):
            raise ValueError(f"per must be 'step' or 'epoch', not {per!r}")
        self.warmup, self.per = warmup, per

    def lr(self, base: float, at: At) -> float:
        done, each = at.passed(self.per)
        warm = self.warmup * each
        if done < warm:
            return base * (done + 1) / (warm + 1)
        return self.after(base, done, each, warm, at)

    @abstractmethod
    def after(self, base: float, done: float, each: int, warm: float, at: At) -> float:
        """The learning rate once it is warm: ``done`` of the steps or epochs, ``each`` of them an epoch."""


class Constant(_Warm):
    """The same learning rate throughout, after a linear warm-up of ``warmup`` epochs."""

    def __init__(self, warmup: float = 0.0, per: str = "step") -> None:
        super().__init__(warmup, per)

    def after(self, base: float, done: float, each: int, warm: float, at: At) -> float:
        return base


class Cosine(_Warm):
    """Half a cosine from the full rate to ``floor`` times it, after a linear warm-up.

    Source: Loshchilov and Hutter, SGDR, ICLR 2017, without restarts.

    Args:
        warmup: epochs of linear warm-up.
        floor: share of the learning rate left at the end, 0 to 1.
        per: ``"step"`` or ``"epoch"``: how often the rate changes.
        decay: the weight decay at the end, if it shall change: it goes there from each group's own along half a cosine,
            without warm-up; a group that has none keeps none.
        start: share of the rate that the warm-up starts from, if it shall be as TIME has it: the half cosine then spans
            the whole training, and the warm-up leads from there to where it is by then.
    """

    needs_length = True

    def __init__(
        self,
        warmup: float = 0.0,
        floor: float = 0.0,
        per: str = "step",
        decay: float | None = None,
        start: float | None = None,
    ) -> None:
        super().__init__(warmup, per)
        self.floor, self.decay, self.start = floor, decay, start

    def lr(self, base: float, at: At) -> float:
        if self.start is None:
            return super().lr(base, at)
        done, each = at.passed(self.per)
        warm = self.warmup * each
        if done >= warm:
            return self.after(base, done, each, 0, at)
        begin = base * self.start
        return begin + (self.after(base, warm, each, 0, at) - begin) * done / warm

    def weight_decay(self, base: float, at: At) -> float:
        if self.decay is None or base == 0:
            return base
        done, each = at.passed(self.per)
        share = min(1.0, done / max(1.0, at.epochs * each))
        return self.decay + (base - self.decay) * (1 + math.cos(math.pi * share)) / 2

    def after(self, base: float, done: float, each: int, warm: float, at: At) -> float:
        share = min(1.0, (done - warm) / max(1.0, at.epochs * each - warm))
        return base * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * share)) / 2)


class MultiStep(_Warm):
    """The rate times ``factor`` at each of the ``milestones`` (epochs), after a linear warm-up."""

    def __init__(
        self, milestones: tuple[float, ...], factor: float = 0.1, warmup: float = 0.0, per: str = "epoch"
    ) -> None:
        super().__init__(warmup, per)
        self.milestones, self.factor = tuple(milestones), factor

    def after(self, base: float, done: float, each: int, warm: float, at: At) -> float:
        return base * self.factor ** sum(done >= milestone * each for milestone in self.milestones)
