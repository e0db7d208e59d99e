"""``telltime convert`` of encoders of places: to model folders and to files for timm."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import telltime
from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.dense import load_dense
from telltime.checkpoints.dense_model import DenseModel
from telltime.cli.main import main

SHAPE = {"patch": 16, "dim": 64, "depth": 2, "heads": 1, "grid": 4}


def state(seed: int) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return DenseEncoder("vit", shape=SHAPE, pretrained=False).network.state_dict()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    content = {"prototypes": torch.ones(5, 16), "teacher_prototypes": torch.ones(5, 16)}
    for prefix, seed in (("feature_extractor.", 1), ("teacher.", 2)):
        content |= {f"{prefix}backbone.{key}": value for key, value in state(seed).items()}
        content |= {f"{prefix}head.0.weight": torch.ones(16, 64), f"{prefix}head.0.bias": torch.ones(16)}
    torch.save(content, tmp_path / "TimeT.pth")
    return tmp_path / "TimeT.pth"


def test_an_ambiguous_file_asks(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(file), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert "TimeT.pth" in shown
    assert "say --which student or --which teacher" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("which", "seed"), [("student", 1), ("teacher", 2)])
def test_a_published_file_becomes_a_folder(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], which: str, seed: int
) -> None:
    out = tmp_path / "out"
    assert main(["convert", str(file), "--out", str(out), "--which", which]) == 0
    shown = capsys.readouterr().out
    assert f"TIMET published file ({which}): ViT-2x64/16 backbone" in shown
    assert "projection head, 5 prototypes" in shown
    assert "left out: " in shown
    assert "telltime evaluate clustering" in shown
    loaded = telltime.load(out)
    assert isinstance(loaded, DenseModel)
    assert all(torch.equal(loaded.encoder.network.state_dict()[key], value) for key, value in state(seed).items())
    assert loaded.meta["which"] == which
    other = "teacher" if which == "student" else "student"
    capsys.readouterr()
    assert main(["convert", str(out), "--to", "timm", "--which", other, "--out", str(tmp_path / "x.safetensors")]) == 1
    assert f"holds no {other}" in capsys.readouterr().err


def test_export_prints_the_lines_that_load_it(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["convert", str(file), "--which", "student", "--to", "timm", "--out", "tuned.safetensors"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "VisionTransformer(img_size=64, patch_size=16, embed_dim=64, depth=2, num_heads=1" in shown
    lines = [line.strip() for line in shown.partition("timm alone:")[2].splitlines() if line]
    names: dict[str, object] = {}
    exec("\n".join(lines), names)
    assert all(torch.equal(names["model"].state_dict()[key], value) for key, value in state(1).items())  # type: ignore[attr-defined]
    assert main(command) == 1
    assert "there already" in capsys.readouterr().err
    assert main([*command, "--force", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["load"] == lines
    assert found["digest"] == DenseModel(load_dense("tuned.safetensors")).digest()


@pytest.mark.parametrize(
    ("model", "out", "told"),
    [
        ("efficientnet-lite0", "out.pth", "one file"),
        ("tclr-small", "out.safetensors", "recipe of another method"),
        ("no-such", "out.safetensors", "no model 'no-such'"),
    ],
)
def test_what_cannot_be_exported_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, out: str, told: str
) -> None:
    assert main(["convert", model, "--to", "timm", "--out", str(tmp_path / out)]) == 1
    assert told in capsys.readouterr().err
