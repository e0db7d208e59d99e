"""``telltime evaluate scenes`` on videos of three colours."""

import json

import pytest

from telltime.cli.main import main


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr("telltime.cli._reading.cores", lambda: 0)


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The embedded tower at 32 pixels: the same path in less time."""
    from telltime.checkpoints import tower

    made = tower.load_tower
    monkeypatch.setattr(tower, "load_tower", lambda model: made(model, size=32))


def index(root, tiny_ucf):
    rows = {"train": [], "val": [], "test": []}
    for video in sorted((tiny_ucf / "UCF-101").rglob("*.avi")):
        group = int(video.stem.split("_g")[1][:2])
        part = "test" if group < 3 else "val" if group == 3 else "train"
        rows[part].append({"path": f"./{video.relative_to(tiny_ucf)}", "label": video.parent.name})
    root.mkdir()
    for part, listed in rows.items():
        (root / f"yup_{part}_data.json").write_text(json.dumps(listed))
    return root


def test_an_index_with_a_validation_split(tiny_ucf, tmp_path, capsys):
    lists = index(tmp_path / "lists", tiny_ucf)
    out = tmp_path / "o"
    data = ["--data", "yup", "--root", str(tiny_ucf), "--annotation", str(lists), "--out", str(out)]
    assert main(["evaluate", "scenes", "efficientnet-lite0", *data]) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["task"] == "scenes"
    assert result["metrics"]["top1"] == 1.0
    assert result["data"]["val"]["videos"] == 3
    assert "chosen on the validation split" in capsys.readouterr().out
    assert (out / "report.html").exists()
    assert main(["evaluate", "scenes", "efficientnet-lite0", *data, "--mode", "published", "--epochs", "1"]) == 0
    assert json.loads((out / "result.json").read_text())["protocol"] == "published"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["scenes", "m", "--data", "folder", "--root", "r"], "--data of scenes is one of yup"),
        (["scenes", "m", "--data", "yup"], "--root DIR"),
        (["linear", "m", "--data", "folder", "--root", "r", "--mode", "published"], "--mode goes with scenes"),
        (["neighbours", "m", "--data", "folder", "--root", "r", "--video-features", "f"], "--video-features goes with"),
        (["scenes", "m", "--data", "yup", "--root", "r", "--epochs", "2"], "--epochs goes with"),
    ],
)
def test_options_that_do_not_go_together(arguments, said, capsys):
    assert main(["evaluate", *arguments, "--out", "o"]) == 2
    assert said in capsys.readouterr().err


def test_a_videomae_needs_its_library_or_a_file(tiny_ucf, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    data = ["--data", "ucf101", "--root", str(tiny_ucf), "--out", str(tmp_path / "o")]
    assert main(["evaluate", "scenes", "efficientnet-lite0", *data, "--video-features", "some/videomae"]) == 1
    assert "pip install transformers" in capsys.readouterr().err


def test_a_clock_is_measured_with_its_adapter(tiny_ucf, tmp_path, capsys):
    import torch

    from telltime.backbones.image_tower import ImageTower
    from telltime.backbones.time_heads import CosineHead
    from telltime.checkpoints.clock import Clock

    tower = ImageTower(size=32, stages=[0], cells=[1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Clock(CosineHead(24, tower.dim, 8), tower).save(tmp_path / "clock")
    data = ["--data", "ucf101", "--root", str(tiny_ucf), "--out", str(tmp_path / "o")]
    assert main(["evaluate", "scenes", str(tmp_path / "clock"), *data, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"tower_top1", "adapter_gain"} <= set(result["metrics"])
    assert "val" not in result["data"]
