"""Two processes give the steps, the bank and the weights of one with the double batch."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tca_toys import batch_of, optimiser_of, small

pytestmark = pytest.mark.filterwarnings("ignore:each step replaces")

CASES: dict[str, tuple[dict[str, Any], list[list[int]]]] = {
    "published": ({}, [[2, 2]] * 4),
    "uneven shares": ({"mask_unfilled": True}, [[1, 3], [2, 1], [3, 1]]),
    "a second encoder": ({"momentum": 0.5, "loss": "info-nce", "temperature": 0.2}, [[2, 2]] * 3),
    "all terms": ({"in_batch": True, "frame_weight": 0.7, "loss": "triplet"}, [[2, 2], [1, 2], [2, 2]]),
}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What either process got, case by case."""
    folder = tmp_path_factory.mktemp("processes")
    tasks = {
        name: {"options": options, "state": small(**options).state_dict(), "steps": steps}
        for name, (options, steps) in CASES.items()
    }
    torch.save(tasks, folder / "tasks.pt")
    path = [str(Path(__file__).parent), *(p for p in sys.path if p)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("tca_of_two.py")
    processes = [
        subprocess.Popen(
            [sys.executable, script, folder, str(rank)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=200)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(both: list[dict[str, Any]], case: str) -> None:
    options, steps = CASES[case]
    method = small(**options)
    optimiser = optimiser_of(method)
    losses = []
    for step, sizes in enumerate(steps):
        loss, _ = method(batch_of(step, sizes, None))
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        method.after_step()
        losses.append(loss.detach())
    mean = (both[0][case]["losses"] + both[1][case]["losses"]) / 2
    torch.testing.assert_close(mean, torch.stack(losses), rtol=1e-9, atol=1e-9)
    for got in both:
        for key, value in method.state_dict().items():
            torch.testing.assert_close(got[case]["state"][key], value, rtol=1e-8, atol=1e-9, msg=key)
