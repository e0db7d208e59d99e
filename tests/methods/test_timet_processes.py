"""Two processes give the assignments, steps and weights of one with the double batch."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from timet_of_two import clips, made, step


def test_two_processes_equal_one(tmp_path: Path) -> None:
    path = [str(Path(__file__).parent), *(p for p in sys.path if p)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("timet_of_two.py")
    processes = [
        subprocess.Popen([sys.executable, script, tmp_path, str(rank)], env=environment, stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    method = made(teacher="ema", momentum=0.5)
    losses = [step(method, method, clips(4, seed)) for seed in range(2)]
    try:
        errors = [process.communicate(timeout=200)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    torch.testing.assert_close((both[0]["losses"] + both[1]["losses"]) / 2, torch.stack(losses))
    for got in both:
        for key, value in method.state_dict().items():
            torch.testing.assert_close(got["state"][key], value, rtol=1e-7, atol=1e-9, msg=key)
    assert torch.equal(both[0]["queue"], both[1]["queue"])
    assert both[0]["full"].all()
    assert len(both[0]["lent"]) + len(both[1]["lent"]) == len(both[0]["queue"])
