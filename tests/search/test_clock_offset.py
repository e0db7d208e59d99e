"""The offset of a camera's clock is found from densities whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.search.clock_offset import best_offset, likelihoods, periods

BINS = 96
CENTRES = (np.arange(BINS) + 0.5) / BINS * 24


def densities(hours, spread=2.0, swapped=0.25, seed=0):
    """What a fair model says: wide, off by its own error, and with a share of morning taken for evening."""
    rng = np.random.default_rng(seed)
    centre = np.where(rng.random(len(hours)) < swapped, 25 - hours, hours) + rng.normal(0, spread, len(hours))
    kappa = 1 / (spread / 24 * 2 * np.pi) ** 2
    out = np.zeros((len(hours), BINS))
    for weight, middle in ((1 - swapped, centre), (swapped, 25 - centre)):
        out += weight * np.exp(kappa * (np.cos((CENTRES - middle[:, None]) / 24 * 2 * np.pi) - 1))
    return out / out.sum(1, keepdims=True)


def daytime(photos, seed):
    return np.random.default_rng(seed).uniform(6.5, 21.5, photos)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shift", [-7, 12, 3, -1.5])
def test_a_shift_of_forty_photos_is_found_within_half_an_hour(shift, seed):
    hours = daytime(40, seed)
    found = best_offset(densities(hours, spread=1.0, swapped=0.2, seed=seed), (hours + shift) % 24)
    error = (found.minutes + shift * 60 + 720) % 1440 - 720
    assert abs(error) <= 30
    assert found.wrong
    assert found.photos == 40


@pytest.mark.parametrize("seed", range(5))
def test_a_right_clock_is_left_alone(seed):
    hours = daytime(40, seed)
    found = best_offset(densities(hours, seed=seed), hours)
    assert not found.wrong
    assert found.gain >= 0
    assert found.interval[0] <= found.minutes <= found.interval[1]


def test_flat_densities_tell_nothing():
    found = best_offset(np.full((30, BINS), 1 / BINS), daytime(30, 0))
    assert found.minutes == 0
    assert found.gain == 0
    assert not found.wrong


def test_more_photos_narrow_the_interval():
    hours = daytime(400, 1)
    rows = densities(hours, seed=1)
    few, many = (best_offset(rows[:n], (hours[:n] - 7) % 24) for n in (25, 400))
    assert many.interval[1] - many.interval[0] < few.interval[1] - few.interval[0]


def test_photos_of_one_moment_are_fewer_witnesses():
    hours = np.repeat(daytime(6, 2), 20)
    rows = np.repeat(densities(hours[::20], seed=2), 20, axis=0)
    alone = best_offset(rows, (hours - 2) % 24)
    grouped = best_offset(rows, (hours - 2) % 24, groups=np.repeat(np.arange(6), 20))
    assert grouped.interval[1] - grouped.interval[0] >= alone.interval[1] - alone.interval[0]
    assert grouped.probability <= alone.probability


def test_the_whole_hour_within_the_interval_mends():
    hours = daytime(60, 3)
    found = best_offset(densities(hours, seed=3), (hours - 7) % 24)
    assert found.mending == 420


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 95), st.integers(0, 10**6))
def test_turning_the_claims_turns_the_offset(turn, seed):
    hours = daytime(25, seed)
    rows = densities(hours, seed=seed)
    plain = best_offset(rows, hours)
    turned = best_offset(rows, (hours + turn / 4) % 24)
    assert (plain.minutes - turned.minutes - 15 * turn) % 1440 == 0


def test_periods_part_where_the_clock_was_set():
    hours = daytime(90, 4)
    claimed = np.concatenate([hours[:50], (hours[50:] - 7) % 24])
    found = periods(likelihoods(densities(hours, seed=4), claimed))
    assert len(found) == 2
    assert abs(found[0][1] - 50) <= 4
    assert found[0][0] == 0
    assert found[-1][1] == 90


def test_a_right_clock_is_one_period():
    hours = daytime(120, 5)
    assert periods(likelihoods(densities(hours, seed=5), hours)) == [(0, 120)]
    assert periods(np.zeros((0, 96))) == []


def test_what_does_not_fit_is_refused():
    rows = np.full((3, BINS), 1 / BINS)
    with pytest.raises(ValueError, match="as many hours"):
        best_offset(rows, np.zeros(2))
    with pytest.raises(ValueError, match="without a claimed time"):
        best_offset(rows, np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match="does not divide"):
        best_offset(rows, np.zeros(3), step_minutes=7)
