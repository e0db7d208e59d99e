"""Something-Something V2 as people have it on disk, and labels that a mirror would make wrong."""

import json

import pytest

from telltime.datasets import DatasetError, load, something
from telltime.datasets.mirrors import sided

LABELS = {"Holding something": "0", "Pushing something from left to right": "2", "Putting something upright": "1"}


def entry(name, template):
    return {"id": name, "label": template.replace("[something]", "a cup"), "template": template, "placeholders": ["a"]}


TRAIN = [
    entry("74225", "Pushing [something] from left to right"),
    entry("3", "Holding [something]"),
    entry("90", "Putting [something] upright"),
]
TEST = [entry("12", "Holding [something]")]


def lists(prefix="something-something-v2-", where=""):
    files = {"labels": LABELS, "train": TRAIN, "validation": TEST}
    return {f"{where}{prefix}{name}.json": json.dumps(told) for name, told in files.items()}


@pytest.mark.parametrize("prefix", ["something-something-v2-", ""])
@pytest.mark.parametrize("where", ["", "annotations/"])
@pytest.mark.parametrize("videos", ["20bn-something-something-v2/{}.webm", "{}.mp4", "train/{}.webm"])
def test_layouts(plant, prefix, where, videos):
    root = plant([videos.format(name) for name in (74225, 3, 12)])
    plant(lists(prefix, where))
    table = load("something", root)
    assert table.classes == ("Holding something", "Putting something upright", "Pushing something from left to right")
    assert [(r.id, r.label, r.mirrors) for r in table.records] == [("74225", 2, False), ("3", 0, True)]
    assert table.missing == ("90",)
    assert (table.published, load("something", root, "all").published) == (168913, 193690)
    for split in ("test", "val"):
        assert [(r.id, r.label) for r in load("something", root, split).records] == [("12", 0)]


def test_lists_elsewhere(plant):
    root = plant(["v/3.webm"])
    folder = plant(lists(), root="lists")
    with pytest.raises(DatasetError, match="name their folder with --annotation"):
        load("something", root)
    for annotation in (folder, folder / "something-something-v2-train.json"):
        assert len(load("something", root, annotation=annotation)) == 1


def test_nothing_of_the_split_is_there(plant):
    root = plant(lists())
    with pytest.raises(DatasetError, match=r"none of the 3 videos listed for split 'train'.*first one is 74225"):
        load("something", root)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("labels", "{", "not valid JSON"),
        ("labels", "[1]", "templates and their numbers"),
        ("labels", '{"a": "0", "b": "2"}', "without gaps"),
        ("train", '{"a": 1}', "list of objects with id, label and template"),
        ("train", '[{"id": "3"}]', "list of objects with id, label and template"),
        ("train", "[]", "list of objects"),
        ("train", json.dumps([entry("3", "Throwing [something]")]), r"'Throwing \[something\]' of video 3 is not"),
    ],
)
def test_lists_that_do_not_read(plant, name, text, said):
    root = plant(["3.webm"])
    plant(lists("") | {f"{name}.json": text})
    with pytest.raises(DatasetError, match=rf"{name}\.json.*{said}"):
        load("something", root)


def test_a_list_is_absent(plant):
    root = plant(["3.webm"])
    plant({name: text for name, text in lists().items() if "validation" not in name})
    assert len(load("something", root)) == 1
    with pytest.raises(DatasetError, match=r"no .*something-something-v2-validation\.json nor validation\.json"):
        something.load(root, "test")


def test_class_names_that_tell_left_from_right():
    for name in ("Turning the camera right", "turn_left", "TurnLeft", "Rotating something clockwise", "LEFT hook"):
        assert sided(name)
    for name in ("Putting something upright", "brightness", "leftover", "CleanAndJerk", "Archery", ""):
        assert not sided(name)


def test_folders_named_for_a_side_are_not_mirrored(plant):
    root = plant(["turn left/a.mp4", "turn left/b.mp4", "jump/a.mp4", "jump/b.mp4"])
    told = {r.id.split("/")[0]: r.mirrors for r in load("folder", root, "all").records}
    assert told == {"turn left": False, "jump": True}
