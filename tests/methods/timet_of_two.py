"""Started twice by test_timet_processes: steps on half of each batch, gradients averaged over both processes."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from test_timet import clips, make
from torch.nn.parallel import DistributedDataParallel


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    method = make(teacher="ema", momentum=0.5).double()
    averaging = DistributedDataParallel(method, broadcast_buffers=False)
    optimiser = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    losses = []
    for step in range(2):
        loss, _ = averaging(clips(4, seed=step).double().chunk(2)[rank])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        method.after_step()
        losses.append(loss.detach())
    queued = make(queue=64)
    assert queued.queue is not None
    for step in range(3):
        torch.manual_seed(10 * step + rank)
        queued(clips(seed=10 * step + rank))
    lent, full = queued.queue.mine()
    kept = {"queue": queued.queue.rows, "lent": lent, "full": full}
    torch.save({"losses": torch.stack(losses), "state": method.state_dict()} | kept, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
