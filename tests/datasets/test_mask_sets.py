"""Published data sets with masks, in the layouts their authors document."""

import json
from pathlib import Path

import numpy as np
import pytest
from mask_files import fingerprint, frames, mask

from telltime.clips.masks import annotated, labels_at_first, labels_present, read_labels
from telltime.datasets import DatasetError, load
from telltime.datasets.coco_stuff import GROUPS as STUFF
from telltime.datasets.coco_things import GROUPS as THINGS
from telltime.datasets.doctor import check


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    root = tmp_path / "DAVIS"
    for name, objects in {"bear": [1], "dogs": [1, 2], "ice": [1, 2, 3]}.items():
        frames(root / "JPEGImages/480p" / name)
        for i in range(3):
            mask(root / f"Annotations/480p/{name}/{i:05d}.png", objects)
            mask(root / f"Annotations_2016/480p/{name}/{i:05d}.png", [255], grey=True)
    lists = root / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("bear\r\ndogs\n\n")
    (lists / "val.txt").write_text("ice\nlost\n")
    pairs = "".join(f"/JPEGImages/480p/bear/{i:05d}.jpg /Annotations/480p/bear/{i:05d}.png\n" for i in range(3))
    (root / "ImageSets/480p").mkdir()
    (root / "ImageSets/480p/val.txt").write_text(pairs)
    return root


@pytest.mark.parametrize("above", [False, True])
def test_davis_2017(davis: Path, above: bool) -> None:
    root = davis.parent if above else davis
    train, test = load("davis", root), load("davis", root, "test")
    assert [r.id for r in train.records] == ["bear", "dogs"]
    assert test.missing == ("lost",)
    assert annotated(test.records[0]) == [0, 1, 2]
    assert labels_present(labels_at_first(test.records[0])) == [1, 2, 3]
    assert len(load("davis", root, "val")) == 1
    assert [r.id for r in load("davis", root, "all").records] == ["bear", "dogs", "ice"]


def test_davis_2016_has_one_object_and_no_void(davis: Path) -> None:
    table = load("davis2016", davis, "test")
    assert [r.id for r in table.records] == ["bear"]
    assert np.unique(labels_at_first(table.records[0])).tolist() == [0, 1]
    merged = load("davis2016", davis, "all", annotation=davis / "Annotations/480p")
    assert [labels_present(labels_at_first(r)) for r in merged.records] == [[1]]


def test_masks_of_0_and_255_are_told_by_what_they_hold(davis: Path) -> None:
    table = load("davis", davis, "all", annotation=davis / "Annotations_2016/480p")
    assert [np.unique(labels_at_first(r)).tolist() for r in table.records] == [[0, 1]] * 3
    mask(davis / "Annotations/480p/ice/00001.png", [1, 255])
    void = load("davis", davis, "test").records[0]
    assert np.unique(read_labels(void, [1])).tolist() == [0, 1, 255]


