"""Scenes from videos on disk: what is computed once, what is left out, and what the result says."""

import json

import pytest
import torch

from telltime.backbones.image_tower import ImageTower
from telltime.backbones.time_heads import CosineHead
from telltime.checkpoints.clock import Clock
from telltime.clips.policy import BadMedia
from telltime.datasets import load
from telltime.datasets.record import DatasetError
from telltime.features.scene_frames import scene_rows
from telltime.features.video_features import read_video_features, stacked
from telltime.report.evaluation import report
from telltime.tasks.measuring import Reading
from telltime.tasks.scenes import SceneModel, scenes


@pytest.fixture(scope="module")
def tower():
    return ImageTower(size=32, stages=[0], cells=[1])


@pytest.fixture(scope="module")
def model(tower):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clock = Clock(CosineHead(24, tower.dim, 8), tower)
    return SceneModel(tower, clock.embed, 8, {"name": "toy", "digest": "0"})


@pytest.fixture(scope="module")
def splits(tiny_ucf):
    return {part: load("ucf101", tiny_ucf, part) for part in ("train", "test")}


def test_the_frozen_probe_tells_what_the_adapter_adds(model, splits, tmp_path):
    how = Reading(cache=tmp_path / "cache", workers=2)
    result = scenes(model, splits, how)
    assert result.metrics["tower_top1"] == 1.0  # each class has its colour
    assert result.metrics["top1_low"] <= result.metrics["top1"] <= result.metrics["top1_high"]
    gain = result.metrics["top1"] - result.metrics["tower_top1"]
    assert result.metrics["adapter_gain"] == pytest.approx(gain)
    assert result.metrics["adapter_gain_low"] <= gain <= result.metrics["adapter_gain_high"]
    assert result.records == 18
    assert any("held-out training groups" in note for note in result.details["notes"])
    json.dumps(result.to_json())
    assert "Archery" in report(result).html()
    again = scenes(model, splits, how)
    assert again.metrics == result.metrics


def test_the_published_program_says_what_it_is(model, splits, tmp_path):
    result = scenes(model, splits, Reading(cache=tmp_path), mode="published", epochs=2)
    assert result.protocol == "published"
    assert {"top1", "top1_last", "best_epoch", "validation_top1", "top1_low"} <= set(result.metrics)
    notes = " ".join(result.details["notes"])
    assert "drawn anew" in notes
    assert "chosen on the test videos" in notes
    assert len(result.details["curves"]["training loss"]) == 2
    with_val = scenes(model, splits | {"val": splits["train"]}, Reading(cache=tmp_path), mode="published", epochs=1)
    assert "chosen on the test videos" not in " ".join(with_val.details["notes"])


def test_features_of_frames_are_computed_once(tower, splits, tmp_path, monkeypatch):
    first = scene_rows(tower, splits["test"], tmp_path)
    assert first.frames.shape == (6, 4, tower.dim)
    turned = scene_rows(tower, splits["test"], tmp_path, mirrored=True)
    assert not torch.equal(turned.frames, first.frames)
    monkeypatch.setattr(tower, "prepare", None)
    torch.testing.assert_close(scene_rows(tower, splits["test"], tmp_path, workers=3).frames, first.frames)


def test_videos_that_cannot_be_read_are_left_out_by_name(model, splits, tmp_path):
    from dataclasses import replace

    bad = tmp_path / "bad.avi"
    bad.write_text("a shopping list")
    records = splits["test"].records
    table = replace(splits["test"], records=(replace(records[0], path=bad), *records[1:]))
    log = tmp_path / "dropped.jsonl"
    how = Reading(policy=BadMedia("skip", log, 0.5))
    result = scenes(model, splits | {"test": table}, how)
    assert result.dropped == 1
    assert json.loads(log.read_text())["id"] == records[0].id
    with pytest.raises(DatasetError, match="not one of 1"):
        scenes(model, splits | {"test": table.take([0])}, Reading(policy=BadMedia("skip", None, 1.0)))


def test_features_of_whole_videos_are_read_from_files(model, splits, tmp_path):
    import h5py

    table = splits["train"]
    with h5py.File(tmp_path / "videomae.h5", "w") as file:
        for part in splits.values():
            for record in part.records:
                file[record.id.rpartition("/")[2].removesuffix(".avi")] = torch.eye(3)[[record.label] * 5].numpy() + 1
    ids = [record.id for part in splits.values() for record in part.records]
    found = read_video_features(tmp_path / "videomae.h5", ids)
    assert len(found) == len(ids)
    assert torch.equal(found[table.records[0].id], torch.eye(3)[table.records[0].label] + 1)
    result = scenes(model, splits, Reading(), video_features=found)
    assert result.metrics["video_top1"] == 1.0
    assert {"frames_top1", "frames_top1_low", "video_top1_high"} <= set(result.metrics)
    lost = dict(found)
    del lost[splits["test"].records[0].id]
    short = scenes(model, splits, Reading(policy=BadMedia("skip")), video_features=lost, mode="published", epochs=1)
    assert short.dropped == 1
    assert short.records == 17


def test_stores_do_as_well_as_hdf5(tmp_path):
    from telltime.features.frame_store import FrameStore
    from telltime.features.store import Store, StoreError

    plain = Store.create(tmp_path / "plain", {"kind": "videomae"})
    plain.add(["a", "b"], ["1", "2"], {"feature": torch.eye(2)})
    assert torch.equal(
        stacked(read_video_features(tmp_path / "plain", ["b", "c", "a"]), ["b", "a"])[0], torch.eye(2).flip(0)
    )
    rows = FrameStore.create(tmp_path / "rows", {"frames": "x"}, "float32")
    rows.add("a", "1", torch.tensor([[1.0, 3.0], [3.0, 5.0]]), torch.arange(2).double().numpy())
    assert torch.equal(read_video_features(tmp_path / "rows", ["a"])["a"], torch.tensor([2.0, 4.0]))
    with pytest.raises(StoreError, match="holds no features"):
        read_video_features(tmp_path / "nothing", ["a"])
    stack, there = stacked({}, ["a"])
    assert len(stack) == 0
    assert not there.any()
