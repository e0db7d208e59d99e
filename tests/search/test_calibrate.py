"""Scores to probabilities: right on scores of known kinds, steady under the copies among them, never out of range."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from telltime.search.calibrate import Calibration, Tail


def unrelated(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.3, 0.05, count)


def test_the_rate_is_at_least_what_is_seen() -> None:
    tail = Tail.fit(unrelated(5_000))
    fresh = unrelated(1_000_000, seed=1)
    for rate in (1e-2, 1e-3, 1e-4):
        assert (fresh >= tail.threshold(rate)).mean() <= 1.2 * rate
    assert tail.threshold(1e-6) < 0.9


def test_copies_among_the_pairs_move_it_little() -> None:
    clean = unrelated(3_000)
    copies = np.random.default_rng(2).uniform(0.75, 0.98, 240)
    apart, together = Tail.fit(clean), Tail.fit(np.concatenate([clean, copies]))
    assert together.threshold(1e-4) == pytest.approx(apart.threshold(1e-4), abs=0.05)
    assert together.threshold(1e-4) < 0.75
    assert together.pairs < 3_010


def test_the_same_video_is_found_sure_and_chance_is_not() -> None:
    tail = Tail.fit(unrelated(5_000))
    assert tail.probability(1.0, 1_000) > 0.999
    assert tail.probability(0.35, 1_000) < 0.01
    assert tail.probability(0.6, 10) > tail.probability(0.6, 100_000)


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.integers(0, 60), elements=st.floats(-1, 1)), st.integers(1, 10**7))
def test_probabilities_and_rates_are_ordered_and_within_bounds(scores: np.ndarray, videos: int) -> None:
    tail = Tail.fit(scores)
    asked = np.linspace(-1, 1, 41)
    sure = [tail.probability(score, videos) for score in asked]
    rates = [tail.rate(score) for score in asked]
    assert all(0 <= p <= 1 for p in sure + rates)
    assert all(a <= b + 1e-12 for a, b in pairwise(sure))
    assert all(a >= b - 1e-12 for a, b in pairwise(rates))
    assert tail.rate(tail.threshold(1e-3)) == pytest.approx(1e-3, rel=0.01) or tail.threshold(1e-3) > 0.9998


def test_it_survives_being_written_down() -> None:
    made = Calibration(Tail.fit(unrelated(100)), Tail.fit(unrelated(100, 1)), 0.5, 12)
    assert Calibration.from_json(made.to_json()) == made


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.25"):
        Tail.fit(unrelated(100)).threshold(0.5)
