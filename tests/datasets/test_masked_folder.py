"""Any folder of videos with masks: told apart by what is found, and nothing but masks is taken for masks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_files import frames, mask

from telltime.clips.masks import labels_at_first, labels_present
from telltime.datasets import DatasetError, load
from telltime.datasets.doctor import check
from telltime.datasets.sequences import match
from telltime.media.write import write_video


def _file(path: Path, count: int = 4) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, list(np.zeros((count, 12, 16, 3), np.uint8)), rate=10)


def _of(root: Path, name: str = "masked", split: str = "all") -> dict[str, list[int]]:
    return {r.id: sorted(r.masks.files) for r in load(name, root, split).records if r.masks}


@pytest.mark.parametrize("middle", ["", "480p/", "walks/"])
@pytest.mark.parametrize("top", ["Annotations", "masks", "Annotations_2016", "GT"])
def test_masks_beside_frame_folders(tmp_path: Path, middle: str, top: str) -> None:
    for name in ("a", "b"):
        frames(tmp_path / f"JPEGImages/{middle}{name}")
        mask(tmp_path / f"{top}/{middle}{name}/00002.png", [1, 2])
    assert _of(tmp_path) == {f"JPEGImages/{middle}a": [2], f"JPEGImages/{middle}b": [2]}
    assert len(load("folder", tmp_path, "all")) == 2


def test_masks_of_classes_with_the_same_names(tmp_path: Path) -> None:
    for kind in ("run", "swim"):
        for name in ("1", "2"):
            frames(tmp_path / f"videos/{kind}/{name}", 4)
            mask(tmp_path / f"masks/{kind}/{name}/00001.png", [2 if kind == "run" else 3])
    table = load("masked", tmp_path, "all")
    assert len(table) == 4
    for record in table.records:
        assert labels_present(labels_at_first(record)) == [2 if "run" in record.id else 3]


def test_split_folders_each_with_frames_and_masks(tmp_path: Path) -> None:
    for half, names in {"train": ("a", "b"), "valid": ("a",)}.items():
        for name in names:
            frames(tmp_path / half / "JPEGImages" / name)
            mask(tmp_path / half / f"Annotations/{name}/00000.png", [1 if half == "train" else 2])
    assert _of(tmp_path, split="train") == {"train/JPEGImages/a": [0], "train/JPEGImages/b": [0]}
    test = load("masked", tmp_path, "test")
    assert test.classes == ()
    assert labels_present(labels_at_first(test.records[0])) == [2]


def test_video_files_with_a_folder_of_masks_each(tmp_path: Path) -> None:
    for name in ("cat", "dog", "eel"):
        _file(tmp_path / f"{name}.mp4")
    mask(tmp_path / "cat/00000.png")
    mask(tmp_path / "cat/00002.png")
    mask(tmp_path / "dog_masks/frame_3.png", [255], grey=True)
    mask(tmp_path / "Annotations/eel/1.png")
    assert _of(tmp_path) == {"cat.mp4": [0, 2], "dog.mp4": [3], "eel.mp4": [1]}
    dog = next(r for r in load("masked", tmp_path, "all").records if r.id == "dog.mp4")
    assert np.unique(labels_at_first(dog)).tolist() == [0, 1]


def test_a_class_named_like_masks_stays_a_class(tmp_path: Path) -> None:
    for kind in ("masks", "hats"):
        for i in range(3):
            _file(tmp_path / kind / f"{i}.mp4")
        frames(tmp_path / kind / "7", names=["1.png", "2.png"])
    table = load("folder", tmp_path, "all")
    assert (table.classes, len(table)) == (("hats", "masks"), 8)


def test_many_videos_and_a_damaged_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telltime.datasets.found_masks.MANY", 2)
    for i in range(6):
        frames(tmp_path / f"JPEGImages/{i}", 2)
        mask(tmp_path / f"Annotations/{i}/00000.png", [255] if i != 4 else [1, 255])
    (tmp_path / "Annotations/0/00000.png").write_bytes(b"torn")
    table = load("masked", tmp_path, "all")
    assert [r.masks.meaning[255] for r in table.records if r.masks] == [255, 1, 1, 1, 255, 1]


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    frames(tmp_path / "JPEGImages/a")
    frames(tmp_path / "JPEGImages/b")
    mask(tmp_path / "Annotations/a/00000.png")
    mask(tmp_path / "Annotations/a/00009.png")
    mask(tmp_path / "Annotations/lost/00000.png")
    mask(tmp_path / "Annotations_unsupervised/a/00000.png", [5])
    table = load("masked", tmp_path, "all")
    assert _of(tmp_path) == {"JPEGImages/a": [0]}
    said = " | ".join(table.notes)
    for words in ("Annotations_unsupervised are not used", "of no video, e.g. Annotations/lost", "a/00009.png",
                  "1 videos without masks are left out, e.g. JPEGImages/b"):  # fmt: skip
        assert words in said
    with pytest.raises(DatasetError, match=r"none of the 1 videos .* has masks"):
        load("masked", tmp_path / "JPEGImages/b")


def test_the_doctor_looks_at_masks(tmp_path: Path) -> None:
    for name in ("a", "b"):
        frames(tmp_path / "JPEGImages" / name)
        for i in range(3):
            mask(
                tmp_path / f"Annotations/{name}/{i:05d}.png", [1, 2, 4], (12, 15) if (name, i) == ("a", 1) else (12, 16)
            )
    (tmp_path / "Annotations/b/00001.png").write_bytes(b"")
    report = check("masked", tmp_path)
    masks = report["masks"]
    assert (masks["records"], masks["files"], masks["objects"]["max"]) == (2, 6, 3)
    assert masks["sizes"][0]["reason"] == "15x12 where the frame is 16x12"
    assert [entry["reason"] for entry in masks["unreadable"]] == ["empty file"]
    assert report["ok"] is False
    assert any("1 mask is unreadable" in problem for problem in report["problems"])
    assert check("masked", tmp_path, decode=False)["masks"] == {}


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(0, 30), st.sets(st.integers(0, 11)), st.booleans())
def test_masks_match_by_stem_or_else_by_number(count: int, first: int, chosen: set[int], other: bool) -> None:
    pictures = [f"{'img_' if other else ''}{first + i:05d}.jpg" for i in range(count)]
    wanted = {i for i in chosen if i < count}
    files = [f"{first + i:05d}.png" for i in sorted(wanted)] + ["99999.png"]
    found, left = match(pictures, files)
    assert set(found) == wanted
    assert left == ["99999.png"]
