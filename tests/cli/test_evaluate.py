import json
import shutil
import subprocess
import sys
import time

import pytest
import torch

from telltime.cli.main import main
from telltime.features.store import Store


@pytest.fixture(autouse=True)
def _tiny(_one_thread):
    torch.set_num_threads(1)


@pytest.fixture
def model(tiny_model, tmp_path):
    return str(tiny_model.save(tmp_path / "model"))


@pytest.fixture
def data(tiny_ucf):
    return ["--data", "ucf101", "--root", str(tiny_ucf)]


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    """No worker processes where a test does not ask for them: they take longer to start than these videos to read."""
    monkeypatch.setattr("telltime.cli._reading.cores", lambda: 0)


def read(folder):
    return json.loads((folder / "result.json").read_text())


def test_neighbours_writes_all_it_says(model, data, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["evaluate", "neighbours", model, *data, "--fold", "2", "--out", str(out)]) == 0
    result = read(out)
    assert result["task"] == "neighbours"
    assert set(result["metrics"]) == {f"recall@{k}" for k in (1, 5, 10, 20, 50)}
    assert result["data"]["fold"] == 2
    assert result["model"]["name"] == model
    assert result["records"] == 18
    assert {"torch", "telltime"} <= set(result["versions"]) | {"telltime"}
    page = (out / "report.html").read_text()
    assert "Archery" in page
    assert 'src="http' not in page
    assert (out / "dropped.jsonl").read_text() == ""
    assert list((out / "features").iterdir())
    shown = capsys.readouterr().out
    assert "recall@1" in shown
    assert "12 of 9,586 published train videos" in shown


def test_json_is_the_result_file_and_nothing_else(model, data, tmp_path, capsys):
    arguments = ["evaluate", "linear", model, *data, "--out", str(tmp_path / "o"), "--json"]
    assert main([*arguments, "--fraction", "0.5", "--seed", "3", "--cache", str(tmp_path / "cache")]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == read(tmp_path / "o")
    assert printed["protocol"] == "frozen"
    assert printed["data"]["train"]["videos"] == 6
    assert list((tmp_path / "cache").iterdir())
    assert not (tmp_path / "o" / "features").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["linear", "--protocol", "paper", "--epochs", "1"],
        ["temporal-distinctness"],
    ],
)
def test_the_other_tasks_run(model, data, tmp_path, arguments, capsys):
    task, *options = arguments
    assert main(["evaluate", task, model, *data, "--out", str(tmp_path / "o"), *options]) == 0
    assert read(tmp_path / "o")["task"] == task
    assert (tmp_path / "o" / "report.html").stat().st_size > 1000


def test_a_run_folder_says_what_it_was_trained_on(tiny_model, tiny_ucf, tmp_path, capsys):
    run = tmp_path / "run"
    tiny_model.save(run / "model")
    (run / "recipe.yaml").write_text(f"data: {{name: ucf101, root: {tiny_ucf}, split: train}}\n")
    assert main(["evaluate", "temporal-distinctness", str(run), "--out", str(tmp_path / "o")]) == 0
    assert read(tmp_path / "o")["data"]["name"] == "ucf101"


