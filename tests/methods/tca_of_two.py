"""Started twice by test_tca_processes: steps on a share of each batch, gradients averaged over both processes."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from tca_toys import batch_of, optimiser_of, small
from torch.nn.parallel import DistributedDataParallel


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    tasks = torch.load(folder / "tasks.pt", weights_only=True)
    results = {}
    for name, task in tasks.items():
        method = small(**task["options"])
        method.load_state_dict(task["state"])
        averaging = DistributedDataParallel(method)
        optimiser = optimiser_of(method)
        losses = []
        for step, sizes in enumerate(task["steps"]):
            loss, _ = averaging(batch_of(step, sizes, rank))
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
            method.after_step()
            losses.append(loss.detach())
        results[name] = {"losses": torch.stack(losses), "state": method.state_dict()}
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
