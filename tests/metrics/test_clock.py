import numpy as np
import pytest

from telltime.metrics import circular, clock


def test_ties_are_no_hits():
    scores = np.zeros((3, 24))
    assert clock.topk(scores, np.array([0, 5, 23])) == {1: 0.0, 3: 0.0, 5: 0.0}
    with pytest.raises(ValueError, match="no rows"):
        clock.topk(np.zeros((0, 24)), np.zeros(0, int))


def test_fewer_classes_than_k():
    assert clock.published(np.eye(4), np.array([1.0, 7.0, 13.0, 19.0]))["top5"] == 1


def test_rows_of_full_batches():
    assert clock.kept_rows(13_091, 512) == 12_800
    assert clock.kept_rows(13_091, None) == 13_091


def test_everything_right():
    hours = circular.centres(24)
    found = clock.clock_scores(np.eye(24), hours)
    assert found["top1"] == found["macro_top1"] == found["within_1h"] == 1
    assert found["mae_hours"] == pytest.approx(0, abs=1e-9)
    assert found["ece"] == found["brier"] == found["nll"] == 0
    assert found["coverage_80"] == 1


def test_an_even_density_knows_nothing_and_says_so():
    hours = np.linspace(0, 23.9, 240)
    found = clock.clock_scores(np.full((240, 96), 1 / 96), hours)
    assert found["mae_hours"] == pytest.approx(6, abs=0.1)
    assert found["nll"] == pytest.approx(np.log(24))
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.02)
    assert found["ece"] < 0.05


def test_macro_counts_hours_alike():
    assert clock.macro([1, 1, 1, 0], [5, 5, 5, 9]) == 0.5


def test_groups_and_hours():
    estimates, hours = np.array([1.0, 5.0, 23.5]), np.array([1.5, 2.0, 0.5])
    found = clock.by_group(estimates, hours, ["night", "day", "night"])
    assert list(found) == ["night", "day"]
    assert found["night"]["photos"] == 2
    assert found["night"]["mae_hours"] == pytest.approx(0.75)
    table = clock.by_hour(estimates, hours)
    assert table["photos"].sum() == 3
    assert table["mae_hours"][2] == 3
    assert np.isnan(table["mae_hours"][12])
    assert clock.confusion(estimates, hours)[0, 23] == 1


def test_overconfidence_is_a_calibration_error():
    assert clock.calibration_error([0.9] * 10, [1] * 5 + [0] * 5) == pytest.approx(0.4)
    found = clock.reliability([0.1, 0.95, 1.0], [0, 1, 1], bins=10)
    assert found.photos.tolist() == [0, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert found.accuracy[9] == 1
