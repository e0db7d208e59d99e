"""The only training loop: it knows a method's verbs ``views``, ``forward`` and ``after_step``, and nothing else."""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer

from telltime.clips.loader import worker_death
from telltime.methods.method import Batch, Paced
from telltime.training import devices, optim
from telltime.training.errors import TrainingError
from telltime.training.interrupt import Stop, polite_stop
from telltime.training.keeper import Export, Keeper, Position
from telltime.training.progress import Sink
from telltime.training.run import Run
from telltime.training.schedules import At, Schedule
from telltime.training.settings import Batches, Counted, Loader, Settings, Trained, clips, items

Validate = Callable[[int], dict[str, float]]

__all__ = ["Batches", "Export", "Loader", "Settings", "Trained", "fit"]


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
    validate: Validate | None = None,
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
        validate: called at the end of every epoch with its number, the method being in evaluation mode; gives numbers
            of which the largest ``score`` makes the best model, or none. Without it the lowest loss does.

    Raises:
        TrainingError: nothing could be read in an epoch, or the loss is not a number.
        RunError: the saved state does not fit.
    """
    loop = _Loop(method, loader, optimiser, schedule, settings, run, accelerator, export, sink, dropped, validate)
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
        validate: Validate | None,
    ) -> None:
        static = settings.accumulate == 1
        self.accelerator = accelerator or devices.start_processes(settings.device, static_graph=static)
        self.device = self.accelerator.device
        self.together = devices.Together(self.accelerator)
        self.dtype = devices.precision(settings.precision, self.device)
        self.generator = torch.Generator(self.device)
        self.method: Any = method
        self.loader, self.optimiser, self.schedule, self.settings = loader, optimiser, schedule, settings
        self.dropped, self.validate = dropped, validate
        main = self.accelerator.is_main_process
        self.sink = sink if sink is not None and main else Sink()
        self.keeper = Keeper(run, method, optimiser, schedule, export, main, len(loader))
        self.base = [float(group["lr"]) for group in optimiser.param_groups]
        self.lr = self.base[0]
        self.decay = [float(group.get("weight_decay", 0.0)) for group in optimiser.param_groups]
        self.steps = -(-len(loader) // settings.accumulate)
        self.counts = {"videos": 0, "clips": 0, "waited": 0.0}
        self.clock = time.perf_counter()

    @property
    def at(self) -> Position:
        return self.keeper.position

    def go(self, stop: Stop) -> Trained:
        if self.steps == 0:
            raise TrainingError("there is not one batch to train on")
        self.method.train()
        if isinstance(self.method, Paced):
            self.method.set_length(self.steps * self.settings.epochs)
        devices.place(self.method, self.device)
        if self.settings.compile:
            self.method.compile()
        self.model = devices.share(self.method, self.optimiser, self.accelerator, self.settings.fsdp)
        self.together.wait()
        if self.keeper.resume(self.device):
            self.sink.say(f"going on from step {self.at.step} (epoch {self.at.epoch})")
        self.sink.start(self._total(), self.at.step)
        self.clock = time.perf_counter()
        ended = "done"
        while self.at.epoch < self.settings.epochs:
            ended = self._epoch(stop)
            if ended != "done":
                break
            self._end_epoch()
        if len(self.keeper.window):
            self._log(partial=True)
        self._account()
        if self.keeper.unsaved():
            self._save([])
        return self.ended(ended, stop)

    def ended(self, how: str, stop: Stop) -> Trained:
        at = self.at
        return Trained(how, at.epoch, at.step, at.videos, at.seconds, at.loss, stop.signal)

    def _total(self) -> int:
        whole = self.steps * self.settings.epochs
        return whole if self.settings.max_steps is None else min(whole, self.settings.max_steps)

    def _at_limit(self) -> bool:
        return self.settings.max_steps is not None and self.at.step >= self.settings.max_steps

    def _epoch(self, stop: Stop) -> str:
        at, settings = self.at, self.settings
        if self._at_limit():
            return "max_steps"
        self.schedule.start_epoch(at.epoch)
        batches = Counted(self.loader.epoch(at.epoch, skip_batches=at.batch), at.batch)
        while at.batch < len(self.loader):
            group = self._take(batches, stop)
            if group is None:
                return "stopped"
            at.skipped += batches.position - at.batch - len(group)
            if group:
                self._step(group)
                self.sink.tick(at.step)
                if at.step % settings.log_every == 0:
                    self._log()
            at.batch = batches.position
            if at.batch >= len(self.loader):
                break
            if group and settings.save_every and at.step % settings.save_every == 0:
                self._save()
            if self._at_limit():
                return "max_steps"
        return "done"

    def _take(self, batches: Counted, stop: Stop) -> list[tuple[int, Batch]] | None:
        """The batches of the next step that every process has something of; None when any was asked to stop."""
        before = time.perf_counter()
        taken: list[tuple[int, Batch]] = []
        try:
            while not stop and len(taken) < self.settings.accumulate:
                batch = batches.take()
                taken.append((batches.position, batch))
        except StopIteration:
            pass
        except Exception:
            if not stop:
                raise
        sizes = [items(batch) for _, batch in taken] + [0] * (self.settings.accumulate - len(taken))
        *usable, going = self.together.every([size > 0 for size in sizes] + [not stop])
        self.counts["waited"] += time.perf_counter() - before
        return [one for one, use in zip(taken, usable, strict=False) if use] if going else None

    def _step(self, group: list[tuple[int, Batch]]) -> None:
        where = At(self.at.epoch, self.at.batch // self.settings.accumulate, self.steps, self.settings.epochs)
        for base, decay, param_group in zip(self.base, self.decay, self.optimiser.param_groups, strict=True):
            param_group["lr"] = self.schedule.lr(base, where)
            if decay:
                param_group["weight_decay"] = self.schedule.weight_decay(decay, where)
        self.lr = self.optimiser.param_groups[0]["lr"]
        for count, (number, batch) in enumerate(group, 1):
            self._seed(number)
            with torch.no_grad():
                views = self.method.views(batch, self.generator)
            with devices.held_back(self.model, hold=count < len(group)):
                with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                    loss, logs = self.model(views)
                self.accelerator.backward(loss / len(group))
            values = {"loss": loss} | logs
            self.keeper.window.add(values)
            self.keeper.epoch.add(values)
            self.counts["videos"] += items(batch) * self.together.world
            self.counts["clips"] += clips(batch) * self.together.world
        if self.settings.clip_norm is not None:
            norm = optim.clip(self.method.parameters(), self.settings.clip_norm)
            self.keeper.window.add({"grad_norm": norm})
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.method.after_step()
        self.at.step += 1

    def _seed(self, number: int) -> None:
        """Everything drawn in a step is a function of seed, epoch, batch and process: no random state to save."""
        key = f"{self.settings.seed}\0{self.at.epoch}\0{number}\0{self.accelerator.process_index}"
        seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") >> 1
        torch.manual_seed(seed)
        self.generator.manual_seed(seed)

    def _log(self, partial: bool = False) -> None:
        """Write the window's means; a partial one is shown, and forgotten by a resume."""
        at, window, counts = self.at, self.keeper.window, self.counts
        means = window.means(self.together.mean(window.sums()))
        self._believe(means["loss"])
        at.loss = means["loss"]
        passed = max(time.perf_counter() - self.clock, 1e-9)
        per_step = passed / max(1, at.step % self.settings.log_every if partial else self.settings.log_every)
        row: dict[str, Any] = {"kind": "step", "epoch": at.epoch, "step": at.step, "lr": self.lr, **means}
        row |= {"videos_per_second": counts["videos"] / passed, "clips_per_second": counts["clips"] / passed}
        row |= {"waiting": min(1.0, counts["waited"] / passed), "left_seconds": per_step * (self._total() - at.step)}
        row |= {"dropped": self.dropped(), "skipped_batches": at.skipped} | ({"partial": True} if partial else {})
        self.sink.row(row)
        if not partial:
            window.clear()
            self._account()

    def _account(self) -> None:
        now = time.perf_counter()
        self.at.videos += int(self.counts["videos"])
        self.at.seconds += now - self.clock
        self.counts = {"videos": 0, "clips": 0, "waited": 0.0}
        self.clock = now

    def _believe(self, loss: float) -> None:
        if not math.isfinite(loss):
            run = self.keeper.run
            kept = f"; the last good state is {run.state}" if run and run.state.exists() else ""
            raise TrainingError(
                f"the loss is {loss} at step {self.at.step}: lower the learning rate or set clip_norm{kept}"
            )

    def _end_epoch(self) -> None:
        at, kept = self.at, self.settings.keep_every
        if not len(self.keeper.epoch):
            raise TrainingError(
                f"no batch of epoch {at.epoch} held a readable video for every process; dropped.jsonl names the files"
            )
        means = self.keeper.epoch.means(self.together.mean(self.keeper.epoch.sums()))
        self._believe(means["loss"])
        best = self.schedule.end_epoch(means["loss"])
        told = self._validated()
        if self.validate is not None:
            best = "score" in told and (at.score is None or told["score"] > at.score)
            at.score = told["score"] if best else at.score
        row: dict[str, Any] = {"kind": "epoch", "epoch": at.epoch, "step": at.step, "lr": self.lr, **means}
        row |= {f"validation_{name}": value for name, value in told.items()}
        seconds = at.seconds + time.perf_counter() - self.clock
        self.sink.row(row | {"best": best, "dropped": self.dropped(), "seconds": seconds})
        self.keeper.epoch.clear()
        names = ["best"] if best else [f"epoch-{at.epoch:04d}"] if kept and at.epoch % kept == 0 else []
        at.epoch, at.batch = at.epoch + 1, 0
        self._save(names)

    def _validated(self) -> dict[str, float]:
        if self.validate is None:
            return {}
        self.method.eval()
        with torch.no_grad():
            told = self.validate(self.at.epoch)
        self.method.train()
        return told

    def _save(self, names: list[str] | None = None) -> None:
        """Save the state, and with ``names`` the model; sums are made those of all processes first."""
        for means in (self.keeper.window, self.keeper.epoch):
            sums = self.together.mean(means.sums())
            self._believe(means.means(sums).get("loss", 0.0))
            means.load_state_dict(means.state_dict(sums), self.device)
        videos = self.at.videos + int(self.counts["videos"])
        seconds = self.at.seconds + time.perf_counter() - self.clock
        self.keeper.save(replace(self.at, videos=videos, seconds=seconds), names)
