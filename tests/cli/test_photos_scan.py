"""``telltime photos scan`` and ``telltime data generate-photos`` as a user meets them."""

import json
from pathlib import Path

import pytest

from telltime.cli.main import main


@pytest.fixture
def skies(tmp_path: Path) -> Path:
    words = "--photos 24 --places 2 --days 4 --size 24 32 --wrong-clock 1=-7"
    assert main(["data", "generate-photos", "--out", str(tmp_path / "skies"), *words.split()]) == 0
    return tmp_path / "skies"


def test_scan_writes_rows_and_reasons(skies, tmp_path, capsys):
    (skies / "photos" / "bad.jpg").write_text("nothing")
    out = tmp_path / "photos.json"
    assert main(["photos", "scan", str(skies), "--out", str(out), "--keep", "daylight-at-night"]) == 0
    said = capsys.readouterr().out
    assert "25 photos" in said
    assert "24 kept" in said
    assert "bad.jpg" in said
    assert f"--annotation {out}" in said
    assert len(json.loads(out.read_text())) == 24
    assert json.loads(out.with_suffix(".dropped.jsonl").read_text())["filter"] == "unreadable"


def test_json_is_all_that_is_printed(skies, tmp_path, capsys):
    capsys.readouterr()
    assert main(["photos", "scan", str(skies), "--out", str(tmp_path / "o.json"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["photos"] == 24
    assert summary["kept"] == summary["train"] + summary["test"] == 24 - sum(summary["left_out"].values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keep", "frozn"], "did you mean frozen?"),
        (["--keep", "no-time"], "no filter 'no-time' can be waived"),
        (["--zone", "Europe/Berln"], "did you mean Europe/Berlin?"),
        (["--out", "photo.jpg"], "does not end in .json"),
        (["--workers", "0"], "less than 1"),
    ],
)
def test_command_lines_at_fault_exit_2(tmp_path, capsys, words, said):
    assert main(["photos", "scan", str(tmp_path), "--out", str(tmp_path / "o.json"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_to_learn_from_exits_1(tmp_path, capsys):
    assert main(["photos", "scan", str(tmp_path), "--out", str(tmp_path / "o.json")]) == 1
    assert "no picture found" in capsys.readouterr().err
    (tmp_path / "a.png").write_text("x")
    assert main(["photos", "scan", str(tmp_path), "--out", str(tmp_path / "o.json")]) == 1
    assert "none of the 1 photos" in capsys.readouterr().err


def test_wrong_arguments_of_the_generator_are_told(tmp_path, capsys):
    assert main(["data", "generate-photos", "--out", str(tmp_path / "s"), "--places", "99"]) == 1
    assert "places must be 1 to 24" in capsys.readouterr().err
    assert main(["data", "generate-photos", "--out", str(tmp_path / "s"), "--wrong-clock", "seven"]) == 2
    assert "CAMERA=HOURS" in capsys.readouterr().err
