import multiprocessing
import socket

import pytest
import torch
from safetensors.torch import load_file
from training_toys import process_of_several, rows

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["telltime.training.loop", "telltime.training.progress", "torch._dynamo"])


def train_in(world, folder, resume=False, kind="plain", **settings):
    """Train in ``world`` processes and return the final tensors of model and optimiser."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [(rank, world, port, folder, resume, kind, settings) for rank in range(world)]
    processes = [FORK.Process(target=process_of_several, args=each) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    return load_file(folder / "checkpoints" / "last.safetensors")


def assert_equal(one, other, rtol=1e-4, atol=1e-5):
    assert set(one) == set(other)
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    return train_in(1, folder), rows(folder)


@pytest.mark.parametrize("settings", [{}, {"fsdp": True}], ids=["ddp", "fsdp2"])
def test_two_processes_train_as_one_with_the_whole_batch(tmp_path, alone, settings):
    tensors = train_in(2, tmp_path / "run", **settings)
    assert_equal(tensors, alone[0])
    for row, expected in zip(rows(tmp_path / "run"), alone[1], strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)


def test_accumulation_and_clipping_over_processes(tmp_path):
    settings = {"accumulate": 2, "clip_norm": 0.1}
    assert_equal(train_in(2, tmp_path / "two", **settings), train_in(1, tmp_path / "one", **settings))
    assert_equal(
        train_in(2, tmp_path / "fsdp", fsdp=True, **settings), load_file(tmp_path / "one/checkpoints/last.safetensors")
    )


@pytest.mark.parametrize("fsdp", [False, True])
def test_two_processes_resume_as_if_never_stopped(tmp_path, fsdp):
    whole = train_in(2, tmp_path / "whole", fsdp=fsdp)
    train_in(2, tmp_path / "parts", fsdp=fsdp, max_steps=8)
    parts = train_in(2, tmp_path / "parts", resume=True, fsdp=fsdp)
    assert_equal(parts, whole, rtol=0, atol=0)
    assert rows(tmp_path / "parts") == rows(tmp_path / "whole")


def test_a_batch_too_small_for_every_process_is_left_out_by_all(tmp_path):
    train_in(2, tmp_path / "run", count=5)
    found = [row for row in rows(tmp_path / "run") if row["kind"] == "step"]
    assert [row["skipped_batches"] for row in found] == [0, 1, 2]


def test_two_processes_of_tclr_give_the_loss_and_the_step_of_one(tmp_path):
    settings = {"kind": "tclr", "count": 8, "epochs": 1, "max_steps": 1}
    one, two = train_in(1, tmp_path / "one", **settings), train_in(2, tmp_path / "two", **settings)
    expected, found = (rows(tmp_path / name)[0] for name in ("one", "two"))
    for term in ("loss", "ic_global", "ic_local", "local_local", "global_local"):
        assert found[term] == pytest.approx(expected[term], rel=1e-4)
    moments = [name for name in one if name.endswith("/exp_avg") and "fc1.bias" not in name]
    assert len(moments) > 60
    for name in moments:
        assert (one[name] - two[name]).norm() <= 1e-2 * one[name].norm() + 1e-6, name
    for name in (name for name in one if "running" in name):
        torch.testing.assert_close(one[name], two[name], rtol=1e-4, atol=1e-6)
