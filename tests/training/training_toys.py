"""A method and a loader small enough to train in milliseconds, with everything a loop can get wrong in them."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from telltime.methods.method import Batch, Step
from telltime.training.loop import Settings, Trained, fit
from telltime.training.progress import Lines
from telltime.training.run import Run
from telltime.training.schedules import Cosine, Schedule, WarmupPlateau


class Toy(nn.Module):
    """Regression with noise from the generator, dropout from the global state, a buffer and a 3-D convolution."""

    def __init__(self, width: int = 4, dropout: float = 0.3, slow: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv3d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm3d(width)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(width, 1)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.slow = slow

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        clips = batch["clips"].float()
        noise = torch.randn(clips.shape, generator=generator, device=clips.device)
        return clips + 0.1 * noise, batch["label"].float()

    def forward(self, views: tuple[Tensor, Tensor]) -> Step:
        clips, label = views
        x = self.drop(self.norm(self.conv(clips)).relu().mean((2, 3, 4)))
        error = self.out(x).squeeze(1).float() - label
        return Step(error.square().mean(), {"absolute": error.detach().abs().mean()})

    def after_step(self) -> None:
        self.steps += 1
        time.sleep(self.slow)


class Plain(nn.Module):
    """A mean of squares with nothing drawn and no batch statistics: splitting its batch must change nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(3, 1)

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return batch["clips"].float().flatten(1)[:, :3], batch["label"].float()

    def forward(self, views: tuple[Tensor, Tensor]) -> Step:
        x, label = views
        return Step((self.out(x).squeeze(1) - label).square().mean(), {})

    def after_step(self) -> None:
        pass


class ToyLoader:
    """``count`` items in an order drawn from the epoch; ``world`` processes take turns in each batch."""

    def __init__(
        self,
        count: int = 22,
        batch_size: int = 4,
        empty: tuple[int, ...] = (),
        rank: int = 0,
        world: int = 1,
        fail_at: int | None = None,
    ) -> None:
        self.count, self.batch_size, self.empty, self.fail_at = count, batch_size, empty, fail_at
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def epoch(self, epoch: int, skip_batches: int = 0) -> "Batches":
        return Batches(self, epoch, skip_batches)

    def batch(self, epoch: int, number: int) -> Batch:
        if number == self.fail_at:
            raise OSError("the disk is gone")
        order = torch.randperm(self.count, generator=torch.Generator().manual_seed(epoch))
        index = order[number * self.batch_size : (number + 1) * self.batch_size][self.rank :: self.world]
        if number in self.empty:
            index = index[:0]
        return {"index": index, "clips": clips(index), "label": index % 3} if len(index) else {"index": index}


class Batches(Iterator[Batch]):
    """Passes empty batches over in one process, and hands them out in several, as the real loader does."""

    def __init__(self, loader: ToyLoader, epoch: int, position: int) -> None:
        self.loader, self.number, self.position = loader, epoch, position

    def __next__(self) -> Batch:
        while self.position < len(self.loader):
            self.position += 1
            batch = self.loader.batch(self.number, self.position - 1)
            if len(batch["index"]) or self.loader.world > 1:
                return batch
        raise StopIteration


def clips(index: Tensor) -> Tensor:
    """A small clip of each index, always the same."""
    made = [torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(int(i))) for i in index]
    return torch.stack(made)


def toy(kind: type[nn.Module] = Toy, seed: int = 0, **arguments: float) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return kind(**arguments)


def train(
    folder: Path | None,
    resume: bool = False,
    *,
    method: nn.Module | None = None,
    loader: ToyLoader | None = None,
    schedule: Schedule | None = None,
    slow: float = 0.0,
    **settings: Any,
) -> tuple[nn.Module, Trained]:
    """Train a toy in a run folder, as the command line would."""
    torch.set_num_threads(1)
    method = method or toy(slow=slow)
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-2)
    schedule = schedule or WarmupPlateau(warmup=(10, 1), patience=2)
    chosen = Settings(**{"epochs": 4, "log_every": 3, "device": "cpu", "precision": "fp32"} | settings)
    loader = ToyLoader() if loader is None else loader
    if folder is None:
        return method, fit(method, loader, optimiser, schedule, chosen)
    with Run(folder, resume=resume) as run:
        lines = Lines(run.metrics)
        try:
            return method, fit(method, loader, optimiser, schedule, chosen, run, sink=lines)
        finally:
            lines.close()


def train_in_child(folder: Path, resume: bool, settings: dict[str, Any]) -> None:
    """The same for a process that will be killed, on a cosine by step and with everything that can be interrupted."""
    train(folder, resume, schedule=Cosine(warmup=0.5), loader=ToyLoader(empty=(2,)), **settings)


def rows(folder: Path) -> list[dict[str, Any]]:
    """``metrics.jsonl`` without what depends on the clock."""
    times = ("videos_per_second", "clips_per_second", "waiting", "seconds", "left_seconds")
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name not in times} for row in read]


def hold(folder: Path, ready: Any) -> None:
    """Keep a run folder until killed."""
    with Run(folder):
        ready.set()
        time.sleep(60)


def hold_and_fork(folder: Path, ready: Any) -> None:
    """The holder forks a worker that outlives it, as loader processes do after a kill -9."""
    with Run(folder):
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        ready.set()
        time.sleep(60)


def process_of_several(
    rank: int, world: int, port: int, folder: Path, resume: bool, kind: str, settings: dict[str, Any]
) -> None:
    """One of ``world`` processes that train together, as ``torchrun`` would start it."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"})
    method = toy(Plain) if kind == "plain" else tiny_tclr()
    make = ToyLoader if kind == "plain" else VideoLoader
    count = settings.pop("count", 24)
    torch.set_num_threads(1)
    optimiser = torch.optim.Adam(method.parameters(), lr=1e-2)
    with Run(folder, resume=resume, main=rank == 0) as run:
        lines = Lines(run.metrics)
        chosen = Settings(**{"epochs": 3, "log_every": 1, "device": "cpu", "precision": "fp32"} | settings)
        loader = make(count=count, batch_size=4, rank=rank, world=world)
        fit(method, loader, optimiser, Cosine(), chosen, run, sink=lines)
        lines.close()
    if world > 1:
        torch.distributed.destroy_process_group()


class VideoLoader(ToyLoader):
    """Batches as TCLR's reader gives them, of tiny clips without colour changes."""

    def batch(self, epoch: int, number: int) -> Batch:
        batch = super().batch(epoch, number)
        made = [torch.Generator().manual_seed(int(i)) for i in batch["index"]]
        views = [torch.randint(0, 256, (10, 16, 3, 16, 16), generator=g, dtype=torch.uint8) for g in made]
        return batch | {"clips": torch.stack(views)} if views else batch


def tiny_tclr() -> nn.Module:
    """The real method on a network of a few thousand weights."""
    from telltime.backbones.r3d import R3D18
    from telltime.methods import tclr

    class Still(tclr.TCLR):
        def views(self, batch: Batch, generator: torch.Generator) -> Tensor:
            clips = batch["clips"].transpose(0, 1)[list(tclr.FORWARD_ORDER)].flatten(0, 1)
            return clips.transpose(1, 2).float() / 255

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Still(R3D18(width=4), dim=8)
