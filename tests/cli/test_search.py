"""``telltime index``, ``search`` and ``copies`` on real files, with the embedded network."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from telltime.cli.main import main
from telltime.datasets.generated import generate
from telltime.media.write import write_video
from telltime.views.edits import edit_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four generated videos, a cut of one and a letterboxed one."""
    root = generate(
        tmp_path_factory.mktemp("cli") / "videos", classes=4, videos_per_class=1, frames=75, size=(72, 96), seed=5
    )
    first, second = sorted(root.rglob("*.avi"))[:2]
    edit_video(first, "cut", np.random.RandomState(1), root / "cut.mp4")
    edit_video(second, "letterbox", np.random.RandomState(1), root / "boxed.mp4")
    return root


@pytest.fixture(scope="module")
def index(videos: Path) -> Path:
    where = videos.parent / "index"
    assert main(["index", str(videos), "--index", str(where)]) == 0
    return where


def test_a_folder_is_indexed_and_listed(index: Path, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(videos), "--index", str(index)]) == 0
    shown = capsys.readouterr().out
    assert "6 as before in" in shown
    assert f"{index} holds 6 videos" in shown
    assert main(["index", "--list", "--index", str(index)]) == 0
    shown = capsys.readouterr().out
    assert "boxed.mp4" in shown
    assert "described by efficientnet-lite0" in shown
    assert main(["index", "--list", "--index", str(index), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["videos"]) == 6
    assert told["model"] == "efficientnet-lite0"
    assert main(["index", str(videos), "--index", str(index), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] == 6


def test_search_finds_the_edited_copy(index: Path, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(videos / "boxed.mp4"), "--index", str(index), "--top", "2", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    original = sorted(videos.rglob("*.avi"))[1]
    assert [hit["path"] for hit in hits] == [str(videos / "boxed.mp4"), str(original)]
    assert set(hits[0]) == {"path", "score", "probability", "spans"}
    assert main(["search", str(videos / "boxed.mp4"), "--index", str(index), "--mode", "scenes"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "score  probability  video"
    assert len([line for line in shown if line.endswith((".avi", ".mp4"))]) == 6


def test_the_report_stands_alone(index: Path, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = videos.parent / "hits.html"
    assert main(["search", str(videos / "cut.mp4"), "--index", str(index), "--report", str(page)]) == 0
    assert str(page) in capsys.readouterr().out
    html = page.read_text()
    assert html.count("<svg viewBox") == 12
    assert html.count("data:image/webp") >= 6 * 9
    assert "http" not in html.replace("http-equiv", "")


def test_a_report_shows_hits_whose_file_is_gone(index: Path, videos: Path, tmp_path: Path) -> None:
    from telltime.report.hits import write_hits
    from telltime.search.index import Index
    from telltime.search.scoring import Hit

    opened = Index(index)
    gone = Hit(str(tmp_path / "gone & <b>.avi"), 0.5, 0.1)
    html = write_hits(opened, videos / "cut.mp4", [gone], tmp_path / "page.html").read_text()
    assert "gone &amp; &lt;b&gt;.avi" in html
    assert html.count("<svg viewBox") == 1
    assert "no stretch matches" in html
    assert "0 videos" not in write_hits(opened, videos / "cut.mp4", [], tmp_path / "none.html").read_text()


def test_copies_are_grouped(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["copies", "--index", str(index), "--rate", "0.01", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 2 / 31 <= told["expected_false_positive_rate"] < 0.1, "30 pairs cannot speak for 1 in 100"
    assert told["videos"] == 6
    assert main(["copies", "--index", str(index)]) == 0
    assert "expected false-positive rate" in capsys.readouterr().out


def test_remove(index: Path, videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = videos.parent / "extra.avi"
    rng = np.random.default_rng(0)
    write_video(extra, (rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(30)), rate=25)
    assert main(["index", str(extra), "--index", str(index), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["new"] == 1
    assert main(["index", "--remove", str(extra), "--index", str(index)]) == 0
    assert "1 video taken out" in capsys.readouterr().out
    assert extra.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["index"], 2, "--index DIR must say"),
        (["index", "--index", "x"], 2, "name a folder or video"),
        (["index", "--index", "x", "--list", "y"], 2, "--list takes no folder"),
        (["index", "nowhere", "--index", "x"], 1, "there is no file or folder nowhere"),
        (["index", "empty", "--index", "x"], 1, "no video found in empty"),
        (["index", "--list", "--index", "x"], 1, "there is no index in"),
        (["search", "clip.mp4", "--index", "x"], 1, "there is no index in"),
        (["search", "clip.mp4", "--index", "x", "--top", "0"], 2, "0 is less than 1"),
        (["copies", "--index", "x"], 1, "there is no index in"),
        (["copies", "--index", "x", "--rate", "2"], 2, "2 is not above 0"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert main(arguments) == code
    told = capfd.readouterr().err.strip()
    assert said in told
    assert "\n" not in told
    assert not (tmp_path / "x").exists()


def test_a_sound_file_alone_fails(index: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "song.mp3").write_bytes(b"ID3" + bytes(4000))
    assert main(["index", str(tmp_path / "song.mp3"), "--index", str(index)]) == 1
    assert "1 file left out that cannot be read" in capfd.readouterr().out
    assert main(["search", str(tmp_path / "song.mp3"), "--index", str(index)]) == 1
    assert "song.mp3: " in capfd.readouterr().err


def test_mistakes_are_answered_without_loading_anything_heavy(tmp_path: Path) -> None:
    began = time.monotonic()
    code = "import sys; from telltime.cli.main import main; main(sys.argv[1:]); print(*sys.modules)"
    command = [sys.executable, "-c", code, "search", "a.mp4", "--index", str(tmp_path / "none")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "there is no index in" in ran.stderr
    assert not {"torch", "lancedb", "timm", "pyarrow"} & set(ran.stdout.split())
    assert time.monotonic() - began < 30
