"""The only training loop: it knows a method's verbs ``views``, ``forward`` and ``after_step``, and nothing else."""

import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from telltime.clips.loader import worker_death
from telltime.methods.method import Batch
from telltime.training import devices, optim, state
from telltime.training.errors import RunError, TrainingError
from telltime.training.interrupt import Stop, polite_stop
from telltime.training.means import Means
from telltime.training.progress import Sink
from telltime.training.run import Run
from telltime.training.schedules import At, Schedule

Export = Callable[[Path, dict[str, Tensor]], None]


class Batches(Protocol):
    """The batches of one epoch; ``position`` is how many of them are behind us, those passed over included."""

    @property
    def position(self) -> int: ...

    def __next__(self) -> Batch: ...


class Loader(Protocol):
    """Batches in an order that depends on the epoch alone; see :class:`telltime.clips.loader.ClipLoader`.

    A batch of which nothing could be read is passed over; with several processes it comes with an empty ``"index"``.
    """

    def __len__(self) -> int:
        """Batches in an epoch, those included that nothing could be read of."""

    def epoch(self, epoch: int, skip_batches: int = 0) -> Batches:
        """The batches of an epoch, from ``skip_batches`` on."""


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


@dataclass
class Position:
    """How far a training has come.

    Attributes:
        epoch, batch: the epoch, and batches of it consumed.
        step, videos, skipped, seconds: optimiser steps, videos, batches left out and time spent, in all.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    videos: int = 0
    skipped: int = 0
    seconds: float = 0.0


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


def fit(
    method: nn.Module,
    loader: Loader,
    optimiser: Optimizer,
    schedule: Schedule,
    settings: Settings,
    run: Run | None = None,
    *,
    accelerator: Accelerator | None = None,
    export: Export | None = None,
    sink: Sink | None = None,
    dropped: Callable[[], int] = lambda: 0,
) -> Trained:
    """Train ``method``, going on from ``run``'s saved state when it was opened to resume.

    On the CPU the same arguments and number of threads give the same bits, however often the training was killed and
    resumed; a resume takes as many threads as its run began with.

    Args:
        method: a module with the verbs of :class:`telltime.methods.method.Method`; trained in place.
        loader: its batches; with several processes, this process's share of them.
        optimiser: over the method's parameters, not stepped yet; each group's ``lr`` is what the schedule scales.
        schedule: decides the learning rate of every step.
        settings: how to train.
        run: an entered run folder; without one nothing is written.
        accelerator: from :func:`telltime.training.devices.start_processes`, if the caller needed it before.
        export: writes a model folder of a model state; called for ``model/``, the best and the kept ones.
        sink: where rows and sentences go; only the first process uses it.
        dropped: how many records have been left out so far.

    Raises:
        TrainingError: nothing could be read in an epoch, or the loss is not a number.
        RunError: the saved state does not fit.
    """
    loop = _Loop(method, loader, optimiser, schedule, settings, run, accelerator, export, sink, dropped)
    with devices.deterministic(loop.device), polite_stop() as stop:
        try:
            return loop.go(stop)
        except RuntimeError as error:
            died = worker_death(error)
            if died is None:
                raise
            if not stop.comes(within=2.0):
                raise died from None
            return loop.ended("stopped", stop)


class _Loop:
    def __init__(
        self,
        method: nn.Module,
        loader: Loader,
        optimiser: Optimizer,
        schedule: Schedule,
        settings: Settings,
        run: Run | None,
        accelerator: Accelerator | None,
        export: Export | None,
        sink: Sink | None,
        dropped: Callable[[], int],
    ) -> None:
        self.method, self.loader, self.optimiser, self.schedule = method, loader, optimiser, schedule
        self.settings, self.run, self.export, self.dropped = settings, run, export, dropped
        self.accelerator = accelerator or devices.start_processes(
            settings.device, static_graph=settings.accumulate == 1
        )
        self.device = self.accelerator.device
        self.main = self.accelerator.is_main_process
        self.together = devices.Together(self.accelerator)
        self.dtype = devices.precision(settings.precision, self.device)
        self.generator = torch.Generator(self.device)
        self.sink = sink if sink is not None and self.main else Sink()
        self.base = [float(group["lr"]) for group in optimiser.param_groups]
        self.steps = -(-len(loader) // settings.accumulate)
        self.position = Position()
        self.window, self.epoch_means = Means(), Means()
        self.facts = {"videos": 0, "clips": 0, "waited": 0.0}
        self.lr = self.base[0]
        self.loss: float | None = None
        self.clock = time.perf_counter()
        self.saved_step = -1

    def go(self, stop: Stop) -> Trained:
        if self.steps == 0:
            raise TrainingError("there is not one batch to train on")
        self.method.train()
        devices.place(self.method, self.device)
        if self.settings.compile:
            self.method.compile()
        self.model = devices.share(self.method, self.optimiser, self.accelerator, self.settings.fsdp)
        self._resume()
        self.sink.start(self._total(), self.position.step)
        self.clock = time.perf_counter()
        ended = "done"
        while self.position.epoch < self.settings.epochs:
            ended = self._epoch(stop)
            if ended != "done":
                break
            self._end_epoch()
        self._finish()
        return self.ended(ended, stop)

    def ended(self, how: str, stop: Stop) -> Trained:
        at = self.position
        return Trained(how, at.epoch, at.step, at.videos, at.seconds, self.loss, stop.signal)

    def _total(self) -> int:
        whole = self.steps * self.settings.epochs
        return whole if self.settings.max_steps is None else min(whole, self.settings.max_steps)

    def _at_limit(self) -> bool:
        return self.settings.max_steps is not None and self.position.step >= self.settings.max_steps

    def _epoch(self, stop: Stop) -> str:
        at = self.position
        if self._at_limit():
            return "max_steps"
        self.schedule.start_epoch(at.epoch)
        batches = self.loader.epoch(at.epoch, skip_batches=at.batch)
        while at.batch < len(self.loader):
            group = self._take(batches, stop)
            if group is None:
                return "stopped"
            at.skipped += batches.position - at.batch - len(group)
            if group:
                self._step(group)
                self._after_step()
            at.batch = batches.position
            if at.batch >= len(self.loader):
                break
            if group and self.settings.save_every and at.step % self.settings.save_every == 0:
                self._save()
            if self._at_limit():
                return "max_steps"
        return "done"

    def _take(self, batches: Batches, stop: Stop) -> list[tuple[int, Batch]] | None:
        """The batches of the next step that every process has something of; None when any was asked to stop."""
        before = time.perf_counter()
        taken: list[tuple[int, Batch]] = []
        try:
            while not stop and len(taken) < self.settings.accumulate:
                batch = next(batches)
                taken.append((batches.position, batch))
        except StopIteration:
            pass
        except Exception:
            if not stop:
                raise
        sizes = [_size(batch) for _, batch in taken] + [0] * (self.settings.accumulate - len(taken))
        *usable, going = self.together.every([size > 0 for size in sizes] + [not stop])
        self.facts["waited"] += time.perf_counter() - before
        return [one for one, use in zip(taken, usable, strict=False) if use] if going else None

    def _step(self, group: list[tuple[int, Batch]]) -> None:
        at = self.position
        where = At(at.epoch, at.batch // self.settings.accumulate, self.steps, self.settings.epochs)
        for base, param_group in zip(self.base, self.optimiser.param_groups, strict=True):
            param_group["lr"] = self.schedule.lr(base, where)
        self.lr = self.optimiser.param_groups[0]["lr"]
        for count, (number, batch) in enumerate(group, 1):
            self._seed(number)
            batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
            with torch.no_grad():
                views = self.method.views(batch, self.generator)  # type: ignore[operator]
            with devices.held_back(self.model, hold=count < len(group)):
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                    loss, logs = self.model(views)
                self.accelerator.backward(loss / len(group))
            values = {"loss": loss} | logs
            self.window.add(values)
            self.epoch_means.add(values)
            self.facts["videos"] += _size(batch) * self.together.world
            self.facts["clips"] += _clips(batch) * self.together.world
        if self.settings.clip_norm is not None:
            self.window.add({"grad_norm": optim.clip(self.method.parameters(), self.settings.clip_norm)})
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.method.after_step()  # type: ignore[operator]
        at.step += 1

    def _seed(self, number: int) -> None:
        """Everything drawn in a step is a function of seed, epoch, batch and process: no random state to save."""
        key = f"{self.settings.seed}\0{self.position.epoch}\0{number}\0{self.accelerator.process_index}"
        seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") >> 1
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)

    def _after_step(self) -> None:
        self.sink.tick(self.position.step)
        if self.position.step % self.settings.log_every == 0:
            self._log()

    def _log(self, partial: bool = False) -> None:
        """Write the window's means; a partial one is shown, and forgotten by a resume."""
        means = self.window.means(self.together.mean(self.window.sums()))
        self._believe(means["loss"])
        self.loss = means["loss"]
        at, now = self.position, time.perf_counter()
        passed = max(now - self.clock, 1e-9)
        per_step = passed / max(1, at.step % self.settings.log_every if partial else self.settings.log_every)
        row: dict[str, Any] = {"kind": "step", "epoch": at.epoch, "step": at.step, "lr": self.lr, **means}
        row |= {"videos_per_second": self.facts["videos"] / passed, "clips_per_second": self.facts["clips"] / passed}
        row |= {
            "waiting": min(1.0, self.facts["waited"] / passed),
            "left_seconds": per_step * (self._total() - at.step),
        }
        row |= {"dropped": self.dropped(), "skipped_batches": at.skipped} | ({"partial": True} if partial else {})
        self.sink.row(row)
        if partial:
            return
        self.window.clear()
        self._account(now)

    def _account(self, now: float) -> None:
        self.position.videos += int(self.facts["videos"])
        self.position.seconds += now - self.clock
        self.facts = {"videos": 0, "clips": 0, "waited": 0.0}
        self.clock = now

    def _believe(self, loss: float) -> None:
        if not math.isfinite(loss):
            kept = f"; the last good state is {self.run.state}" if self.run and self.run.state.exists() else ""
            raise TrainingError(
                f"the loss is {loss} at step {self.position.step}: lower the learning rate or set clip_norm{kept}"
            )

    def _end_epoch(self) -> None:
        at = self.position
        if not len(self.epoch_means):
            raise TrainingError(
                f"no batch of epoch {at.epoch} held a readable video for every process; dropped.jsonl names the files"
            )
        means = self.epoch_means.means(self.together.mean(self.epoch_means.sums()))
        self._believe(means["loss"])
        best = self.schedule.end_epoch(means["loss"])
        row: dict[str, Any] = {"kind": "epoch", "epoch": at.epoch, "step": at.step, "lr": self.lr, **means}
        seconds = at.seconds + time.perf_counter() - self.clock
        row |= {"best": best, "dropped": self.dropped(), "seconds": seconds}
        self.sink.row(row)
        self.epoch_means.clear()
        kept = self.settings.keep_every
        names = ["best"] if best else [f"epoch-{at.epoch:04d}"] if kept and at.epoch % kept == 0 else []
        at.epoch, at.batch = at.epoch + 1, 0
        self._save(names)

    def _save(self, names: list[str] | None = None) -> None:
        """Save the state, and at an epoch's end the model under ``names`` and as ``model/``."""
        sums = [self.together.mean(means.sums()) for means in (self.window, self.epoch_means)]
        for means, values in zip((self.window, self.epoch_means), sums, strict=True):
            self._believe(means.means(values).get("loss", 0.0))
            means.load_state_dict(means.state_dict(values), self.device)
        if self.run is None:
            return
        model = state.model_state(self.method)
        moments = state.optimiser_state(self.method, self.optimiser)
        at = self.position
        seconds = at.seconds + time.perf_counter() - self.clock
        facts = {
            "position": asdict(at) | {"videos": at.videos + int(self.facts["videos"]), "seconds": seconds},
            "schedule": self.schedule.state_dict(),
            "window": self.window.state_dict(),
            "epoch_means": self.epoch_means.state_dict(),
            "loss": self.loss,
            "batches": len(self.loader),
            "threads": torch.get_num_threads(),
        }
        if self.main:
            if self.export is not None and names is not None:
                for folder in [self.run.checkpoints / name for name in names] + [self.run.model]:
                    self.export(folder, model)
            state.save(self.run.state, model, moments, facts)
        self.saved_step = at.step

    def _resume(self) -> None:
        if self.run is None or not self.run.resume:
            return
        self.together.wait()
        if not self.run.state.exists():
            if self.main:
                self.run.rewind_metrics(0, 0)
            return
        facts = state.load(self.run.state, self.method, self.optimiser)
        if facts["batches"] != len(self.loader):
            raise RunError(
                f"the data gives {len(self.loader)} batches an epoch, but {facts['batches']} when {self.run.folder} was "
                "saved; resume with the data it was started with"
            )
        if self.device.type == "cpu" and facts["threads"] <= (os.cpu_count() or 1):
            torch.set_num_threads(facts["threads"])  # sums are split by threads, and their last bits with them
        self.position = Position(**facts["position"])
        self.schedule.load_state_dict(facts["schedule"])
        self.window.load_state_dict(facts["window"], self.device)
        self.epoch_means.load_state_dict(facts["epoch_means"], self.device)
        self.loss = facts["loss"]
        self.saved_step = self.position.step
        if self.main:
            self.run.rewind_metrics(self.position.step, self.position.epoch)
        self.sink.say(f"going on from step {self.position.step} (epoch {self.position.epoch})")

    def _finish(self) -> None:
        """Show the unfinished window, and save what has not been saved, the model in any case."""
        if len(self.window):
            self._log(partial=True)
        self._account(time.perf_counter())
        stale = self.run is not None and not self.run.model.exists()
        if self.position.step and (self.saved_step != self.position.step or stale):
            self._save([])


def _size(batch: Batch) -> int:
    """Items of a batch."""
    return next(iter(batch.values())).shape[0]


def _clips(batch: Batch) -> int:
    """Clips in a batch: items times views where the batch has ``clips`` of ``[N, V, T, 3, S, S]``, else items."""
    clips = batch.get("clips")
    return clips.shape[0] * clips.shape[1] if clips is not None and clips.ndim == 6 else _size(batch)
