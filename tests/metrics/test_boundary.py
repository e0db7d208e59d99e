import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation

from telltime.metrics.boundary import boundary_f, outline, reach
from telltime.metrics.video_objects import course, region_j, score_labels, score_objects

SIZE = (11, 14)
MASKS = arrays(bool, SIZE)


def slow_outline(mask: np.ndarray) -> np.ndarray:
    """Pixel by pixel, as the definition says."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            right = x + 1 < width and mask[y, x] != mask[y, x + 1]
            below = y + 1 < height and mask[y, x] != mask[y + 1, x]
            across = x + 1 < width and y + 1 < height and mask[y, x] != mask[y + 1, x + 1]
            found[y, x] = right or below or across
    return found


def slow_f(predicted: np.ndarray, truth: np.ndarray, near: int) -> float:
    """By dilating pictures with a disk."""
    offsets = np.arange(-near, near + 1)
    disk = offsets[:, None] ** 2 + offsets**2 <= near**2
    one, other = slow_outline(predicted), slow_outline(truth)
    if not one.any() or not other.any():
        return float(one.any() == other.any())
    precision = (one & binary_dilation(other, disk)).sum() / one.sum()
    recall = (other & binary_dilation(one, disk)).sum() / other.sum()
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@settings(max_examples=12, deadline=None)
@given(MASKS, MASKS, st.integers(1, 4))
def test_nearest_points_score_as_dilated_pictures(predicted: np.ndarray, truth: np.ndarray, near: int) -> None:
    np.testing.assert_array_equal(outline(truth), slow_outline(truth))
    assert boundary_f(predicted, truth, tolerance=near) == pytest.approx(slow_f(predicted, truth, near), abs=1e-12)
    assert boundary_f(truth, truth, tolerance=near) == 1
    assert boundary_f(predicted, truth) == boundary_f(truth, predicted)


@settings(max_examples=12, deadline=None)
@given(MASKS, MASKS, MASKS)
def test_void_is_of_neither(predicted: np.ndarray, truth: np.ndarray, void: np.ndarray) -> None:
    kept = ~void
    assert boundary_f(predicted, truth, void) == boundary_f(predicted & kept, truth & kept)
    changed = np.where(void, ~predicted, predicted)
    assert region_j(predicted, truth, void) == region_j(changed, truth, void)


def test_what_is_empty_has_rules() -> None:
    nothing, square = np.zeros((2, *SIZE), dtype=bool)
    square[3:6, 4:9] = True
    assert (region_j(nothing, nothing), boundary_f(nothing, nothing)) == (1, 1)
    assert (region_j(square, nothing), boundary_f(square, nothing)) == (0, 0)
    assert (region_j(nothing, square), boundary_f(nothing, square)) == (0, 0)
    assert boundary_f(np.ones(SIZE, dtype=bool), nothing) == 1  # the edge of the picture is no outline


def test_the_reach_is_a_share_of_the_diagonal_or_pixels() -> None:
    assert reach(480, 854) == math.ceil(0.008 * math.hypot(480, 854)) == 8
    assert reach(10, 10, 3) == 3
    with pytest.raises(ValueError, match="above 0"):
        reach(10, 10, 0)


def test_objects_that_are_lacking_are_never_seen_and_more_are_an_error() -> None:
    truth = np.zeros((2, 3, *SIZE), dtype=bool)
    truth[:, :, 2:5, 2:5] = True
    j, f = score_objects(truth[:1], truth)
    np.testing.assert_array_equal(j, [[1, 1, 1], [0, 0, 0]])
    np.testing.assert_array_equal(f, j)
    with pytest.raises(ValueError, match="2 objects are predicted where the truth has 1"):
        score_objects(truth, truth[:1])
    with pytest.raises(ValueError, match="cannot be compared"):
        region_j(truth, truth[..., :-1])


@settings(max_examples=12, deadline=None)
@given(
    arrays(np.uint8, (2, *SIZE), elements=st.sampled_from([0, 1, 3])),
    arrays(np.uint8, (2, *SIZE), elements=st.sampled_from([0, 1, 3, 255])),
)
def test_label_maps_score_as_their_masks(predicted: np.ndarray, truth: np.ndarray) -> None:
    j, f = score_labels(predicted, truth, [1, 3])
    masks = [np.stack([labels == 1, labels == 3]) for labels in (predicted, truth)]
    slow = score_objects(*masks, truth == 255)
    np.testing.assert_array_equal(j, slow[0])
    np.testing.assert_array_equal(f, slow[1])


def test_a_label_that_is_no_object_is_named() -> None:
    labels = np.zeros((1, *SIZE), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"holds objects \[7\], the video has \[1\]"):
        score_labels(labels + 7, labels, [1])


def test_the_decay_is_of_quarters_and_long_videos_have_them_too() -> None:
    falling = np.linspace(1, 0, 400)
    found = course(falling)
    assert found.mean == pytest.approx(0.5)
    assert found.recall == 0.5
    assert found.decay == pytest.approx(0.75, abs=0.01)
    assert course(np.array([0.75])) == course(np.array([0.75, 0.75]))
    assert course(np.array([np.nan, 1.0, 0.25, np.nan])).mean == 0.625
    assert math.isnan(course(np.array([])).mean)