def test_davis_without_lists_or_masks(davis: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no list 2017/test-dev\.txt"):
        load("davis", davis, "test-dev")
    with pytest.raises(DatasetError, match="no folder JPEGImages"):
        load("davis", tmp_path / "DAVIS" / "ImageSets")
    for path in (davis / "Annotations/480p/dogs").iterdir():
        path.unlink()
    mask(davis / "Annotations/480p/bear/00007.png")
    table = load("davis", davis)
    assert table.records[1].masks is None
    assert any("1 video without a mask, e.g. dogs" in note for note in table.notes)
    assert any("1 mask of no frame not used, e.g. bear/00007.png" in note for note in table.notes)
    with pytest.raises(DatasetError, match="dogs: frame 0 has no mask; none of its frames has one"):
        read_labels(table.records[1], [0])


@pytest.fixture
def ytvos(tmp_path: Path) -> Path:
    """Object 1 is of category 3 where object 3 exists: renaming in place would rename it twice."""
    root = tmp_path / "ytvos"
    videos = {"train": {"0a": {1: "sheep", 3: "ape"}, "0b": {1: "dog"}}, "valid": {"0c": {1: "cat", 2: "cat"}}}
    for half, of in videos.items():
        for video, objects in of.items():
            frames(root / half / "JPEGImages" / video, names=["00000.jpg", "00005.jpg", "00010.jpg"])
            mask(root / half / f"Annotations/{video}/00000.png", objects)
            mask(root / half / f"Annotations/{video}/00010.png", [*objects, 9])
        told = {v: {"objects": {str(n): {"category": c} for n, c in o.items()}} for v, o in of.items()}
        (root / half / "meta.json").write_text(json.dumps({"videos": told}))
    return root


def test_youtube_vos_by_object_and_by_category(ytvos: Path) -> None:
    plain = load("youtube-vos", ytvos)
    assert [r.id for r in plain.records] == ["0a", "0b"]
    assert annotated(plain.records[0]) == [0, 2]
    assert labels_present(labels_at_first(plain.records[0])) == [1, 3]
    told = load("youtube-vos", ytvos, annotation="classes")
    assert told.classes == ("background", "ape", "cat", "dog", "sheep")
    labels = read_labels(told.records[0], [0, 2])
    assert (labels[0, 0, :5] == [0, 4, 4, 1, 1]).all()
    assert (labels[1, 0, 5:7] == 255).all()  # object 9 has no category
    again = told.records[0].masks.instances()
    assert (again.meaning, again.objects) == (plain.records[0].masks.meaning, "instances")
    valid = load("youtube-vos", ytvos, "test", annotation="classes")
    assert labels_present(labels_at_first(valid.records[0])) == [2]
    assert len(load("youtube-vos", ytvos, "all")) == 3
    assert len(load("youtube-vos", ytvos / "train")) == 2


def test_youtube_vos_is_left_byte_for_byte_as_it_was(ytvos: Path) -> None:
    before = fingerprint(ytvos)
    for name, kind in (("youtube-vos", "classes"), ("youtube-vos", None), ("mose", None), ("folder", None)):
        for split in ("train", "test", "all"):
            for record in load(name, ytvos, split, annotation=kind).records:
                assert read_labels(record, annotated(record)).shape[1:] == (12, 16)
    for name in ("youtube-vos", "mose", "masked", "davis"):
        check(name, ytvos)
    assert fingerprint(ytvos) == before


def test_youtube_vos_without_categories(ytvos: Path) -> None:
    (ytvos / "train/meta.json").write_text('{"videos": {"0a": {"objects": {"1": {}}}}}')
    with pytest.raises(DatasetError, match=r"meta\.json has no 'category'"):
        load("youtube-vos", ytvos, annotation="classes")
    (ytvos / "train/meta.json").unlink()
    with pytest.raises(DatasetError, match=r"no meta\.json"):
        load("youtube-vos", ytvos, annotation="classes")
    with pytest.raises(DatasetError, match="instances or classes"):
        load("youtube-vos", ytvos, annotation="kinds")
    assert len(load("youtube-vos", ytvos)) == 2


def test_mose_and_a_half_that_is_not_there(ytvos: Path) -> None:
    assert [r.id for r in load("mose", ytvos, "valid").records] == ["0c"]
    for path in sorted((ytvos / "valid").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DatasetError, match="no folder valid"):
        load("mose", ytvos, "test")
    assert check("mose", ytvos)["ok"] is True


@pytest.mark.parametrize(("pictures", "lists"), [("images", "sets"), ("JPEGImages", "ImageSets/Segmentation")])
def test_voc(tmp_path: Path, pictures: str, lists: str) -> None:
    for i in range(4):
        frames(tmp_path / pictures, names=[f"2007_{i}.jpg"])
        mask(tmp_path / f"SegmentationClassAug/2007_{i}.png", [15])
        if i != 2:
            mask(tmp_path / f"SegmentationClass/2007_{i}.png", [15, 255])
    (tmp_path / lists).mkdir(parents=True)
    for name, rows in {"train": "2007_0\n", "trainaug": "2007_0\n2007_2\n", "val": "2007_3\n2007_9\n"}.items():
        (tmp_path / lists / f"{name}.txt").write_text(rows)
    train, val = load("voc", tmp_path), load("voc", tmp_path, "test")
    assert [r.id for r in train.records] == ["2007_0", "2007_2"]
    assert [r.id for r in load("voc", tmp_path, "train-plain").records] == ["2007_0"]
    assert (val.missing, val.classes[15]) == (("2007_9",), "person")
    assert np.unique(labels_at_first(train.records[0])).tolist() == [0, 15]
    assert np.unique(labels_at_first(val.records[0], (5, 7))).tolist() == [0, 15, 255]
    report = check("voc", tmp_path)
    assert (report["videos"], report["masks"]["files"], report["masks"]["void"]) == (3, 3, 1)


def test_coco_by_super_class(tmp_path: Path) -> None:
    assert sorted(n for ids in THINGS.values() for n in ids) == list(range(1, 92))
    assert sorted(n for ids in STUFF.values() for n in ids) == list(range(92, 183))
    for year in ("train2017", "val2017"):
        frames(tmp_path / "images" / year, names=["000000000009.jpg", "000000000025.jpg"])
        mask(tmp_path / f"stuffthingmaps/{year}/000000000009.png", [0, 17, 123, 156, 255])
    mask(tmp_path / "annotations/stuff_annotations/stuff_val2017_pixelmaps/000000000009.png", [124, 183])
    things, stuff = (load(f"coco-{kind}", tmp_path, "test") for kind in ("things", "stuff"))
    assert (len(things.classes), len(stuff.classes), len(things), len(stuff)) == (12, 15, 1, 1)
    seen = labels_at_first(things.records[0])[0, 1:11:2]
    assert [things.classes[n] if n < 255 else "" for n in seen] == ["person", "animal", "", "", ""]
    seen = labels_at_first(stuff.records[0])[0, 1:11:2]
    assert [stuff.classes[n] if n < 255 else "" for n in seen] == ["", "", "plant", "sky", ""]
    for path in (tmp_path / "stuffthingmaps/val2017").iterdir():
        path.unlink()
    (tmp_path / "stuffthingmaps/val2017").rmdir()
    seen = labels_at_first(load("coco-stuff", tmp_path, "test").records[0])[0, 1:5:2]
    assert [stuff.classes[n] if n < 255 else "" for n in seen] == ["plant", ""]
    with pytest.raises(DatasetError, match="stuffthingmaps/val2017"):
        load("coco-things", tmp_path, "test")
