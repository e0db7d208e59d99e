"""``telltime embed`` and ``telltime evaluate`` on a folder of photos, as typed."""

import importlib.util
import json
from pathlib import Path

import h5py
import pytest
import torch

from telltime.cli.main import main
from telltime.datasets.generated_photos import generate_photos
from telltime.features.store import Store

TOWER = "resnet18@random"


def _clocks():
    spec = importlib.util.spec_from_file_location("clocks", Path(__file__).parents[1] / "tasks" / "clocks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("generated") / "g"
    generate_photos(root, photos=20, places=2, days=4, size=(48, 64), threads=1)
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clock")
    clocks = _clocks()
    clocks.clock(clocks.photos(folder / "photos", 24), list(range(24))).save(folder / "clock")
    return str(folder / "clock")


def test_a_folder_of_pictures_is_photos(photos, tmp_path, capsys):
    command = ["embed", TOWER, str(photos / "photos"), "--out", str(tmp_path / "s"), "--workers", "1"]
    (tmp_path / "h").mkdir()
    assert main([*command, "--json", "--hdf5", str(tmp_path / "h" / "f.h5")]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["photos"], done["new"], done["dropped"], done["shape"]) == (20, 20, 0, [512])
    assert done["without_time"] == 0
    with h5py.File(done["hdf5"]) as file:
        assert file["features"].shape == (20, 512)
    assert main(command) == 0
    assert "20 photos, 512 numbers each, of resnet18" in capsys.readouterr().out
    store = Store.open(tmp_path / "s")
    assert store.read("feature", store.ids).dtype == torch.float32
    assert main([*command, "--profile", "reference"]) == 1
    assert "profile 'own', not 'reference'" in capsys.readouterr().err
    for wrong, message in (
        (["--positions", "3"], "--positions goes with videos"),
        (["--data", "folder", "--profile", "clip"], "--profile goes with photos"),
    ):
        assert main([*command, *wrong]) == 2
        assert message in capsys.readouterr().err


def test_one_photo_and_bad_ones(photos, tmp_path, capsys):
    one = sorted((photos / "photos").iterdir())[0]
    assert main(["embed", TOWER, str(one), "--out", str(tmp_path / "one")]) == 0
    assert "1 photos" in capsys.readouterr().out
    place = tmp_path / "mixed"
    place.mkdir()
    (place / "a.jpg").write_bytes(one.read_bytes())
    (place / "b.jpg").write_text("no picture")
    command = ["embed", TOWER, str(place), "--out", str(tmp_path / "s")]
    assert main([*command, "--max-dropped", "0.6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"] == 1
    assert "b.jpg" in (tmp_path / "s" / "dropped.jsonl").read_text()
    assert main(command) == 1
    assert "1 of 2 photos (50.0%) cannot be read" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["embed", TOWER, str(tmp_path / "empty"), "--data", "photos", "--out", str(tmp_path / "x")]) == 1
    assert "no picture found" in capsys.readouterr().err


def test_evaluate_time_of_day(model, photos, tmp_path, capsys):
    command = ["evaluate", "time-of-day", model, "--data", "photos", "--root", str(photos)]
    assert main([*command, "--out", str(tmp_path / "r"), "--annotation", str(photos / "metadata.json"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["records"] == 20
    assert {"top1", "mae_hours", "coverage_80", "ece"} <= set(told["metrics"])
    assert json.loads((tmp_path / "r" / "result.json").read_text())["task"] == "time-of-day"
    kept = json.loads((tmp_path / "r" / "photos.json").read_text())
    assert len(kept["photos"]) == 20
    assert sum(kept["by_hour"]["photos"]) == 20
    assert (tmp_path / "r" / "report.html").is_file()
    assert main([*command, "--out", str(tmp_path / "r"), "--drop-last", "16"]) == 0
    assert "published_mae_hours" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "r"), "--drop-last", "512"]) == 1
    assert "fill no batch of 512" in capsys.readouterr().err


def test_evaluate_time_retrieval(model, photos, tmp_path, capsys):
    shared = ["--data", "photos", "--root", str(photos), "--asking", "leave-one-out", "--out", str(tmp_path / "r")]
    for name in (model, TOWER):
        assert main(["evaluate", "time-retrieval", name, *shared, "--apart", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["data"]["queries"] == 20
        assert told["metrics"]["recall@1"] <= told["metrics"]["recall@20"]
    assert len(json.loads((tmp_path / "r" / "queries.json").read_text())["queries"]) == 20


def test_what_does_not_go_together(model, photos, tmp_path, capsys):
    shared = ["--data", "photos", "--root", str(photos), "--out", str(tmp_path / "r")]
    for task, more, message in (
        ("time-of-day", ["--apart"], "--apart goes with time-retrieval"),
        ("time-retrieval", ["--drop-last", "4"], "--drop-last goes with time-of-day"),
        ("time-retrieval", ["--within-hours", "-1"], "at least 0"),
        ("time-of-day", ["--fraction", "0.5"], "--fraction goes with"),
        ("linear", ["--asking", "queries"], "--asking goes with time-retrieval"),
    ):
        assert main(["evaluate", task, model, *shared, *more]) == 2
        assert message in capsys.readouterr().err
    assert main(["evaluate", "time-of-day", TOWER, *shared]) == 1
    assert "tells no time" in capsys.readouterr().err
    assert main(["evaluate", "time-of-day", "tclr-small", *shared]) == 1
    assert "looks at no photos" in capsys.readouterr().err


def test_an_empty_folder_is_told_of_photos_to_models_that_look_at_them(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["embed", "efficientnet-lite0", str(tmp_path / "empty"), "--out", str(tmp_path / "store")]) == 1
    assert "photos: no picture found" in capsys.readouterr().err


def test_photos_without_a_time_are_named(photos, model, tmp_path, capsys):
    root = tmp_path / "some"
    root.mkdir()
    for path in sorted((photos / "photos").iterdir())[:4]:
        (root / path.name).write_bytes(path.read_bytes())
    (root / "words.jpg").write_text("no picture")
    words = ["--data", "photos", "--root", str(root), "--out", str(tmp_path / "out"), "--workers", "0"]
    assert main(["evaluate", "time-of-day", model, *words]) == 0
    assert "1 photo without a known time left out: words.jpg." in capsys.readouterr().out
