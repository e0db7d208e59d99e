import json
import multiprocessing
import os
import signal

import pytest
from training_toys import hold, hold_and_fork

from telltime.training.errors import RunError
from telltime.training.run import Run

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["telltime.training.loop", "telltime.training.progress", "torch._dynamo"])


def started(target, folder):
    ready = FORK.Event()
    process = FORK.Process(target=target, args=(folder, ready))
    process.start()
    assert ready.wait(30)
    return process


def test_a_second_process_is_refused_in_a_sentence_that_names_the_first(tmp_path):
    process = started(hold, tmp_path / "run")
    try:
        for resume in (False, True):
            with (
                pytest.raises(RunError, match=f"being written by process {process.pid}"),
                Run(tmp_path / "run", resume),
            ):
                pass
    finally:
        process.kill()
        process.join()


@pytest.mark.parametrize("holder", [hold, hold_and_fork])
def test_a_lock_ends_with_its_process_however_that_ends(tmp_path, holder):
    process = started(holder, tmp_path / "run")
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / "run" / ".lock").exists()
    with Run(tmp_path / "run", resume=True) as run:
        assert run.folder.exists()


def test_the_same_process_cannot_open_a_folder_twice(tmp_path):
    with (
        Run(tmp_path / "run"),
        pytest.raises(RunError, match=f"process {os.getpid()}"),
        Run(tmp_path / "run", resume=True),
    ):
        pass
    with Run(tmp_path / "run"):
        pass


def test_a_folder_that_holds_a_run_is_not_started_over(tmp_path):
    (tmp_path / "recipe.yaml").write_text("seed: 1\n")
    with pytest.raises(RunError, match="already holds a run; go on with --resume"), Run(tmp_path):
        pass
    with Run(tmp_path, resume=True):
        pass
    assert (tmp_path / "recipe.yaml").read_text() == "seed: 1\n"


def test_nothing_to_resume_is_said(tmp_path):
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(RunError, match="holds no run to resume; start it without --resume"), Run(folder, True):
            pass
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_files_are_left_alone(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(RunError, match="would overwrite it"), Run(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "run").write_text("x")
    with pytest.raises(RunError, match="is a file"), Run(tmp_path / "run"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RunError, match="cannot be written"), Run(tmp_path / "run"):
        pass


def test_a_start_that_fails_leaves_no_folder_behind(tmp_path):
    with pytest.raises(RuntimeError), Run(tmp_path / "run"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_had_begun_to_write_is_swept_away(tmp_path):
    (tmp_path / "recipe.yaml").write_text("seed: 1\n")
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    for name in (".last.4711.safetensors", "last.safetensors", ".hidden", "note.4711.txt"):
        (checkpoints / name).write_text("x")
    with Run(tmp_path, resume=True):
        left = {path.name for path in checkpoints.iterdir()}
    assert left == {"last.safetensors", ".hidden", "note.4711.txt"}


def test_metrics_are_rewound_to_the_state(tmp_path):
    rows = [
        {"kind": "step", "epoch": 0, "step": 2},
        {"kind": "step", "epoch": 0, "step": 3, "partial": True},
        {"kind": "step", "epoch": 0, "step": 4},
        {"kind": "epoch", "epoch": 0, "step": 5},
        {"kind": "step", "epoch": 1, "step": 6},
        {"kind": "step", "epoch": 1, "step": 8},
    ]
    (tmp_path / "recipe.yaml").write_text("seed: 1\n")
    with Run(tmp_path, resume=True) as run:
        run.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"kind": "ste')
        run.rewind_metrics(step=6, epoch=1)
        kept = [json.loads(line) for line in run.metrics.read_text().splitlines()]
        assert kept == [rows[0], rows[2], rows[3], rows[4]]
        run.rewind_metrics(step=5, epoch=0)
        assert [json.loads(line)["step"] for line in run.metrics.read_text().splitlines()] == [2, 4]
