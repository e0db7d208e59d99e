"""``telltime data check`` as a user meets it."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from telltime.cli import data
from telltime.media.write import write_video


def check(*words: str) -> int:
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    return data.run(parser.parse_args(["check", *words]))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    root = tmp_path / "my clips [odd]"
    for name in ("jump", "turn"):
        for i in range(4):
            write_video(root / name / f"{i}.mp4", list(np.zeros((5, 16, 16, 3), np.uint8)), rate=10)
    return root


def test_a_sound_folder_exits_0(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("folder", "--root", str(clips)) == 0
    said = capsys.readouterr().out
    assert "my clips [odd]: 8 videos, 2 classes" in said
    assert "all is well" in said
    assert "8 of 16x16" in said


def test_an_unreadable_file_is_named_and_exits_1(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "turn" / "[bold]bad.mp4").write_bytes(b"")
    assert check("folder", "--root", str(clips)) == 1
    said = capsys.readouterr().out
    assert "[bold]bad.mp4" in said
    assert "1 video is unreadable" in said
    assert check("folder", "--root", str(clips), "--no-decode") == 0


def test_json_and_out_hold_the_same_report(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "report.json"
    assert check("folder", "--root", str(clips), "--json", "--out", str(out)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert printed["videos"] == 8


def test_a_layout_that_is_not_there_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("ucf101", "--root", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert "classInd.txt" in said
    assert "ROOT/UCF-101/<Class>" in said
    assert "Traceback" not in said


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system refuses such names")
def test_names_that_are_no_utf8_print(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clips / "turn" / os.fsdecode(b"\xff.mp4")).touch()
    assert check("folder", "--root", str(clips)) == 1
    assert "\\xff.mp4" in capsys.readouterr().out


def test_help_shows_examples_and_loads_nothing_heavy() -> None:
    code = (
        "import argparse, sys; from telltime.cli import data; p = argparse.ArgumentParser(); data.add_arguments(p)\n"
        "try: p.parse_args(['check', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'rich', 'av', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "telltime data check ucf101 --root" in done.stdout


@pytest.mark.parametrize("words", [["ucf101"], ["--root", "x"]])
def test_usage_errors_exit_2(words: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        check(*words)
    assert stopped.value.code == 2


@pytest.mark.parametrize("verb", [["data", "check"], ["fit"], ["evaluate"], ["embed"]])
def test_help_names_every_data_set(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from telltime.cli.main import main
    from telltime.datasets import NAMES

    assert main([*verb, "--help"]) == 0
    words = capsys.readouterr().out.replace(",", " ").split()
    assert set(NAMES) <= set(words)


def test_scenes_need_no_validation_split(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split, number in (("train", 0), ("test", 1)):
        rows = [{"path": f"./{name}/{number}.mp4", "label": name} for name in ("jump", "turn")]
        (clips / f"yup_{split}_data.json").write_text(json.dumps(rows))
    assert check("yup", "--root", str(clips)) == 0
    said = capsys.readouterr().out
    assert "note yup: there is no index of its val split" in said
    (clips / "yup_test_data.json").unlink()
    assert check("yup", "--root", str(clips)) == 1
    assert "problem yup: there is no index of its test split" in capsys.readouterr().out


def test_footage_with_masks_is_drawn_and_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from telltime.cli.main import main

    drawn = {"generate-masks": ("davis", "--sequences=3", "--frames=2"), "generate-voc": ("voc", "--pictures=3")}
    for verb, (name, *more) in drawn.items():
        out = tmp_path / name
        assert main(["data", verb, "--out", str(out), "--size", "32", "40", *more]) == 0
        assert f"--data {name} --root {out}" in capsys.readouterr().out
        assert check(name, "--root", str(out), "--json") == 0
        assert json.loads(capsys.readouterr().out)["masks"]["objects"]["max"] >= 1
        assert main(["data", verb, "--out", str(out), "--size", "4", "4"]) == 1
    assert main(["data", "generate-masks", "--out", str(tmp_path / "voc" / "images")]) == 1
    assert "holds other files" in capsys.readouterr().err
