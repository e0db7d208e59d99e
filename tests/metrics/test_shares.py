import numpy as np
import pytest

from telltime.metrics.shares import paired_interval, wilson


def test_an_interval_holds_its_share_and_stays_within_0_and_1():
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(472, 480) == pytest.approx((0.9675, 0.9915), abs=1e-4)
    assert wilson(23, 54)[0] < 23 / 54 < wilson(23, 54)[1]
    assert wilson(10, 10)[1] == pytest.approx(1.0)


@pytest.mark.parametrize(("hits", "total"), [(1, 0), (3, 2), (-1, 4)])
def test_what_is_no_share_is_refused(hits, total):
    with pytest.raises(ValueError, match="no share"):
        wilson(hits, total)


def test_a_difference_of_the_same_rows_is_told_more_surely():
    rng = np.random.default_rng(0)
    first = (rng.random(400) < 0.6).astype(float)
    second = first.copy()
    second[:40] = 0
    low, high = paired_interval(first, second)
    assert 0 < low < (first - second).mean() < high
    assert paired_interval(first, first) == (0.0, 0.0)
    assert paired_interval(first, second) == (low, high)
