"""Retrieval by time of day: what it says where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from telltime.metrics import time_retrieval as metrics


def test_midnight_and_the_date_line_are_crossed():
    assert metrics.time_difference([23.75], [0.25, 12.0])[0].tolist() == [0.5, 11.75]
    assert metrics.place_difference([[0, 179.5]], [[0, -179.5]])[0, 0] == pytest.approx(1)
    assert metrics.place_difference([[0, 179.5]], [[0, -179.5]], wrap=False)[0, 0] == pytest.approx(359)


def test_half_an_hour_to_the_minute_counts():
    minutes = np.arange(1440)
    away = metrics.time_difference(minutes / 60, (minutes + 30) % 1440 / 60)
    assert (np.diagonal(away) <= 0.5).all()
    assert ((away <= 0.5).sum(1) == 61).all()


@given(st.integers(0, 2**31), st.integers(1, 12), st.integers(1, 30), st.sampled_from(["l2", "cosine"]))
@settings(max_examples=20, deadline=None)
def test_neighbours_are_those_of_the_whole_matrix(seed, queries, rows, similarity):
    rng = np.random.default_rng(seed)
    query, database = rng.integers(-3, 4, (queries, 4)).astype(np.float32), rng.integers(-3, 4, (rows, 4)) + 0.5
    out = rng.random((queries, rows)) < 0.3
    found = metrics.neighbours(query, database, 7, similarity, out, block=5)
    left, right = query.astype(np.float64), database
    away = ((left[:, None] - right[None]) ** 2).sum(2)
    if similarity == "cosine":
        left, right = (v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (left, right))
        away = 2 - 2 * left @ right.T
    away[out] = np.inf
    best = np.sort(away, 1)[:, :7]
    np.testing.assert_allclose(found.distances, best, atol=1e-4)
    for row, (indices, values) in enumerate(zip(found.indices, best, strict=True)):
        kept = indices[indices >= 0]
        assert len(kept) == np.isfinite(values).sum()
        assert len(set(kept.tolist())) == len(kept)
        assert not out[row, kept].any()


def test_recall_and_its_published_reading():
    hits = np.array([[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1]], bool)
    assert metrics.first_places(hits).tolist() == [2, 5, 1, 4]
    assert metrics.recall(hits, (1, 2, 4)) == {1: 0.25, 2: 0.5, 4: 0.75}
    read = metrics.published_recall(hits, (1, 2, 4))
    assert read[1] == 0.25
    assert read[2] == pytest.approx((0.75 + 1) / 4)
    assert read[4] < metrics.recall(hits, (4,))[4]


def test_chance():
    right = np.zeros((3, 10), bool)
    right[0, :5] = right[1, 0] = True
    found = metrics.chance_recall(right, (1, 2))
    assert found[1] == pytest.approx((0.5 + 0.1) / 2)
    assert found[2] == pytest.approx((0.75 + 0.19) / 2)
    assert np.isnan(metrics.chance_recall(right[2:], (1,))[1])


@given(st.integers(0, 2**31), st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_average_precision_of_whole_rankings(seed, rows):
    rng = np.random.default_rng(seed)
    away, right = rng.permutation(rows)[None] / 7, rng.random((1, rows)) < 0.4
    found = metrics.average_precisions(away, right)[0]
    if right.any():
        assert found == pytest.approx(average_precision_score(right[0], -away[0]))
    else:
        assert np.isnan(found)


def test_equal_distances_do_not_flatter():
    assert metrics.average_precisions([[1.0, 1.0]], [[True, False]])[0] == 0.5
    assert metrics.average_precisions([[1.0, 1.0, np.inf]], [[True, True, True]])[0] == 1.0


def test_intervals_hold_the_mean():
    values = np.array([0.0, 1, 1, 0, 1, 1, np.nan])
    low, high = metrics.interval(values)
    assert 0 <= low < 4 / 6 < high <= 1
    assert np.isnan(metrics.interval([np.nan])[0])


def test_what_does_not_fit_is_refused():
    ones = np.ones((2, 3))
    with pytest.raises(ValueError, match="3 numbers and the database 4"):
        metrics.neighbours(ones, np.ones((2, 4)))
    with pytest.raises(ValueError, match="not finite"):
        metrics.neighbours(ones, ones * np.nan)
    with pytest.raises(ValueError, match="one of l2, cosine"):
        metrics.neighbours(ones, ones, similarity="dot")
    with pytest.raises(ValueError, match=r"\[N, D\]"):
        metrics.neighbours(ones, np.ones(3))
