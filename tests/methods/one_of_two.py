"""Started twice by test_tclr_processes: steps on a share of each batch, gradients averaged over both processes."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from telltime.backbones.r3d import R3D18
from telltime.methods.tclr import TCLR


def main(folder: Path, rank: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meet").as_uri(), rank=rank, world_size=2)
    tasks = torch.load(folder / "tasks.pt", weights_only=True)
    results = {}
    for name, task in tasks.items():
        method = TCLR(R3D18(width=4), print, dim=8, views_per_pass=task["views_per_pass"]).double()
        method.load_state_dict(task["state"])
        averaging = DistributedDataParallel(method)  # lives through the backward pass, which it averages
        step = averaging(task["shares"][rank])
        step.loss.backward()
        gradient = {key: p.grad for key, p in method.named_parameters()}
        results[name] = {"logs": step.logs, "gradient": gradient, "state": method.state_dict()}
    torch.save(results, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
