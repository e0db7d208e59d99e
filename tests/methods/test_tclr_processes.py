"""Two processes give the loss, gradient and statistics of one with the whole batch."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from telltime.backbones.r3d import R3D18
from telltime.methods.gather import all_rows
from telltime.methods.tclr import TCLR, VIEWS

CASES: dict[str, tuple[tuple[int, int], int | None]] = {
    "even shares": ((2, 2), None),
    "uneven shares, one of a single video, in micro-batches": ((1, 3), 4),
}


def test_without_a_group_rows_are_handed_through() -> None:
    rows = torch.rand(3, 2)
    assert all_rows(rows) is rows


def started() -> TCLR:
    torch.manual_seed(0)
    return TCLR(R3D18(width=4), print, dim=8).double()


def clips_of(videos: int) -> Tensor:
    generator = torch.Generator().manual_seed(videos)
    return torch.rand(VIEWS, videos, 3, 16, 24, 24, generator=generator, dtype=torch.float64)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What either process got, case by case."""
    folder = tmp_path_factory.mktemp("processes")
    tasks = {}
    for name, (sizes, views_per_pass) in CASES.items():
        shares = [part.flatten(0, 1).clone() for part in clips_of(sum(sizes)).split(sizes, dim=1)]
        tasks[name] = {"state": started().state_dict(), "shares": shares, "views_per_pass": views_per_pass}
    torch.save(tasks, folder / "tasks.pt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("one_of_two.py")
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
    method = started()
    step = method(clips_of(sum(CASES[case][0])).flatten(0, 1))
    step.loss.backward()
    gradient = {name: p.grad for name, p in method.named_parameters() if p.grad is not None}
    for got in both:
        close(got[case]["logs"], step.logs)
        close(got[case]["gradient"], gradient)
        close(got[case]["state"], method.state_dict())


def close(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(
            got[name], expected[name], rtol=1e-7, atol=1e-9, msg=lambda m, name=name: f"{name}: {m}"
        )
