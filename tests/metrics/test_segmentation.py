"""Scores of segmentations from counts of pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from telltime.metrics.segmentation import confusion, localisation, matched_iou, mean_iou

COUNTS = arrays.arrays(np.int64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.integers(0, 30))


def test_a_count_worked_out_by_hand():
    truth = np.array([[0, 0, 1], [1, 255, 2]], dtype=np.uint8)
    clusters = np.array([[3, 3, 0], [3, 1, 0]], dtype=np.uint8)
    np.testing.assert_array_equal(confusion(truth, clusters, 3, 4), [[0, 0, 0, 2], [1, 0, 0, 1], [1, 0, 0, 0]])
    found = matched_iou(confusion(truth, clusters, 256, 4))
    assert found.mapping[[0, 3]].tolist() == [2, 0]
    assert found.iou.tolist() == [2 / 3, 0, 1 / 2]
    assert found.mean == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert matched_iou(confusion(truth, clusters, 256, 4), background=False).mean == pytest.approx(0.25)


def test_batches_add_up():
    rng = np.random.default_rng(0)
    truth, clusters = rng.integers(0, 5, (3, 40, 50)), rng.integers(0, 300, (3, 40, 50)).astype(np.uint16)
    whole = confusion(truth, clusters, 5, 300)
    np.testing.assert_array_equal(whole, sum(confusion(t, c, 5, 300) for t, c in zip(truth, clusters, strict=True)))
    assert whole.sum() == truth.size
    assert whole.dtype == np.int64


def test_more_pixels_than_are_counted_at_a_time():
    truth = np.zeros(2_300_000, dtype=np.uint8)
    truth[-1] = 1
    assert confusion(truth, truth, 2, 2).tolist() == [[2_299_999, 0], [0, 1]]


def test_void_within_and_beyond_the_labels():
    truth, clusters = np.array([0, 1, 2, 255]), np.zeros(4, dtype=np.int64)
    assert confusion(truth, clusters, 3, 1)[:, 0].tolist() == [1, 1, 1]
    assert confusion(truth, clusters, 256, 1)[255].tolist() == [0]
    assert confusion(truth, clusters, 256, 1, void=None)[255].tolist() == [1]
    assert confusion(np.array([0, 1]), np.array([0, 0]), 2, 1, void=0)[:, 0].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("truth", "clusters", "said"),
    [
        (np.array([0, 3]), np.array([0, 0]), "labels are 0 to 2, found 3"),
        (np.array([0, 300]), np.array([0, 0]), "labels are 0 to 2"),
        (np.array([0, -1]), np.array([0, 0]), "labels are 0 to 2"),
        (np.array([0, 1]), np.array([0, 4]), "clusters are 0 to 3"),
        (np.array([0, 1]), np.array([-1, 0]), "clusters are 0 to 3"),
        (np.array([0, 1]), np.array([0]), "different shapes"),
        (np.array([0.0, 1.0]), np.array([0, 1]), "whole numbers"),
    ],
)
def test_what_cannot_be_counted(truth, clusters, said):
    with pytest.raises(ValueError, match=said):
        confusion(truth, clusters, 3, 4)


def test_settings_that_do_not_exist():
    with pytest.raises(ValueError, match="matching is one of"):
        matched_iou(np.ones((2, 2), dtype=np.int64), "greedy")
    with pytest.raises(ValueError, match="whole numbers"):
        matched_iou(np.ones((2, 2)))
    with pytest.raises(ValueError, match="protocol is one of"):
        localisation(np.zeros((1, 1, 2, 2), int), np.zeros((1, 1, 2, 2), int), "video")
    with pytest.raises(ValueError, match="clips are"):
        localisation(np.zeros((1, 2, 2), int), np.zeros((1, 2, 2), int))


def test_all_void_has_no_label():
    found = matched_iou(confusion(np.full((4, 4), 255), np.zeros((4, 4), int), 256, 3))
    assert (found.mean, len(found.labels), found.mapping.tolist()) == (0.0, 0, [0, 0, 0])
    assert mean_iou([np.zeros((3, 2), dtype=np.int64)]) == 0.0


def test_fewer_and_more_clusters_than_labels():
    truth = np.repeat(np.arange(3), 10)
    one = matched_iou(confusion(truth, np.zeros(30, int), 3, 1))
    assert one.mean == pytest.approx(1 / 9)
    many = confusion(truth, np.arange(30), 3, 30)
    assert matched_iou(many, "precision").mean == 1.0
    assert matched_iou(many, "hungarian").mean == pytest.approx((10 / 28 + 1 / 10 + 1 / 10) / 3)


def test_left_over_clusters_go_to_the_first_label_there_is():
    counts = np.zeros((6, 3), dtype=np.int64)
    counts[3, 0], counts[5, 1], counts[5, 2] = 4, 5, 2
    assert matched_iou(counts).mapping.tolist() == [3, 5, 3]


@given(COUNTS)
@settings(max_examples=60, deadline=None)
def test_hungarian_is_the_best_of_all_one_to_one_matchings(counts):
    found = matched_iou(counts)
    met = counts[counts.any(1)]
    if not len(met):
        return
    iou = met / np.maximum(met.sum(1)[:, None] + met.sum(0) - met, 1)
    wide = max(met.shape)
    square = np.zeros((wide, wide))
    square[: iou.shape[0], : iou.shape[1]] = iou
    best = max(sum(square[i, p] for i, p in enumerate(order)) for order in itertools.permutations(range(wide)))
    ours = iou.max(1, where=found.labels[:, None] == found.mapping, initial=0)
    assert ours.sum() >= best - 1e-9


@given(COUNTS, st.sampled_from(["hungarian", "precision", "iou", "none"]))
@settings(max_examples=60, deadline=None)
def test_pixels_are_neither_lost_nor_made(counts, matching):
    found = matched_iou(counts, matching)
    np.testing.assert_array_equal(found.tp + found.fn, counts.sum(1)[found.labels])
    assert ((found.iou >= 0) & (found.iou <= 1)).all()
    if matching != "none":
        assert found.fp.sum() == found.fn.sum()
