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


def heavy(count: int, kind: str, seed: int = 0) -> np.ndarray:
    """Unrelated pairs some of which resemble each other more than the rest do."""
    rng = np.random.default_rng(seed)
    if kind == "genres":
        spread = rng.choice(3, count, p=(0.8, 0.19, 0.01))
        return rng.normal(np.array([0.3, 0.4, 0.55])[spread], np.array([0.04, 0.08, 0.1])[spread])
    far = np.abs(rng.standard_t(4, count)) if kind == "student" else (rng.random(count) ** -0.2 - 1) / 0.2
    return 1 - np.exp(-(0.35 + 0.06 * far))


@pytest.mark.parametrize("kind", ["genres", "student", "pareto"])
def test_heavy_tails_are_followed_as_far_as_pairs_go(kind: str) -> None:
    """An exponential through the 95th percentile alone promised a tenth of what these let through at 1e-4."""
    fresh = heavy(2_000_000, kind, seed=99)
    for seed in range(3):
        tail = Tail.fit(heavy(60_000, kind, seed))
        for rate, times in ((1e-2, 1.2), (1e-3, 2), (1e-4, 6)):
            assert (fresh >= tail.threshold(rate)).mean() <= times * rate


@pytest.mark.parametrize("pairs", [25, 1_000])
def test_no_less_is_promised_than_the_pairs_can_speak_for(pairs: int) -> None:
    tail = Tail.fit(unrelated(pairs))
    assert tail.least == 1 / (tail.pairs + 1)
    assert tail.rate(1.0) == tail.rate(tail.threshold(1e-9)) == tail.least
    assert tail.threshold(1e-6) > tail.threshold(1e-4), "a smaller rate still asks for a higher score"


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
    assert tail.rate(tail.threshold(1e-3)) == pytest.approx(max(1e-3, tail.least), rel=0.01) or (
        tail.threshold(1e-3) > 0.9998
    )


def test_it_survives_being_written_down() -> None:
    made = Calibration(Tail.fit(unrelated(100)), Tail.fit(unrelated(100, 1)), 0.5, 12)
    assert Calibration.from_json(made.to_json()) == made


def test_a_rate_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at most 0\.25"):
        Tail.fit(unrelated(100)).threshold(0.5)
