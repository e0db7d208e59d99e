import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml
from fit_helpers import fit, fit_in_a_group, write

import telltime
from telltime.cli.main import main

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["telltime.training.start", "telltime.cli.fit", "torch._dynamo", "jsonargparse"])


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        write(folder / f"clip{number}.avi", number)
    return folder


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory):
    """The official layout, with seven videos listed for training and two of them there."""
    root = tmp_path_factory.mktemp("ucf101")
    listed = [f"Diving/v_Diving_g{group:02}_c01.avi" for group in range(8, 15)]
    for number, name in enumerate(listed[:2]):
        write(root / "UCF-101" / name, number)
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_bytes(b"1 ApplyEyeMakeup\r\n2 Diving\r\n")
    (lists / "trainlist01.txt").write_bytes(b"".join(f"{name} 2\r\n".encode() for name in listed))
    (lists / "testlist01.txt").write_bytes(b"Diving/v_Diving_g01_c01.avi\r\n")
    return root


@pytest.fixture(scope="module")
def whole(videos, tmp_path_factory):
    """A run that nothing interrupted."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert fit("--root", videos, "--out", out, "--workers", 0) == 0
    return out


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def steps(run):
    return [(row["kind"], row["step"], row["loss"]) for row in rows(run)]


def weights(run):
    return (run / "model" / "model.safetensors").read_bytes()


def test_a_run_folder_holds_what_it_should(whole):
    names = {path.name for path in whole.iterdir()}
    assert names >= {"recipe.yaml", "metrics.jsonl", "checkpoints", "model", "report.html"}
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert ".lock" not in names
    assert {path.name for path in (whole / "checkpoints").iterdir()} >= {"last.safetensors", "best"}
    assert (
        yaml.safe_load((whole / "recipe.yaml").read_text())["method"]["init_args"]["backbone"]["init_args"]["width"]
        == 4
    )
    assert [row["kind"] for row in rows(whole)] == ["step", "step", "epoch"] * 3
    assert all(0 <= row["waiting"] <= 1 and row["clips_per_second"] > 0 for row in rows(whole) if row["kind"] == "step")
    page = (whole / "report.html").read_text()
    assert "local_local" in page
    assert "http" not in page.replace("http://www.w3.org/", "")


def test_the_trained_model_embeds_a_video(whole, videos):
    model = telltime.load(str(whole))
    assert (model.clip.size, model.clip.order) == (16, "rgb")
    vector = model.embed(telltime.Video(videos / "clip0.avi"), positions=2)
    assert vector.shape == (1, 4 * model.backbone.channels)
    assert torch.isfinite(vector).all()
    best = telltime.load(str(whole / "checkpoints" / "best"))
    assert best.backbone.channels == model.backbone.channels


def test_workers_and_a_resume_change_no_bit(videos, whole, tmp_path, capfd):
    out = tmp_path / "run"
    assert fit("--root", videos, "--out", out, "--workers", 1, "--max-steps", 3) == 0
    assert fit("--root", videos, "--out", out, "--workers", 0, "--resume") == 0
    assert "going on from step 3 (epoch 1)" in capfd.readouterr().out
    assert weights(out) == weights(whole)
    assert steps(out) == steps(whole)


def test_a_run_killed_at_random_moments_ends_in_the_same_bits(videos, whole, tmp_path):
    out, draw, kills, code = tmp_path / "run", random.Random(5), 0, None
    while code is None:
        resume = ["--resume"] if out.exists() else []
        child = FORK.Process(target=fit_in_a_group, args=(["--root", videos, "--out", out, "--workers", "1", *resume],))
        child.start()
        deadline = time.monotonic() + 100
        lock = out / ".lock"
        while child.is_alive() and not (lock.exists() and lock.read_text().strip() == str(child.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.join(draw.uniform(0.5, 4) if kills < 3 else 100)
        code = child.exitcode
        if code is None:
            kills += 1
            os.kill(child.pid, signal.SIGKILL)
            child.join()
    assert code == 0
    assert kills >= 1
    assert weights(out) == weights(whole)
    assert steps(out) == steps(whole)


def test_a_whole_process_group_told_to_end_saves_and_resumes(videos, whole, tmp_path):
    out = tmp_path / "run"
    child = FORK.Process(target=fit_in_a_group, args=(["--root", videos, "--out", out, "--workers", "1"],))
    child.start()
    deadline = time.monotonic() + 100
    while not (out / "metrics.jsonl").exists():
        assert time.monotonic() < deadline
        assert child.is_alive()
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGTERM)
    child.join(60)
    assert child.exitcode in (0, 128 + signal.SIGTERM)
    assert fit("--root", videos, "--out", out, "--workers", 0, "--resume") == 0
    assert weights(out) == weights(whole)
    assert steps(out) == steps(whole)


@pytest.mark.parametrize("there", [2, 1])
def test_a_few_videos_of_a_published_list_are_enough_to_start(ucf101, tmp_path, capfd, there):
    root = ucf101
    if there == 1:
        root = tmp_path / "root"
        shutil.copytree(ucf101, root)
        (root / "UCF-101/Diving/v_Diving_g09_c01.avi").unlink()
    out = tmp_path / "run"
    command = ["fit", "tclr-ucf101", "--root", str(root), "--out", str(out), "--max-steps", "2", "--workers", "0"]
    small = ["--set", "method.backbone.width=4", "--set", "method.reader.size=16"]
    assert main([*command, *small]) == 0
    assert f"ONLY {there} OF 7 VIDEOS" in capfd.readouterr().out
    assert [row["step"] for row in rows(out) if row["kind"] == "epoch"] == [1, 2]
    dropped = [json.loads(line) for line in (out / "dropped.jsonl").read_text().splitlines()]
    assert len(dropped) == 7 - there
    assert all("not on disk" in line["reason"] for line in dropped)
    assert main([*command, *small, "--resume"]) == 0
    assert len((out / "dropped.jsonl").read_text().splitlines()) == 7 - there
    assert telltime.load(str(out)).clip.order == "bgr"


def test_bad_media_are_left_out_and_named_or_stop_the_run(videos, tmp_path, capfd):
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    (folder / "empty.avi").touch()
    (folder / "text.mp4").write_text("not a video " * 100)
    write(folder / "short.avi", 9, frames=12)
    assert fit("--root", folder, "--out", tmp_path / "run", "--skip-bad", "--workers", 0) == 0
    assert "3 " in capfd.readouterr().out
    dropped = [json.loads(line) for line in (tmp_path / "run" / "dropped.jsonl").read_text().splitlines()]
    assert sorted(line["id"] for line in dropped) == ["empty.avi", "short.avi", "text.mp4"]
    assert all(line["reason"] for line in dropped)

    assert fit("--root", folder, "--out", tmp_path / "strict", "--bad-media", "raise", "--workers", 0) == 1
    told = capfd.readouterr().err.strip()
    assert told.count("\n") == 0
    assert any(name in told for name in ("empty.avi", "short.avi", "text.mp4"))

    tolerant = ["--set", "bad_media.max_share=0.1", "--skip-bad", "--workers", 0]
    assert fit("--root", folder, "--out", tmp_path / "few", *tolerant) == 1
    assert "of 9 videos" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tclr-smal", "--root", "VIDEOS"], "did you mean 'tclr-small'?"),
        (["nowhere.yaml", "--root", "VIDEOS"], "no recipe file nowhere.yaml"),
        (["tclr-small"], "give --root DIR"),
        (["tclr-small", "--root", "NOWHERE"], "NOWHERE"),
        (["tclr-small", "--root", "EMPTY"], "EMPTY"),
        (["tclr-small", "--root", "VIDEOS", "--data", "ucf102"], "did you mean 'ucf101'?"),
        (["tclr-ucf101", "--root", "VIDEOS"], "VIDEOS"),
        (["tclr-small", "--root", "VIDEOS", "--set", "batchsize=3"], "did you mean 'batch_size'?"),
        (["tclr-small", "--root", "VIDEOS", "--set", "method.dims=3"], "did you mean 'dim'?"),
        (["tclr-small", "--root", "VIDEOS", "--set", "epochs=0"], "epochs must be above 0"),
        (["tclr-small", "--root", "VIDEOS", "--resume"], "holds no run to resume; start it without --resume"),
    ],
)
def test_what_cannot_start_says_why_in_a_sentence_and_leaves_nothing(arguments, told, videos, tmp_path, capfd):
    (tmp_path / "EMPTY").mkdir()
    places = {"VIDEOS": str(videos), "EMPTY": str(tmp_path / "EMPTY"), "NOWHERE": str(tmp_path / "NOWHERE")}
    given = [places.get(argument, argument) for argument in arguments]
    assert main(["fit", *given, "--out", str(tmp_path / "run")]) == 1
    out, err = capfd.readouterr()
    assert places.get(told, told) in err
    assert err.strip().count("\n") == 0
    assert "Traceback" not in out + err
    assert "unexpected" not in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["tclr-small"],
        ["tclr-small", "--out", "x", "--max-steps", "0"],
        ["tclr-small", "--out", "x", "--workers", "-1"],
        ["tclr-small", "--out", "x", "--bad-media", "ignore"],
        ["tclr-small", "--out", "x", "--skip-bad", "--bad-media", "raise"],
        ["tclr-small", "--out", "x", "--seeds", "1"],
        ["--out", "x"],
    ],
)
def test_slips_on_the_command_line_end_with_2(arguments, capfd):
    assert main(["fit", *arguments]) == 2
    assert "telltime fit" in capfd.readouterr().err


def test_a_run_is_not_started_twice_nor_resumed_with_another_recipe(videos, tmp_path, capfd):
    out = tmp_path / "run"
    common = ["--root", videos, "--out", out, "--workers", 0]
    assert fit(*common, "--max-steps", 1) == 0
    before = {path.name: path.read_bytes() for path in (out / "model").iterdir()}
    assert fit(*common) == 1
    assert "already holds a run; go on with --resume" in capfd.readouterr().err
    assert fit(*common, "--resume", "--set", "optimiser.lr=1", "--seed", 7) == 1
    told = capfd.readouterr().err
    assert "optimiser.init_args.lr (0.002 -> 1.0)" in told
    assert "seed (0 -> 7)" in told
    assert {path.name: path.read_bytes() for path in (out / "model").iterdir()} == before
    assert fit(*common, "--resume", "--max-steps", 1) == 0
    assert "trained 1 step," in capfd.readouterr().out


def test_json_is_all_of_standard_output(videos, tmp_path, capfd):
    out = tmp_path / "run"
    assert fit("--root", videos, "--out", out, "--workers", 0, "--max-steps", 2, "--json") == 0
    told, progress = capfd.readouterr()
    summary = json.loads(told)
    assert summary["ended"] == "max_steps"
    assert (summary["step"], summary["records"], summary["dropped"], summary["missing"]) == (2, 6, 0, 0)
    assert summary["loss"] == rows(out)[-1]["loss"] or summary["loss"] > 0
    assert "step 2/2" in progress


def test_the_users_videos_are_left_as_they_were(videos, whole):
    assert sorted(path.name for path in videos.iterdir()) == [f"clip{number}.avi" for number in range(6)]


def test_help_and_errors_do_not_wait_for_torch():
    code = (
        "import sys; from telltime.cli.main import main\n"
        "wrong = [['--help'], ['tclr-smal', '--out', 'x'], ['tclr-small', '--out', 'x']]\n"
        "codes = [main(['fit', *rest]) for rest in wrong]\n"
        "print(codes, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[0, 1, 1] False"
    assert "examples:" in done.stdout
