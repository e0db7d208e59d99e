"""The laptop's recipe of TIME, from videos to a model, cut down to seconds."""

import json
from pathlib import Path

import pytest
import torch

from telltime.cli.main import main
from telltime.training.run import Run

SHORT = ["epochs=1", "method.reader.size=32", "method.backbone.width=2", "batch_size=4", "log_every=1"]


def fitted(root: Path, out: Path, *more: str) -> list[dict]:
    sets = [part for pair in (*SHORT, *more) for part in ("--set", pair)]
    command = ["fit", "time-small", "--data", "ucf101", "--root", str(root), "--fold", "1", "--out", str(out)]
    assert main([*command, "--workers", "0", "--skip-bad", *sets]) == 0
    return [json.loads(line) for line in Run(out).metrics.read_text().splitlines()]


def test_it_learns_the_classes_of_the_data_set(tiny_ucf: Path, tmp_path: Path) -> None:
    rows = fitted(tiny_ucf, tmp_path / "run")
    assert {"class", "order", "flow", "debias", "top1", "confidence_shuffled"} <= set(rows[-1])
    again = fitted(tiny_ucf, tmp_path / "again")
    assert [row["loss"] for row in rows] == [row["loss"] for row in again]


def test_more_classes_than_the_recipe_says(tiny_ucf: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["fit", "time-small", "--data", "ucf101", "--root", str(tiny_ucf), "--out", str(tmp_path / "run")]
    assert main([*command, "--skip-bad", "--set", "method.classes=2"]) == 1
    assert "the data has" in capsys.readouterr().err


def test_unlabelled_footage_teaches_time_alone(tiny_ucf: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for number, path in enumerate(sorted((tiny_ucf / "UCF-101").rglob("*.avi"))[:4]):
        (tmp_path / "videos" / f"{number}.avi").symlink_to(path)
    sets = [part for pair in SHORT for part in ("--set", pair)]
    command = ["fit", "time-small", "--root", str(tmp_path / "videos"), "--out", str(tmp_path / "run")]
    assert main([*command, "--workers", "0", *sets]) == 0
    last = json.loads(Run(tmp_path / "run").metrics.read_text().splitlines()[-1])
    assert {"order", "flow"} <= set(last)
    assert "class" not in last
    assert torch.isfinite(torch.tensor(last["loss"]))
