"""Telling the time of day: measured on what the model has not learnt, with chance beside it."""

import json

import numpy as np
import pytest
from clocks import clock, photos

from telltime.clips.policy import BadMedia
from telltime.datasets.record import DatasetError, Record, Table
from telltime.media.capture_time import Capture
from telltime.metrics import clock as metrics
from telltime.report.evaluation import write_report
from telltime.tasks.measuring import Reading
from telltime.tasks.time_of_day import time_of_day


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def model(table):
    return clock(table, list(range(0, 60, 2)))


def test_only_photos_it_has_not_learnt_from_count(model, table, tmp_path):
    result = time_of_day(model, table, Reading(cache=tmp_path), name="mine")
    assert result.records == 30
    assert result.data["learnt"] == 30
    assert any("30 photos that the model was trained on" in note for note in result.details["notes"])
    assert {row["id"] for row in result.details["per_photo"]} == {f"{i:03d}.png" for i in range(1, 60, 2)}
    chance = result.details["chance"]
    assert result.metrics["mae_hours"] < 0.5 * chance["mae_hours"]
    assert chance["mae_hours"] == pytest.approx(6, abs=0.7)
    assert result.metrics["top1"] > chance["top1"]
    for key in ("top3", "top5", "median_hours", "within_1h", "ece", "nll", "brier", "coverage_50", "coverage_80"):
        assert np.isfinite(result.metrics[key])
    assert result.details["confusion"].sum() == 30
    assert sum(result.details["by_hour"]["photos"]) == 30
    assert {"phase of daylight", "month", "camera"} <= set(result.details["slices"])
    assert "night" in result.details["slices"]["phase of daylight"]
    page = write_report(result, tmp_path).read_text()
    assert "Telling the time of day" in page
    assert "Photos told most wrongly" in page
    assert "30 photos measured" in page
    assert "video" not in page.partition("<body>")[2].replace("video-retrieval", "")
    assert json.loads(result.write(tmp_path).read_text())["metrics"]["top1"] == result.metrics["top1"]


def test_the_published_numbers_beside_it(model, table):
    result = time_of_day(model, table, drop_last=8)
    assert "24 of 30 photos, in full batches of 8" in " ".join(result.details["notes"])
    kept = result.details["per_photo"][:24]
    assert result.metrics["published_mae_hours"] >= 0
    rows = [int(row["id"][:3]) for row in kept]
    part = table.take(rows)
    again = time_of_day(model, part, drop_last=24)
    for key in ("published_top1", "published_top5", "published_mae_hours"):
        assert again.metrics[key] == pytest.approx(result.metrics[key])
    with pytest.raises(DatasetError, match="fill no batch of 31"):
        time_of_day(model, table, drop_last=31)


def test_the_median_beats_the_middle_of_the_best_class(model, table):
    result = time_of_day(model, table, drop_last=1)
    assert result.metrics["mae_hours"] <= result.metrics["published_mae_hours"] + 0.1
    shares = {key: value for key, value in result.metrics.items() if key.startswith(("top", "within", "coverage"))}
    assert all(0 <= value <= 1 for value in shares.values())


def test_a_model_without_calibration_is_said_to_promise_nothing(table):
    result = time_of_day(clock(table, list(range(30)), calibrate=False), table)
    assert any("not calibrated" in note for note in result.details["notes"])


def test_nothing_left_is_one_sentence_that_says_why(model, table, tmp_path):
    with pytest.raises(DatasetError, match="30 are photos the model was trained on"):
        time_of_day(model, table.take(range(0, 60, 2)))
    untold = Table("photos", "all", tmp_path, records=(Record("a", table.records[0].path, capture=Capture()),))
    with pytest.raises(DatasetError, match="1 tell no time"):
        time_of_day(model, untold)
    (tmp_path / "bad.jpg").write_text("no picture")
    bad = Table(
        "photos", "all", tmp_path, records=(Record("b", tmp_path / "bad.jpg", capture=table.records[0].capture),)
    )
    with pytest.raises(DatasetError, match="1 cannot be read"):
        time_of_day(model, bad, Reading(policy=BadMedia("skip", max_share=1)))


def test_chance_is_the_best_that_needs_no_photo():
    from telltime.tasks.time_of_day import _chance

    hours = np.concatenate([np.full(60, 14.3), np.full(30, 15.2), [2.0] * 10])
    truth = hours.astype(int)
    chance = _chance(hours, truth)
    assert chance["top1"] == 0.6
    assert chance["top3"] == 1.0
    constants = [metrics.error_scores(np.full(100, c), hours)["mae_hours"] for c in np.arange(0, 24, 0.25)]
    assert chance["mae_hours"] <= min(constants) + 0.1
