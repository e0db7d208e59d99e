"""Any folder of videos: what is found decides, and nothing is silent."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telltime.datasets import NAMES, DatasetError, Record, load, module
from telltime.datasets.folder import draw_split
from telltime.datasets.scan import scan


def test_flat_folder_has_no_labels(plant) -> None:
    root = plant(["b.MP4", "a.mkv", "notes.txt", ".hidden.mp4"])
    table = load("folder", root, "all")
    assert [r.id for r in table.records] == ["a.mkv", "b.MP4"]
    assert table.classes == ()
    assert table.labels().tolist() == [-1, -1]
    assert "1 .txt (e.g. notes.txt)" in table.notes[0]


@pytest.mark.parametrize("outer", ["", "one/two/"])
def test_class_folders(plant, outer: str) -> None:
    root = plant([f"{outer}{c}/{i}.mp4" for c in ("swim", "run") for i in range(4)])
    table = load("folder", root, "all")
    assert table.classes == ("run", "swim")
    assert [table.classes[r.label] for r in table.records] == ["run"] * 4 + ["swim"] * 4
    assert table.records[0].id == f"{outer}run/0.mp4"


@pytest.mark.parametrize("test_name", ["test", "Val", "validation"])
def test_split_folders_are_the_splits(plant, test_name: str) -> None:
    root = plant([f"Train/{c}/{i}.mp4" for c in "ab" for i in range(3)] + [f"{test_name}/{c}/9.mp4" for c in "bc"])
    root = plant(["extra/loose.mp4"])
    train, test, whole = (load("folder", root, s) for s in ("train", "test", "all"))
    assert train.classes == test.classes == ("a", "b", "c")
    assert train.labels().tolist() == [0, 0, 0, 1, 1, 1]
    assert test.labels().tolist() == [1, 2]
    assert len(whole) == 8
    assert any("1 videos lie outside" in note for note in train.notes)


def test_split_folders_without_classes(plant) -> None:
    root = plant(["train/1.mp4", "train/2.mp4", "test/3.mp4"])
    assert [r.id for r in load("folder", root, "test").records] == ["test/3.mp4"]
    assert load("folder", root).classes == ()


def test_drawn_split_serves_every_class_and_is_said(plant) -> None:
    root = plant([f"{c}/{i:02d}.mp4" for c in ("a", "b") for i in range(10)])
    train, test = load("folder", root), load("folder", root, "test")
    assert {r.id for r in train.records} | {r.id for r in test.records} == {
        r.id for r in load("folder", root, "all").records
    }
    assert test.labels().tolist() == [0] * 3 + [1] * 3
    assert "6 of 20 videos are in the test split" in test.notes[-1]
    assert [r.id for r in load("folder", root, "test").records] == [r.id for r in test.records]
    assert {r.id for r in load("folder", root, "test", fold=2).records} != {r.id for r in test.records}


def test_groups_stay_together(plant) -> None:
    root = plant(
        [f"a/v_a_g{g:02d}_c{c:02d}.avi" for g in range(4) for c in range(5)] + ["b/x/1.mp4", "b/x/2.mp4", "b/y/3.mp4"]
    )
    train, test = load("folder", root), load("folder", root, "test")
    assert not {r.group for r in train.records} & {r.group for r in test.records}
    assert {r.group for r in test.records} & {"b/x", "b/y"}


def test_one_group_a_class_leaves_nothing_to_test(plant) -> None:
    root = plant(["a/1.mp4", "b/1.mp4"])
    assert len(load("folder", root)) == 2
    with pytest.raises(DatasetError, match="train and test folders"):
        load("folder", root, "test")


@settings(max_examples=40, deadline=None)
@given(
    members=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=40),
    seed=st.integers(1, 1000),
)
def test_any_drawn_split_keeps_groups_whole_and_leaves_training_videos(
    members: list[tuple[int, int]], seed: int
) -> None:
    records = [Record(str(i), Path("x"), label, f"{label}/{group}") for i, (label, group) in enumerate(members)]
    test = draw_split(records, seed)
    sides = {(r.label, r.group, r.id in test) for r in records}
    assert len(sides) == len({(r.label, r.group) for r in records})
    assert {r.label for r in records if r.id not in test} == {r.label for r in records}
    assert draw_split(reversed(records), seed) == test


def test_videos_beside_folders_give_no_classes(plant) -> None:
    table = load("folder", plant(["a/1.mp4", "b/2.mp4", "3.mp4"]), "all")
    assert table.classes == ()
    assert any("no class is read" in note for note in table.notes)


def test_frame_folders_are_videos_and_may_be_the_root(plant) -> None:
    root = plant([f"{c}/clip{k}/{i:04d}.png" for c in "ab" for k in range(2) for i in range(3)])
    table = load("folder", root, "all")
    assert [r.id for r in table.records] == ["a/clip0", "a/clip1", "b/clip0", "b/clip1"]
    assert table.classes == ("a", "b")
    single = load("folder", root / "a" / "clip0", "all")
    assert [(r.id, r.path) for r in single.records] == [("clip0", root / "a" / "clip0")]


def test_a_lone_picture_is_no_video_and_a_file_may_be_the_root(plant) -> None:
    root = plant(["poster.jpg", "film.webm"])
    table = load("folder", root, "all")
    assert [r.id for r in table.records] == ["film.webm"]
    assert "poster.jpg" in table.notes[0]
    assert [r.id for r in load("folder", root / "film.webm").records] == ["film.webm"]


def test_own_list_gives_the_labels(plant) -> None:
    root = plant([f"{i}.mp4" for i in range(6)])
    plant({"labels.csv": "".join(f"{i}.mp4,{'even' if i % 2 == 0 else 'odd'}\n" for i in range(7))})
    train, test = (load("folder", root, s, annotation=root / "labels.csv") for s in ("train", "test"))
    assert train.classes == ("even", "odd")
    assert len(train) + len(test) == 6
    assert sorted(test.labels().tolist()) == [0, 1]
    assert train.missing == ("6.mp4",)


def test_link_loops_end_and_nothing_is_counted_twice(plant) -> None:
    root = plant(["a/1.mp4", "b/2.mp4"])
    (root / "a" / "up").symlink_to(root)
    (root / "b" / "over").symlink_to(root / "a")
    (root / "0first").symlink_to(root / "b")
    (root / "self").symlink_to(root / "self")
    (root / "gone.mp4").symlink_to(root / "nowhere.mp4")
    assert [r.id for r in load("folder", root, "all").records] == ["a/1.mp4", "b/2.mp4", "gone.mp4"]


def test_a_linked_folder_is_read(plant, tmp_path: Path) -> None:
    elsewhere = plant(["1.mp4", "2.mp4"], root="elsewhere")
    root = plant(["a/0.mp4"])
    (root / "b").symlink_to(elsewhere)
    assert load("folder", root, "all").classes == ("a", "b")


@pytest.mark.skipif(sys.platform == "darwin", reason="the file system refuses such names")
def test_names_that_are_no_utf8(plant) -> None:
    root = plant(["good.mp4"])
    (root / os.fsdecode(b"caf\xe9.mp4")).touch()
    table = load("folder", root, "all")
    assert [r.id for r in table.records] == ["caf\\xe9.mp4", "good.mp4"]
    assert all(r.path.exists() and r.id.encode() for r in table.records)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open any folder")
def test_a_folder_that_cannot_be_opened_is_said(plant) -> None:
    root = plant(["a.mp4", "locked/b.mp4"])
    (root / "locked").chmod(0)
    try:
        assert "could not open" in load("folder", root, "all").notes[0]
    finally:
        (root / "locked").chmod(0o755)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "it is empty"),
        (["a.txt", "b/c.pdf"], "among 2 other files"),
        (["clips.rar"], "extract them first"),
    ],
)
def test_a_folder_without_video(plant, files: list[str], said: str) -> None:
    root = plant(files)
    with pytest.raises(DatasetError, match=said) as caught:
        load("folder", root)
    assert str(root) in str(caught.value)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "generated"])
def test_a_root_that_does_not_exist(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no folder .*nowhere"):
        load(name, tmp_path / "nowhere")


@pytest.mark.parametrize(("name", "near"), [("ucf-101", "ucf101"), ("HMDB", "hmdb51"), ("kinetics", "kinetics400")])
def test_unknown_names_give_the_nearest(name: str, near: str) -> None:
    with pytest.raises(DatasetError, match=f"did you mean '{near}'"):
        module(name)
    with pytest.raises(DatasetError, match="choose one of ucf101"):
        module("????")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(st.text("ab.%[]$ é\u4e2d", min_size=1, max_size=6).map(lambda s: f"{s}.mp4"), min_size=1, max_size=6)
)
def test_every_video_is_found_whatever_its_name(tmp_path_factory: pytest.TempPathFactory, names: set[str]) -> None:
    root = tmp_path_factory.mktemp("names")
    for name in names:
        (root / name).touch()
    visible = {n for n in names if not n.startswith(".")}
    assert set(scan(root).videos) == visible


def test_without_classes_everything_is_learned_from(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(b"x")
    train, test = (load("folder", tmp_path, split) for split in ("train", "test"))
    assert len(train) == 5
    assert 0 < len(test) < 5
    assert "all 5 videos" in " ".join(train.notes)
    assert "also in the train split" in " ".join(test.notes)
