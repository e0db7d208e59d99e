"""``telltime convert``: published files to model folders, and what it says on the way."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import telltime
from telltime.backbones.r3d import R3D18
from telltime.cli.main import main
from telltime.methods.tclr import ProjectionHead


@pytest.fixture
def file(tmp_path: Path) -> Path:
    state = nn.Sequential(R3D18(4), ProjectionHead(32, 6)).state_dict()
    content = {
        "epoch": 248,
        "state_dict": {f"module.{key}": value for key, value in state.items()},
        "best_score": 9.7173,
        "amp_scaler": torch.amp.GradScaler("cpu"),
    }
    torch.save(content, tmp_path / "best.pth")
    return tmp_path / "best.pth"


def test_a_file_becomes_a_folder_with_the_same_model(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, model = file.read_bytes(), telltime.load(file)
    assert main(["convert", str(file), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "recognised  TCLR pre-training file: R3D-18 backbone" in shown
    assert f"{sum(p.numel() for p in model.backbone.parameters()):,} parameters, projection head" in shown
    assert "epoch 248, best loss 9.7173" in shown
    assert "licence" in shown
    assert telltime.load(tmp_path / "out").digest() == model.digest()
    assert file.read_bytes() == before


def test_json_says_the_same(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(file), "--out", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["architecture"], found["kind"], found["head"], found["epoch"]) == (
        "R3D-18",
        "pre-training",
        True,
        248,
    )
    assert found["digest"] == telltime.load(file).digest()


def test_the_classes_of_a_classifier_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fc = {f"fc.{key}": value for key, value in nn.Linear(32, 102).state_dict().items()}
    torch.save({"state_dict": R3D18(4).state_dict() | fc}, tmp_path / "lin.pth")
    assert main(["convert", str(tmp_path / "lin.pth"), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "102-way classifier" in shown
    assert "1-based" in shown


def test_a_model_in_the_way_is_replaced_only_by_force(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert main(["convert", str(file), "--out", str(out)]) == 1
    assert "--force" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    assert main(["convert", str(file), "--out", str(out), "--force"]) == 0
    assert (out / "mine.txt").read_text() == "mine"
    assert telltime.load(out).digest() == telltime.load(file).digest()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"hello", "no checkpoint"), (b"cposix\nsystem\n(X\x04\x00\x00\x00touctR.", "posix.system")],
)
def test_files_that_are_none_are_refused_in_one_sentence(
    content: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    assert main(["convert", str(path), "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert says in shown
    assert str(path) in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_file_a_folder_and_a_file_in_the_way_are_named(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, says in (
        ([str(tmp_path / "none.pth"), "--out", str(tmp_path / "out")], "there is no such file"),
        ([str(tmp_path), "--out", str(tmp_path / "out")], "is a folder"),
        ([str(file), "--out", str(file)], "choose a folder for --out"),
    ):
        assert main(["convert", *arguments]) == 1
        assert says in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(file), "--out", str(file / "out")]) == 1
    shown = capsys.readouterr().err
    assert "Not a directory" in shown
    assert shown.count("\n") == 1


def test_a_checkpoint_of_ticl_becomes_a_clock(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from telltime.backbones.time_heads import CosineHead

    torch.save(CosineHead(12).state_dict(), tmp_path / "TICL_12_adapter_v1_best.pth")
    out = tmp_path / "out"
    assert main(["convert", str(tmp_path / "TICL_12_adapter_v1_best.pth"), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "recognised  TICL clock file: adapter and time encoder of 12 classes" in shown
    assert f"telltime when PHOTO --model {out}" in shown
    assert telltime.load(out).classes == 12
