import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from telltime.metrics import circular

densities = st.sampled_from([6, 7, 24, 25, 96]).flatmap(
    lambda bins: arrays(np.float64, (3, bins), elements=st.floats(0, 1)).map(
        lambda a: (a + 1e-3) / (a + 1e-3).sum(1, keepdims=True)
    )
)
few = settings(max_examples=15, deadline=None)


def brute(density, hours, parts=200):
    bins = len(density)
    fine = (np.arange(bins * parts) + 0.5) * (24 / bins / parts)
    return (np.repeat(density, parts) / parts * circular.distance(fine, hours)).sum()


def test_bins_are_of_whole_minutes():
    assert circular.bin_of(0, 24) == 0
    assert circular.bin_of(1439, 24) == 23
    np.testing.assert_array_equal(circular.bin_of(np.arange(1440), 1440), np.arange(1440))
    for classes in range(1, 1441, 37):
        found = circular.bin_of(np.arange(1440), classes)
        assert found.min() == 0
        assert found.max() == classes - 1
        assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize(("minutes", "classes"), [(1440, 24), (-1, 24), (3, 0), (3, 1441)])
def test_no_such_minute_or_class(minutes, classes):
    with pytest.raises(ValueError, match="day"):
        circular.bin_of(minutes, classes)


@given(st.floats(0, 24, exclude_max=True), st.integers(1, 1440))
@few
def test_a_time_lies_in_its_class(hours, classes):
    own = circular.classes_of(hours, classes)
    minute = int(np.floor(hours * 60 + 1e-6)) % 1440
    assert own * 1440 <= minute * classes < (own + 1) * 1440


def test_seconds_stay_in_their_minute():
    assert circular.classes_of(12 + 59.99 / 60, 24) == 12
    assert circular.minutes_of(23 + 59 / 60) == 1439


@given(densities)
@few
def test_the_median_has_the_least_error(density):
    median = circular.circular_median(density)
    least = circular.expected_error(density, median)
    for row in range(len(density)):
        assert least[row] == pytest.approx(brute(density[row], median[row]), abs=2e-3)
        errors = [brute(density[row], hour) for hour in np.arange(0, 24, 1.0)]
        assert least[row] <= min(errors) + 2e-3


@given(densities, st.floats(0.05, 1.0))
@few
def test_an_arc_is_shortest_and_holds_its_share(density, share):
    arcs = circular.arc(density, share)
    bins, parts = density.shape[1], 60
    fine = (np.arange(bins * parts) + 0.5) * (24 / bins / parts)
    for row, (start, end) in enumerate(zip(*arcs, strict=True)):
        own = circular.Arc(start, end)
        mass = np.repeat(density[row], parts) / parts
        assert mass[own.holds(fine)].sum() == pytest.approx(share, abs=2.5 * mass.max())
        passed = np.concatenate([[0], np.concatenate([mass, mass]).cumsum()])
        ends = np.searchsorted(passed, passed[: bins * parts] + share - 1e-9)
        shortest = (ends - np.arange(bins * parts)).min() * 24 / bins / parts
        assert own.length <= shortest + 24 / bins / parts + 1e-6


def test_an_arc_over_midnight_and_the_whole_day():
    density = np.zeros(24)
    density[[23, 0]] = 0.5
    found = circular.arc(density, 0.99)
    assert 23 <= found.start < 23.1
    assert 0.9 < found.end <= 1
    assert bool(found.holds(0.0))
    assert not found.holds(12.0)
    assert circular.arc(np.full(24, 1 / 24), 1.0).length == 24
    with pytest.raises(ValueError, match="share"):
        circular.arc(density, 0.0)


@given(densities, st.sampled_from([6, 24, 36, 96, 7]))
@few
def test_other_bins_lose_nothing(density, bins):
    for found in (circular.rebin(density, bins), circular.refine(density, bins)):
        assert (found >= -1e-12).all()
        np.testing.assert_allclose(found.sum(1), 1)
    finer = circular.refine(density, density.shape[1] * 4)
    np.testing.assert_allclose(circular.rebin(finer, density.shape[1]), density, atol=1e-12)


def test_one_top_and_two():
    middles = circular.centres(96)
    one = np.exp(-0.5 * (circular.distance(middles, 6.5) / 1.5) ** 2)
    two = one + 0.7 * np.exp(-0.5 * (circular.distance(middles, 18) / 1.5) ** 2)
    (top,) = circular.peaks(one / one.sum())
    assert circular.distance(top.hour, 6.5) < 0.3
    assert top.share == pytest.approx(1)
    first, second = circular.peaks(two / two.sum())
    assert circular.distance(first.hour, 6.5) < 0.3
    assert circular.distance(second.hour, 18) < 0.3
    assert first.share + second.share == pytest.approx(1)
    assert len(circular.peaks(np.full(96, 1 / 96))) == 1
    assert [len(row) for row in circular.peaks(np.stack([one / one.sum(), two / two.sum()]))] == [1, 2]


def test_mean_mode_and_how_sure():
    density = np.zeros(24)
    density[[22, 23, 0, 1]] = 0.25
    assert circular.distance(circular.circular_mean(density), 0.0) < 1e-9
    assert circular.resultant(density) > 0.9
    assert circular.resultant(np.full(24, 1 / 24)) < 1e-9
    assert circular.mode(np.eye(24)[22]) == 22.5
    np.testing.assert_allclose(circular.at(density, [0.0, 12.0]), [0.25, 0])
