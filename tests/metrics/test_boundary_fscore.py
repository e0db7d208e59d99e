import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from telltime.metrics.boundary_fscore import bfscore, mean_bfscore, outline


def test_bfscore_meets_the_reference(golden):
    file = golden.npz("timet_bfscore.npz")
    truth, predicted, near = file["gt"] == 0, file["pred"] == 1, int(file["threshold"])
    found = [bfscore(*pair, near) for pair in zip(truth, predicted, strict=True)]
    np.testing.assert_allclose(found, file["scores"], atol=1e-12)
    assert mean_bfscore(truth, predicted, near) == pytest.approx(float(file["overall"]), abs=1e-12)


def followed(mask):
    """How often OpenCV's border following comes by each pixel."""
    passes = np.zeros(mask.shape, dtype=np.int64)
    for border in cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]:
        np.add.at(passes, (border[:, 0, 1], border[:, 0, 0]), 1)
    return passes


@settings(max_examples=60, deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)))
def test_an_outline_is_the_one_that_opencv_follows(mask):
    np.testing.assert_array_equal(outline(mask), followed(mask))


@pytest.mark.parametrize("fill", [0.2, 0.5, 0.8])
def test_large_noise_has_opencvs_outline(fill):
    mask = np.random.default_rng(0).random((97, 64)) < fill
    np.testing.assert_array_equal(outline(mask), followed(mask))


def square(top, left, side=8, size=40):
    mask = np.zeros((size, size), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_equal_outlines_score_one_and_far_ones_count_for_nothing():
    assert bfscore(square(4, 4), square(4, 4), 2) == 1
    assert np.isnan(bfscore(square(0, 0), square(30, 30), 2))


def test_a_pixel_as_far_as_the_threshold_is_not_near():
    one, other = np.zeros((2, 9, 9), dtype=bool)
    one[4, 2], other[4, 5] = True, True
    assert np.isnan(bfscore(one, other, 3))
    assert bfscore(one, other, 3.01) == 1


def test_empty_predictions_and_truths():
    assert bfscore(square(4, 4), np.zeros((40, 40), bool), 2) == 0
    assert bfscore(square(4, 4), np.ones((40, 40), bool), 2) == 0
    assert np.isnan(bfscore(np.zeros((40, 40), bool), square(4, 4), 2))
    nothing = np.zeros((2, 40, 40), bool)
    assert np.isnan(mean_bfscore(nothing, np.stack([square(1, 1)] * 2), 2))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16))
def test_truth_and_prediction_may_change_places(seed):
    one, other = np.random.default_rng(seed).random((2, 20, 20)) < 0.3
    np.testing.assert_allclose(bfscore(one, other, 2), bfscore(other, one, 2))
