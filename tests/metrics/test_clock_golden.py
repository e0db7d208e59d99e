"""Classes of times and scores of the clock against the published code."""

import datetime as dt
from typing import Any

import numpy as np
import pytest

from telltime.metrics import circular, clock


@pytest.mark.golden_files("ticl_metrics_c*.npz")
def test_scores(golden: Any, file: str) -> None:
    stored = golden.npz(file)
    logits, hours = stored["logits"], stored["hours"]
    np.testing.assert_array_equal(circular.classes_of(hours, int(stored["num_classes"])), stored["classes"])
    np.testing.assert_array_equal(logits.argmax(1), stored["predictions"])
    away = circular.distance(clock.class_centres(logits), hours)
    np.testing.assert_allclose(away, stored["errors_hours"], atol=1e-12)
    names = ("top1", "top3", "top5", "mae_hours")
    for suffix, drop in (("", None), ("_drop_last", int(stored["batch_size"]))):
        found = clock.published(logits, hours, drop)
        np.testing.assert_allclose([found[name] for name in names], stored[f"top1_3_5_mae_hours{suffix}"], atol=1e-12)
    found = clock.published(logits, hours)
    assert found["within_half_hour"] == pytest.approx(float(stored["within_half_hour"]), abs=1e-12)


def test_there_are_scores_in_the_set(golden: Any) -> None:
    assert len(list(golden.path(".").glob("ticl_metrics_c*.npz"))) >= 2


def test_classes_of_times(golden: Any) -> None:
    """Where 24 / C is a binary fraction the published float rule and ours agree; elsewhere it misplaces minutes."""
    file = golden.json("ticl_targets.json")
    minutes = []
    for told, hours in zip(file["times"], file["hours"], strict=True):
        moment = dt.datetime.strptime(told.split(".")[0], "%Y-%m-%d %H:%M:%S")
        minutes.append(60 * moment.hour + moment.minute)
        assert circular.minutes_of(hours) == minutes[-1]
    for classes, expected in file["classes"].items():
        count = int(classes)
        published = [int((minute // 60 + minute % 60 / 60) // (24 / count)) for minute in minutes]
        assert published == expected, "the rule as published"
        found = circular.bin_of(np.array(minutes), count)
        if count in (6, 12, 24, 48, 96):
            np.testing.assert_array_equal(found, expected)
        else:
            assert np.abs(found - expected).max() <= 1


def test_published_confusion_matrix_decided_better(golden: Any) -> None:
    """A circular median of the classes' own posterior, fitted on half of the counts and measured on the other half."""
    golden.needs("ticl_published_confusion.json")
    stored = golden.json("ticl_published_confusion.json")
    matrix, published = np.array(stored["actual_rows_predicted_columns"]), stored["time_mae_minutes"]
    middles = circular.centres(len(matrix))
    assert 60 * clock.expected_error(matrix, middles) == pytest.approx(published, abs=0.5)
    even = (matrix / matrix.sum(0)).T
    flat = (circular.expected_error(even, middles) * matrix.sum(0)).sum() / matrix.sum()
    assert 60 * flat == pytest.approx(172, abs=0.5)
    after = []
    for seed in range(20):
        fitted = np.random.default_rng(seed).binomial(matrix, 0.5)
        after.append(60 * clock.expected_error(matrix - fitted, clock.decisions(fitted)))
    assert np.mean(after) <= 148
