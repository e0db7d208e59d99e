"""What a training in progress is made of, saved and brought back as one."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from telltime.training import state
from telltime.training.errors import RunError
from telltime.training.means import Means
from telltime.training.run import Run
from telltime.training.schedules import Schedule

Export = Callable[[Path, dict[str, Tensor]], None]
"""Writes a model folder of a model state."""


@dataclass
class Position:
    """How far a training has come.

    Attributes:
        epoch, batch: the epoch, and batches of it consumed.
        step, videos, skipped, seconds: optimiser steps, videos, batches left out and time spent, in all.
        loss: the last mean that was fetched.
        score: the best of a validation so far.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    videos: int = 0
    skipped: int = 0
    seconds: float = 0.0
    loss: float | None = None
    score: float | None = None


@dataclass
class Keeper:
    """Saves and resumes a training; without a run it does nothing.

    Attributes:
        main: whether this process writes; the others only take part where parameters are spread over processes.
        batches: batches of an epoch; a resumed training must have as many.
        position, window, epoch: how far it is, and the means of the window and of the epoch under way.
    """

    run: Run | None
    method: nn.Module
    optimiser: Optimizer
    schedule: Schedule
    export: Export | None
    main: bool
    batches: int
    position: Position = field(default_factory=Position)
    window: Means = field(default_factory=Means)
    epoch: Means = field(default_factory=Means)
    saved_step: int = -1

    def save(self, position: Position, names: list[str] | None = None) -> None:
        """Save everything as of ``position``; given ``names``, also export the model under them and as ``model/``."""
        if self.run is None:
            return
        model = state.model_state(self.method)
        moments = state.optimiser_state(self.method, self.optimiser)
        facts: dict[str, Any] = {
            "position": asdict(position),
            "schedule": self.schedule.state_dict(),
            "window": self.window.state_dict(),
            "epoch": self.epoch.state_dict(),
            "batches": self.batches,
            "threads": torch.get_num_threads(),
        }
        if self.main:
            if self.export is not None and names is not None:
                for folder in [self.run.checkpoints / name for name in names] + [self.run.model]:
                    self.export(folder, model)
            state.save(self.run.state, model, moments, facts)
        self.saved_step = position.step

    def unsaved(self) -> bool:
        """Whether steps have been made since the last save, or a state is there without its model."""
        without_model = self.run is not None and self.export is not None and not self.run.model.exists()
        return self.position.step > 0 and (self.saved_step != self.position.step or without_model)

    def resume(self, device: torch.device) -> bool:
        """Go on from the saved state if the run was opened for it and there is one.

        Raises:
            RunError: the state cannot be read or does not fit.
        """
        if self.run is None or not self.run.resume:
            return False
        if not self.run.state.exists():
            if self.main:
                self.run.rewind_metrics(0, 0)
            return False
        facts = state.load(self.run.state, self.method, self.optimiser)
        if facts["batches"] != self.batches:
            raise RunError(
                f"the data gives {self.batches} batches an epoch, but {facts['batches']} when {self.run.folder} was "
                "saved; resume with the data it was started with"
            )
        if device.type == "cpu" and facts["threads"] <= (os.cpu_count() or 1):
            torch.set_num_threads(facts["threads"])  # sums are split by threads, and their last bits with them
        self.position = Position(**facts["position"])
        self.schedule.load_state_dict(facts["schedule"])
        self.window.load_state_dict(facts["window"], device)
        self.epoch.load_state_dict(facts["epoch"], device)
        self.saved_step = self.position.step
        if self.main:
            self.run.rewind_metrics(self.position.step, self.position.epoch)
        return True
