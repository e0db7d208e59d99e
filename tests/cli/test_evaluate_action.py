import json
import multiprocessing
import os
import socket
import sys

import pytest
import torch

from telltime.backbones.timesformer import TimeSformer
from telltime.checkpoints.model import ClipSpec, Model
from telltime.cli.main import main


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    clip = ClipSpec(4, 2, 32, 1.0, "rgb", (0.5,) * 3, (0.5,) * 3, "segments")
    backbone = TimeSformer(4, 32, 16, 12, 1, 2)
    made = Model(backbone, clip, classifier=torch.nn.Linear(12, 3), reads="class")
    return str(made.save(tmp_path / "model"))


def read(folder):
    return json.loads((folder / "result.json").read_text())


@pytest.mark.parametrize("task", ["action", "time-sensitivity"])
def test_a_task_writes_what_it_says(task, model, tiny_ucf, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["--data", "ucf101", "--root", str(tiny_ucf), "--out", str(out), "--workers", "0", "--crops", "1"]
    assert main(["evaluate", task, model, *given, "--fuse", "softmax"]) == 0
    result = read(out)
    assert result["task"] == task
    assert result["protocol"].startswith("1 x 1 views, softmax")
    assert result["model"]["clip"]["sampling"] == "segments"
    assert (out / "dropped.jsonl").read_text() == ""
    page = (out / "report.html").read_text()
    assert ("Action recognition" if task == "action" else "Time sensitivity") in page
    assert (out / ("predictions.json" if task == "action" else "time_sensitivity.json")).exists()
    assert "top1" in capsys.readouterr().out


def _one_of_two(rank, port, command):
    """As ``torchrun`` would start it."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"})
    torch.set_num_threads(1)
    sys.exit(main(command))


def test_two_processes_give_the_result_of_one(model, tiny_ucf, tmp_path):
    given = ["--data", "ucf101", "--root", str(tiny_ucf), "--workers", "0", "--batch", "3", "--device", "cpu"]
    command = ["evaluate", "action", model, *given, "--out"]
    assert main([*command, str(tmp_path / "one")]) == 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=_one_of_two, args=(rank, port, [*command, str(tmp_path / "two")])) for rank in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(100)
    assert [process.exitcode for process in both] == [0, 0]
    assert read(tmp_path / "two")["metrics"] == pytest.approx(read(tmp_path / "one")["metrics"])
    videos = [json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("one", "two")]
    assert [video["id"] for video in videos[0]["videos"]] == [video["id"] for video in videos[1]["videos"]]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["linear", "--crops", "3"], 2, "--crops goes with action and time-sensitivity, not with linear"),
        (["neighbours", "--fuse", "sum"], 2, "--fuse goes with"),
        (["action", "--fraction", "0.5"], 2, "--fraction goes with"),
        (["action", "--crops", "2"], 2, "invalid choice"),
        (["action", "--views", "0"], 2, "less than 1"),
    ],
)
def test_options_that_do_not_go_together(arguments, code, said, tiny_ucf, tmp_path, capsys):
    task, *options = arguments
    command = ["evaluate", task, "any", "--data", "ucf101", "--root", str(tiny_ucf), "--out", str(tmp_path / "o")]
    try:
        found = main([*command, *options])
    except SystemExit as stop:
        found = stop.code
    assert found == code
    assert said in capsys.readouterr().err


def test_a_model_without_classifier_is_told_where_to_get_one(tiny_model, tiny_ucf, tmp_path, capsys):
    folder = str(tiny_model.save(tmp_path / "m"))
    given = ["--data", "ucf101", "--root", str(tiny_ucf), "--out", str(tmp_path / "o"), "--workers", "0"]
    assert main(["evaluate", "action", folder, *given]) == 1
    assert "evaluate finetune" in capsys.readouterr().err
