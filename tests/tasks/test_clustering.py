"""Clusters of colours are the labels; what cannot be told from colours is not found."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from dense_toys import ColourEncoder, painted, pictures, videos
from telltime.clips.policy import BadMedia
from telltime.datasets.masks import Masks
from telltime.datasets.record import DatasetError, Record
from telltime.tasks.clustering import Settings, clustering, settings_of
from telltime.tasks.measuring import Reading

SMALL = {"size": 64, "masks": 32, "restarts": 12, "iterations": 10, "components": 2}


@pytest.mark.parametrize("per", ["frame", "clip", "dataset"])
def test_what_colours_tell_is_found(tmp_path, per):
    result = clustering(ColourEncoder(), videos(tmp_path), settings_of("clustering", per=per, smooth=False, **SMALL))
    assert result.metrics["miou"] == result.metrics["miou_foreground"] == 1.0
    assert result.metrics["clusters"] == 3.0
    assert result.model["input"] == "64x64"
    assert result.data["annotated_frames"] == 15
    shown = result.details["segmented"]
    assert [one["id"] for one in shown] == ["v0", "v1", "v2"]
    for one in shown:
        np.testing.assert_array_equal(one["predicted"], one["truth"])


@pytest.mark.parametrize("task", ["clustering", "overclustering"])
def test_pictures_of_classes(tmp_path, task):
    k = 8 if task == "overclustering" else None
    how = settings_of(task, "leopart", k=k, **SMALL | {"seeds": 2})
    result = clustering(ColourEncoder(), pictures(tmp_path), how, task=task, preset="leopart")
    assert result.metrics["miou"] == 1.0
    assert result.metrics["miou_std"] == 0.0
    assert result.details["per_class"] == {"background": 1.0, "red": 1.0, "green": 1.0}
    assert result.details["things"] == "picture"
    assert result.task == task
    assert not result.details["notes"]


def test_smooth_features_blur_edges_only(tmp_path):
    result = clustering(ColourEncoder(), videos(tmp_path), settings_of("clustering", **SMALL))
    assert 0.6 < result.metrics["miou"] < 1


def test_the_same_run_twice_is_the_same(tmp_path):
    table, how = videos(tmp_path, 3, 8), settings_of("clustering", frames=2, **SMALL)
    first, second = (clustering(ColourEncoder(), table, how).metrics for _ in range(2))
    assert first == second


def test_void_counts_as_published_only(tmp_path):
    table = videos(tmp_path, 2, 2, void=True)
    ours = clustering(ColourEncoder(), table, settings_of("clustering", smooth=False, **SMALL))
    theirs = clustering(ColourEncoder(), table, settings_of("clustering", "published", smooth=False, **SMALL))
    assert (ours.metrics["clusters"], theirs.metrics["clusters"]) == (3, 4)
    assert ours.metrics["miou"] == 1.0
    assert "As published, void counts as a label." in theirs.details["notes"]


def test_published_means_of_groups(tmp_path):
    """Four clips, three of which colours tell: alone in its group the fourth counts as much as the others together."""
    table = videos(tmp_path, 4, 2)
    for t in range(2):
        painted(tmp_path, f"v3/{t:05d}", np.zeros((64, 64), np.uint8))  # the picture of other labels: noise to learn
    flat = np.kron(np.array([[0, 1], [2, 1]], np.uint8), np.ones((32, 32), np.uint8))
    files = {t: painted(tmp_path / "x", f"v3/{t:05d}", flat)[1] for t in range(2)}
    wrong = replace(table.records[3], masks=Masks(files))
    table = replace(table, records=(*table.records[:3], wrong))
    how = settings_of("clustering", group=3, smooth=False, **SMALL)
    plain = clustering(ColourEncoder(), table, how).metrics["miou"]
    grouped = clustering(ColourEncoder(), table, replace(how, by_group=True)).metrics["miou"]
    last = 4 * plain - 3
    assert last < 0.5
    assert grouped == pytest.approx((1 + last) / 2)


def test_frames_of_one_label_and_of_void_alone(tmp_path):
    empty = painted(tmp_path, "e/00000", np.zeros((64, 64), np.uint8))[1]
    void = painted(tmp_path, "e/00001", np.full((64, 64), 255, np.uint8))[1]
    record = Record("e", tmp_path / "pictures/e", masks=Masks({0: empty, 1: void}))
    table = replace(videos(tmp_path, 1, 2), records=(record,))
    result = clustering(ColourEncoder(), table, settings_of("clustering", per="frame", **SMALL))
    assert result.metrics == {"miou": 1.0, "clusters": 1.0}
    notes = " ".join(result.details["notes"])
    assert "1 of 1 frames hold a single label" in notes
    assert "1 frames are all void" in notes


def test_objects_of_videos_are_no_classes(tmp_path):
    result = clustering(ColourEncoder(), videos(tmp_path, 2, 2), settings_of("clustering", per="dataset", **SMALL))
    assert any("read the score per clip" in note for note in result.details["notes"])
    assert set(result.details["per_class"]) == {"background", "object 1", "object 2"}


def test_nothing_to_measure_by(tmp_path):
    table = videos(tmp_path, 2, 2)
    bare = replace(table, records=tuple(replace(record, masks=None) for record in table.records))
    with pytest.raises(DatasetError, match="has masks"):
        clustering(ColourEncoder(), bare, Settings(**SMALL))
    for path in (tmp_path / "pictures").rglob("*.png"):
        path.write_bytes(b"")
    for per in ("clip", "dataset"):
        reading = Reading(policy=BadMedia("skip", max_share=1))
        with pytest.raises(DatasetError, match="could be read"):
            clustering(ColourEncoder(), table, Settings(per=per, **SMALL), reading)


def test_settings_by_name():
    assert settings_of("overclustering").k == 500
    assert settings_of("overclustering", per="frame").k == 10
    assert settings_of("overclustering", per="clip", k=7, matching="iou").matching == "iou"
    assert settings_of("clustering", "leopart").seeds == 5
    assert not settings_of("clustering", "published", per="dataset").void_counts
    with pytest.raises(ValueError, match="preset is one of"):
        settings_of("clustering", "best")
    with pytest.raises(ValueError, match="per is one of"):
        settings_of("clustering", per="video")
    with pytest.raises(ValueError, match="matching is one of"):
        settings_of("clustering", matching="none")
