"""Started twice by test_timet_processes: steps on half of each batch, gradients averaged over both processes."""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from telltime.backbones.grid_parts import State
from telltime.methods.timet import TimeT


class Places(nn.Module):
    """An encoder of places in two layers, which needs no library of networks."""

    channels = 10

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 8, 8).requires_grad_(False)
        self.tuned = nn.Conv2d(6, 10, 3, padding=1)

    def frozen(self, images: Tensor) -> State:
        return State(self.stem(images).tanh())

    def tail(self, state: State) -> Tensor:
        return self.tuned(state.values)


def made(**how: Any) -> TimeT:
    torch.manual_seed(0)
    encoder: Any = Places()
    return TimeT(encoder, prototypes=6, head=(12, 8), **how).double().train()


def clips(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, 3, 32, 32, generator=generator, dtype=torch.float64)


def step(method: TimeT, model: nn.Module, views: Tensor) -> Tensor:
    """A step of plain gradient descent."""
    loss = model(views).loss
    loss.backward()
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.1 * parameter.grad)
                parameter.grad = None
    method.after_step()
    return loss.detach()


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    method = made(teacher="ema", momentum=0.5)
    averaging = nn.parallel.DistributedDataParallel(method, broadcast_buffers=False)
    losses = [step(method, averaging, clips(4, seed).chunk(2)[rank]) for seed in range(2)]
    queued = made(queue=64)
    assert queued.queue is not None
    for number in range(3):
        torch.manual_seed(10 * number + rank)
        queued(clips(2, 10 * number + rank))
    lent, full = queued.queue.mine()
    kept = {"queue": queued.queue.rows, "lent": lent, "full": full}
    torch.save({"losses": torch.stack(losses), "state": method.state_dict()} | kept, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
