"""Index files of scenes: their layouts, their traps, and what is wrong with them said by name."""

import json
from pathlib import Path

import pytest

from telltime.datasets import DatasetError, doctor, load


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"video")


def write(root: Path, **files) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (root / f"{name}.json").write_text(json.dumps(content))


@pytest.fixture
def yup(tmp_path):
    rows = {
        "train": [{"path": f"./moving/Beach/Beach_{i}.mp4", "label": "Beach"} for i in range(3)]
        + [{"path": "./static/Rain/Rain.v2..mp4", "label": "Rain"}],
        "val": [{"path": "./moving/Beach/Beach_7.mp4", "label": "Beach"}],
        "test": {"a": {"path": "static/Rain/Rain_9.mp4", "label": "Rain"}},
    }
    for part, listed in rows.items():
        write(tmp_path, **{f"yup_{part}_data": listed})
        put(tmp_path, *[row["path"] for row in (listed.values() if isinstance(listed, dict) else listed)])
    return tmp_path


def test_yup_reads_lists_and_objects_and_keeps_dots_in_names(yup):
    train = load("yup", yup, "train")
    assert train.classes == ("Beach", "Rain")
    assert [record.id for record in train.records][-1] == "static/Rain/Rain.v2..mp4"
    assert train.labels().tolist() == [0, 0, 0, 1]
    assert load("yup", yup, "test").labels().tolist() == [1]
    assert len(load("yup", yup, "val")) == 1
    assert len(load("yup", yup, "all")) == 6
    assert doctor.check("yup", yup, decode=False)["ok"]


def test_videos_that_moved_are_found_and_absent_ones_named(yup):
    (yup / "moving" / "Beach").rename(yup / "Beach")
    (yup / "Beach" / "Beach_1.mp4").unlink()
    (yup / "Beach" / "Beach_2.mp4").rename(yup / "Beach" / "Beach_2.avi")
    train = load("yup", yup, "train")
    assert train.missing == ("moving/Beach/Beach_1.mp4",)
    assert len(train) == 3


def test_index_files_elsewhere_and_videos_in_two_splits(yup, tmp_path):
    lists = tmp_path / "lists"
    for part in ("train", "test"):
        write(lists, **{part: [{"path": "./moving/Beach/Beach_0.mp4", "label": "Beach"}] * 2})
    table = load("yup", yup, "train", annotation=lists / "train.json")
    assert len(table) == 1
    assert any("in both the train and the test index" in note for note in table.notes)
    assert any("1 entries repeat" in note for note in table.notes)


def test_hollywood_takes_the_first_scene_that_is_marked(tmp_path):
    rows = [
        {"path": "clip1", "label": {"EXT-House": 0, "EXT-Road": 1, "INT-Car": 1}},
        {"path": "clip2.avi", "label": {"EXT-House": 1}},
        {"path": "clip3", "label": {"EXT-House": 0}},
    ]
    write(tmp_path, hollywood2_train_data=rows, hollywood2_test_data=rows[1:2])
    put(tmp_path, "AVIClipsScenes/clip1.avi", "AVIClipsScenes/clip2.avi", "AVIClipsScenes/clip3.avi")
    table = load("hollywood2", tmp_path, "train")
    assert table.classes == ("EXT-House", "EXT-Road")
    assert table.labels().tolist() == [1, 0]
    assert any("1 videos have several classes" in note for note in table.notes)
    assert any("1 videos of the index have no class" in note for note in table.notes)


def test_both_views_of_360x(tmp_path):
    rows = [
        {"video_name": name, "category": scene, "weather": "sunny"} for name, scene in (("a", "Urban"), ("b", "Bar"))
    ]
    write(tmp_path, train=rows, test=rows[:1], index={"Urban": {"label": 0}, "Bar": {"label": 1}})
    put(tmp_path, *(f"{view}/{row['video_name']}.mp4" for view in ("third_person", "panoramic") for row in rows))
    table = load("360x", tmp_path, "train")
    assert table.classes == ("Urban", "Bar")
    assert {record.path.parent.name for record in table.records} == {"third_person"}
    other = load("360x", tmp_path / "panoramic", "train", annotation=tmp_path)
    assert {record.path.parent.name for record in other.records} == {"panoramic"}
    assert len(load("360x", tmp_path / "panoramic", "test")) == 1
    with pytest.raises(DatasetError, match="no index of its val split"):
        load("360x", tmp_path, "val")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1, 2]", "no list of objects"),
        ("{", "is not JSON"),
        ('[{"path": "a.mp4"}]', "entry 0: expected 'label'"),
        ('[{"path": "a.mp4", "label": "x"}, {"label": "x"}]', "entry 1: expected 'path'"),
    ],
)
def test_what_is_wrong_with_an_index_is_said(tmp_path, content, said):
    (tmp_path / "yup_train_data.json").write_text(content)
    with pytest.raises(DatasetError, match=said) as told:
        load("yup", tmp_path, "train")
    assert "yup_train_data.json" in str(told.value)


def test_an_index_names_nothing_outside_its_folder(tmp_path):
    root = tmp_path / "root"
    write(root, train=[{"path": "../secret.mp4", "label": "x"}])
    put(tmp_path, "secret.mp4")
    with pytest.raises(DatasetError, match="none of the 1 videos"):
        load("yup", root, "train")


def test_labels_that_are_not_numbered_are_refused(tmp_path):
    write(tmp_path, train=[{"video_name": "a", "category": "Zoo"}], index={"Bar": {"label": 0}})
    with pytest.raises(DatasetError, match="'Zoo'"):
        load("360x", tmp_path, "train")
    write(tmp_path, index={"Bar": {"label": 3}})
    with pytest.raises(DatasetError, match="run from 0"):
        load("360x", tmp_path, "train")
