"""The doctor opens real files and says what is wrong with which."""

import json
from pathlib import Path

import numpy as np
import pytest

from telltime.datasets import DatasetError
from telltime.datasets.doctor import check
from telltime.media.write import write_video


@pytest.fixture
def ailing(ucf: Path) -> Path:
    """UCF101 in small: 16 files, of which one is missing, one empty and one a text; the rest play."""
    for i, path in enumerate(sorted((ucf / "UCF-101").rglob("*.avi"))):
        frames = np.full((4 + i, 24, 32, 3), 10 * i, dtype=np.uint8)
        write_video(path, list(frames), rate=25)
    hammering = ucf / "UCF-101" / "Hammering"
    (hammering / "v_Hammering_g08_c01.avi").unlink()
    (hammering / "v_Hammering_g08_c02.avi").write_bytes(b"")
    (hammering / "v_Hammering_g01_c01.avi").write_text("no video at all, but text\n" * 40)
    return ucf


def test_what_is_missing_and_unreadable_is_named(ailing: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = check("ucf101", ailing, progress=lambda done, total: seen.append((done, total)))
    assert report["ok"] is False
    assert report["videos"] == 15
    assert seen[-1] == (15, 15)
    assert sorted(e["id"].rpartition("/")[2] for e in report["unreadable"]) == [
        "v_Hammering_g01_c01.avi",
        "v_Hammering_g08_c02.avi",
    ]
    assert all(e["reason"] for e in report["unreadable"])
    first = next(s for s in report["splits"] if (s["split"], s["fold"]) == ("train", 1))
    assert (first["listed"], first["present"], first["unreadable"]) == (8, 7, 1)
    assert first["missing"] == ["Hammering/v_Hammering_g08_c01.avi"]
    assert first["share"] == pytest.approx(7 / 9537)
    assert len(report["splits"]) == 6
    assert report["media"]["sizes"] == {"32x24": 13}
    assert report["media"]["frames"]["max"] == 19
    json.dumps(report)


def test_a_video_that_breaks_off_is_said(tmp_path: Path) -> None:
    frames = list(np.random.RandomState(0).randint(0, 255, (40, 48, 64, 3)).astype(np.uint8))
    for name in ("whole", "cut"):
        write_video(tmp_path / f"{name}.avi", frames, codec="ffv1")
    path = tmp_path / "cut.avi"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    report = check("folder", tmp_path)
    assert [e["id"] for e in report["damaged"]] == ["cut.avi"]
    assert "does not decode" in report["notes"][-1]


def test_without_decoding_nothing_is_opened(ailing: Path) -> None:
    report = check("ucf101", ailing, decode=False)
    assert report["unreadable"] == []
    assert report["media"] == {}
    assert report["decoded"] is False
    assert [p.partition(",")[0] for p in report["problems"]] == ["1 listed video is missing"]


def test_a_sound_folder_has_no_problem(ailing: Path) -> None:
    report = check("folder", ailing / "UCF-101" / "Kayaking")
    assert report["ok"] is True
    assert report["videos"] == 4


def test_one_problem_for_one_cause(tmp_path: Path) -> None:
    report = check("hmdb51", tmp_path)
    assert len(report["problems"]) == 1
    assert "testTrainMulti_7030_splits" in report["problems"][0]
    assert "<class>_test_split" in report["layout"]


def test_a_list_that_is_missing_is_a_problem_and_the_rest_is_reported(ucf: Path) -> None:
    (ucf / "ucfTrainTestlist" / "testlist03.txt").unlink()
    report = check("ucf101", ucf, decode=False)
    assert len(report["splits"]) == 5
    assert any("testlist03.txt" in problem for problem in report["problems"])


def test_lists_with_no_file_behind_them(ucf: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    report = check("ucf101", tmp_path / "empty", annotation=ucf / "ucfTrainTestlist")
    assert report["videos"] == 0
    assert any(problem.startswith("no video of ucf101") for problem in report["problems"])


def test_unknown_data_set() -> None:
    with pytest.raises(DatasetError, match="did you mean"):
        check("ucf102", ".")
