"""``telltime evaluate propagation``: its options, and what it writes."""

import json
from pathlib import Path

import pytest

from telltime.cli.main import main
from telltime.datasets.generated_masks import generate_masked


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--preset", "paper"], "--preset of propagation is one of dino, fine"),
        (["--k", "3"], "--k goes with"),
        (["--temperature", "0"], "a number above 0"),
        (["--topk", "0"], "--topk"),
        (["--first", "mean"], "--first"),
        (["--masks", "112"], "--masks goes with"),
    ],
)
def test_options_that_cannot_be_are_errors_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], given: list[str], said: str
) -> None:
    command = ["evaluate", "propagation", "efficientnet-lite0", "--data", "davis", "--root", str(tmp_path)]
    assert main([*command, "--out", str(tmp_path / "out"), *given]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_knobs_go_with_propagation_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", "clustering", "efficientnet-lite0", "--data", "davis", "--root", str(tmp_path)]
    assert main([*command, "--out", str(tmp_path / "out"), "--write-masks"]) == 2
    assert "--write-masks goes with propagation, not with clustering" in capsys.readouterr().err


def test_a_folder_of_results_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = generate_masked(tmp_path / "footage", sequences=1, frames=4, size=(64, 96), objects=2)
    command = ["evaluate", "propagation", "efficientnet-lite0", "--data", "davis", "--root", str(root)]
    assert main([*command, "--size", "128", "--out", str(tmp_path / "out"), "--write-masks", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "out" / "result.json").read_text())
    assert {"J&F", "J", "F", "J_recall", "J_decay", "F_recall", "F_decay", "objects"} == set(told["metrics"])
    assert told["data"]["settings"]["cell"] == 8
    assert told["model"]["input"] == "128x192"
    assert len(list((tmp_path / "out" / "masks").rglob("*.png"))) == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Segmentations" in page
    assert "places of 8 pixels" in page
