import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from telltime.clips.policy import BadMedia
from telltime.clips.source import Source, Terms
from telltime.datasets import load
from telltime.datasets.generated_photos import generate_photos
from telltime.datasets.record import DatasetError
from telltime.features.photo_source import PhotoSource, drawn, fold_numbers, statistics
from telltime.features.store import StoreError
from telltime.methods.ticl import TICL
from telltime.metrics import circular

TINY = {"model": "test_efficientnet@random", "size": 32}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return generate_photos(tmp_path_factory.mktemp("photos") / "made", 30, days=6, places=2, size=(48, 64), threads=1)


def terms(photos, folder, **more):
    table = load("photos", photos, "all")
    given = {"batch_size": 8, "seed": 0, "drop_last": False, "workers": 0, "policy": BadMedia("skip", None, 0.5)}
    return Terms(table, Path(folder), device=torch.device("cpu"), **{**given, **more})


def test_it_is_a_source_and_tells_its_size(photos, tmp_path):
    source = PhotoSource(**TINY, folds=3, views=1)
    assert isinstance(source, Source)
    method = TICL(source, head="soft")
    assert method.dim == source.dim
    assert len(method.others) == 3
    opened = source.open(terms(photos, tmp_path))
    assert opened.videos == 30
    batches = list(opened.loader.epoch(0))
    assert sum(len(batch["hours"]) for batch in batches) == 60, "every photo and an altered version"
    features = torch.cat([batch["features"] for batch in batches])
    assert features.abs().max() <= 2.5
    table = load("photos", photos, "all")
    assert sorted(torch.cat([b["hours"] for b in batches]).tolist()) == sorted([*table.hours(), *table.hours()])
    assert {int(batch["photos"][0]) for batch in batches} == {30}


def test_photos_are_looked_at_once(photos, tmp_path, monkeypatch):
    source = PhotoSource(**TINY, cache=str(tmp_path / "cache"))
    first = source.open(terms(photos, tmp_path / "one"))
    monkeypatch.setattr("telltime.features.photos.read_image", lambda *a: pytest.fail("a photo is read again"))
    again = source.open(terms(photos, tmp_path / "two"))
    for a, b in zip(first.loader.epoch(0), again.loader.epoch(0), strict=True):
        assert torch.equal(a["features"], b["features"])
    with pytest.raises(StoreError, match="profile"):
        PhotoSource(**TINY, profile="clip", cache=str(tmp_path / "cache")).open(terms(photos, tmp_path / "three"))


def test_photos_without_a_time_are_told_and_left_out(photos, tmp_path):
    from PIL import Image

    folder = tmp_path / "some"
    shutil.copytree(photos / "photos", folder)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "plain.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    said: list[str] = []
    opened = PhotoSource(**TINY).open(terms(folder, tmp_path / "run", say=said.append))
    assert opened.videos == 30
    assert any("1 of 31 photos tell no time" in line for line in said)
    for name in [path.name for path in folder.glob("*.jpg")]:
        (folder / name).unlink()
    with pytest.raises(DatasetError, match="too few"):
        PhotoSource(**TINY).open(terms(folder, tmp_path / "none"))


@pytest.mark.parametrize(
    "wrong", [{"folds": 1}, {"validation": 1.0}, {"least_steps": 0}, {"views": -1}, {"calibrate": True}]
)
def test_impossible_settings(wrong):
    with pytest.raises(ValueError, match="folds"):
        PhotoSource(**wrong)


def test_groups_stay_whole():
    groups = [f"day {number // 7}" for number in range(70)]
    folds = fold_numbers(groups, 3)
    assert len({(g, f) for g, f in zip(groups, folds, strict=True)}) == 10
    assert np.bincount(folds).min() >= 21
    aside = drawn(groups, 0.2)
    assert 14 <= aside.sum() <= 21
    assert all(len({bool(a) for g, a in zip(groups, aside, strict=True) if g == name}) == 1 for name in set(groups))
    assert drawn(["one"] * 5, 0.5).sum() == 0
    assert not drawn(groups, 0.0).any()


def test_numbers_that_never_vary_are_not_blown_up():
    features = torch.cat([torch.randn(50, 3), torch.full((50, 1), 7.0)], 1)
    mean, scale = statistics(features)
    assert ((features - mean) / scale).abs().max() < 10


def test_what_was_held_out_calibrates_the_model(photos, tmp_path):
    source = PhotoSource(**TINY, folds=3, calibrate=True)
    torch.manual_seed(0)
    method = TICL(source, head="soft")
    opened = source.open(terms(photos, tmp_path))
    opened.save(tmp_path / "model", method, {"method": "ticl"})
    before = (tmp_path / "model" / "config.json").read_bytes()
    opened.save(tmp_path / "model", method, {"method": "ticl"})
    assert (tmp_path / "model" / "config.json").read_bytes() == before, "no better, so it stays"
    opened.finish()
    from telltime.checkpoints.clock import load_clock

    clock = load_clock(tmp_path / "model", tower=False)
    assert clock.calibration is not None
    assert len(clock.calibration.scores) == 30
    assert len(clock.meta["photos"]) == 30
    assert clock.meta["suns"]
    table = load("photos", photos, "all")
    medians = circular.circular_median(clock.density(torch.zeros(1, clock.dim)).numpy())
    assert 0 <= medians[0] < 24
    assert len(table) == 30