def test_bad_media_among_good(model, tiny_ucf, tmp_path, capsys):
    root = tmp_path / "data"
    shutil.copytree(tiny_ucf, root)
    train = sorted((root / "UCF-101" / "Archery").glob("*_g0[3-6]_*"))
    test = sorted((root / "UCF-101" / "BabyCrawling").glob("*_g0[12]_*"))
    train[0].write_text("a shopping list")
    train[1].write_bytes(train[1].read_bytes()[:300])
    test[0].write_bytes(b"")
    command = ["evaluate", "neighbours", model, "--data", "ucf101", "--root", str(root), "--out", str(tmp_path / "o")]
    assert main([*command, "--max-dropped", "0.3"]) == 0
    dropped = [json.loads(line) for line in (tmp_path / "o" / "dropped.jsonl").read_text().splitlines()]
    assert {entry["id"].rpartition("/")[2] for entry in dropped} == {train[0].name, train[1].name, test[0].name}
    assert all(entry["reason"] for entry in dropped)
    assert read(tmp_path / "o")["dropped"] == 3
    assert "3 videos left out" in capsys.readouterr().out
    assert main([*command, "--max-dropped", "0.3"]) == 0
    assert len((tmp_path / "o" / "dropped.jsonl").read_text().splitlines()) == 3
    assert main(command) == 1
    assert "of 12 videos" in capsys.readouterr().err
    assert main([*command, "--bad-media", "raise"]) == 1
    said = capsys.readouterr().err
    assert train[0].name in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["neighbour", "m", "--out", "o"], 2, "neighbours"),
        (["neighbours", "m", "--out", "o"], 2, "--data NAME and --root DIR"),
        (["neighbours", "m", "--data", "ucf101", "--out", "o"], 2, "--root DIR"),
        (["neighbours", "m", "--root", "r", "--protocol", "paper", "--out", "o"], 2, "--protocol goes with linear"),
        (["linear", "m", "--epochs", "3", "--out", "o"], 2, "--epochs goes with"),
        (["linear", "m", "--fraction", "1.5", "--out", "o"], 2, "not above 0 and at most 1"),
        (["linear", "m", "--workers", "-1", "--out", "o"], 2, "less than 0"),
        (["temporal-distinctness", "m", "--fraction", "0.5", "--out", "o"], 2, "--fraction goes with"),
        (["linear", "m", "--dta", "x", "--out", "o"], 2, "did you mean --data"),
        (["linear", "m", "--data", "ucf11", "--root", "r", "--out", "o"], 1, "ucf101"),
        (["linear", "m", "--data", "ucf101", "--root", "nowhere", "--out", "o"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_is_one_sentence(arguments, code, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", *arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "o").exists()


def test_help_and_usage_errors_load_no_torch():
    code = "import sys; from telltime.cli.main import main; sys.exit(main(sys.argv[1:]) or 'torch' in sys.modules)"
    for verb in ("evaluate", "embed"):
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", code, verb, "--help"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "examples:" in done.stdout
        assert time.monotonic() - started < 10


def test_embed_a_folder_go_on_and_read_it_back(model, tiny_ucf, tiny_model, tmp_path, capsys):
    source = tmp_path / "videos"
    shutil.copytree(tiny_ucf / "UCF-101" / "Archery", source)
    last = sorted(source.iterdir())[-1]
    kept = last.read_bytes()
    last.unlink()
    (source / "notes.avi").write_text("no video")
    command = ["embed", model, str(source), "--out", str(tmp_path / "s"), "--positions", "2", "--max-dropped", "0.5"]
    assert main([*command, "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["videos"], done["new"], done["dropped"], done["shape"]) == (5, 5, 1, [2, 16, 4])
    last.write_bytes(kept)
    (source / "notes.avi").unlink()
    assert main(command) == 0
    assert "6 videos" in capsys.readouterr().out
    store = Store.open(tmp_path / "s")
    features = store.read("slices", store.ids)
    assert features.shape == (6, 2, 16, 4)
    assert features.dtype == torch.float32
    assert store.settings["model"] == tiny_model.digest()
    assert main([*command[:-4], "--positions", "3"]) == 1
    assert "give another folder" in capsys.readouterr().err
    assert len(Store.open(tmp_path / "s")) == 6


def test_embed_a_split_of_a_data_set(model, tiny_ucf, tmp_path, capsys):
    command = ["embed", model, str(tiny_ucf), "--data", "ucf101", "--split", "test", "--positions", "1"]
    assert main([*command, "--out", str(tmp_path / "s")]) == 0
    assert len(Store.open(tmp_path / "s")) == 6
