"""What a training shows and writes while it runs: a console, ``metrics.jsonl``, TensorBoard events."""

import json
import sys
from pathlib import Path
from typing import IO, Any

_TIMES = ("videos_per_second", "clips_per_second", "waiting", "seconds", "left_seconds")
_FACTS = ("kind", "partial", "epoch", "step", "lr", "best", "dropped", "skipped_batches", "loss", *_TIMES)


class Sink:
    """Takes rows as they come; the base class drops them."""

    def start(self, total: int, done: int) -> None:
        """``total`` optimiser steps in the whole training, of which ``done`` are behind us."""

    def tick(self, step: int) -> None:
        """A step is done; nothing was fetched for it."""

    def row(self, row: dict[str, Any]) -> None:
        """A window of steps (``kind`` ``"step"``) or an epoch (``"epoch"``) with its means."""

    def say(self, text: str) -> None:
        """A sentence for a person."""

    def close(self) -> None:
        """Nothing more will come."""


class Several(Sink):
    """Hands everything on to each of several sinks."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def start(self, total: int, done: int) -> None:
        for sink in self._sinks:
            sink.start(total, done)

    def tick(self, step: int) -> None:
        for sink in self._sinks:
            sink.tick(step)

    def row(self, row: dict[str, Any]) -> None:
        for sink in self._sinks:
            sink.row(row)

    def say(self, text: str) -> None:
        for sink in self._sinks:
            sink.say(text)

    def close(self) -> None:
        for sink in self._sinks:
            sink.close()


class Lines(Sink):
    """``metrics.jsonl``: a line of JSON a row, each written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None

    def row(self, row: dict[str, Any]) -> None:
        if self._file is None:
            self._file = self._path.open("a")
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Board(Sink):
    """TensorBoard events: ``train/...`` by step, ``epoch/...`` by epoch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def start(self, total: int, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=done + 1 if done else None)

    def row(self, row: dict[str, Any]) -> None:
        if row.get("partial"):
            return
        prefix, at = ("train", row["step"]) if row["kind"] == "step" else ("epoch", row["epoch"])
        for name, value in row.items():
            if name not in ("kind", "epoch", "step"):
                self._writer.add_scalar(f"{prefix}/{name}", value, at)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def terms(row: dict[str, Any]) -> str:
    """The loss and its terms, on one line."""
    shown = {"loss": row["loss"]} | {name: value for name, value in row.items() if name not in _FACTS}
    return "  ".join(f"{name} {value:.4g}" for name, value in shown.items())


def speed(row: dict[str, Any]) -> str:
    """How fast, and how much of the time went into waiting for data."""
    dropped = f"  {row['dropped']} dropped" if row.get("dropped") else ""
    return f"{row['clips_per_second']:.1f} samples/s  {row['waiting']:.0%} waiting for data{dropped}"


def span(seconds: float) -> str:
    """A time as people say it: ``40 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


class Plain(Sink):
    """Lines of text, for logs and pipes."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._total = 0
        self._rate = 0.0

    def start(self, total: int, done: int) -> None:
        self._total = total

    def row(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch":
            self.say(f"epoch {row['epoch']} done  {terms(row)}  lr {row['lr']:.3g}  {span(row['seconds'])}")
            return
        ending = f"  {span(row['left_seconds'])} left" if row["left_seconds"] > 0 else ""
        self.say(f"step {row['step']}/{self._total}  {terms(row)}  lr {row['lr']:.3g}  {speed(row)}{ending}")

    def say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bar(Plain):
    """A progress bar with the time left, and above it a line an epoch."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__(stream)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = Console(file=self._stream)
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=self._console,
        )
        self._task: Any = None

    def start(self, total: int, done: int) -> None:
        super().start(total, done)
        self._bar.start()
        self._task = self._bar.add_task("", total=total, completed=done, text="")

    def tick(self, step: int) -> None:
        self._bar.update(self._task, completed=step)

    def row(self, row: dict[str, Any]) -> None:
        if row["kind"] == "epoch":
            super().row(row)
        else:
            self._bar.update(self._task, text=f"{terms(row)}  {speed(row)}")

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._bar.stop()


def console(stream: IO[str] | None = None) -> Sink:
    """A bar on a terminal, lines elsewhere."""
    stream = stream or sys.stdout
    return Bar(stream) if stream.isatty() else Plain(stream)
