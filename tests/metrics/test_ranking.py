"""Rank counting against sorting, ties included."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.metrics.ranking import (
    average_precision,
    average_precisions,
    interpolated_precision,
    micro_average_precision,
    places,
    trapezoid_average_precision,
)


def sorted_ranks(scores, relevant, ignored=()):
    order = [i for i in np.argsort(-scores, kind="stable") if i not in set(ignored)]
    return [rank for rank, i in enumerate(order, 1) if i in set(relevant)]


rankings = st.integers(1, 40).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(0, 6), min_size=size, max_size=size),
        st.lists(st.integers(0, size - 1), max_size=12),
        st.lists(st.integers(0, size - 1), max_size=6),
    )
)


@settings(max_examples=150, deadline=None)
@given(rankings)
def test_counting_gives_what_sorting_gives(ranking):
    levels, relevant, ignored = ranking
    scores = np.array(levels, dtype=np.float32) / 7
    found = places(scores, relevant, ignored)
    ranks = sorted_ranks(scores, relevant, ignored)
    assert found.ranks.tolist() == ranks
    kept = [i for i in range(len(scores)) if i not in set(ignored)]
    precisions = [hits / rank for hits, rank in enumerate(ranks, 1)]
    if ranks:
        assert average_precision(found) == pytest.approx(np.mean(precisions))
        assert average_precision(found, len(ranks) + 3) == pytest.approx(sum(precisions) / (len(ranks) + 3))
        assert sorted(found.above.tolist()) == sorted(
            sum(scores[j] > scores[i] for j in kept) for i in set(relevant) - set(ignored)
        )
    else:
        assert np.isnan(average_precision(found))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=6))
def test_the_average_over_ties_is_that_over_all_orders(items):
    scores = np.array([score for score, _ in items], dtype=np.float32)
    relevant = np.flatnonzero([wanted for _, wanted in items])
    if not len(relevant):
        return
    each = []
    for order in permutations(range(len(items))):
        shuffled = places(scores[list(order)], [order.index(i) for i in relevant])
        each.append(average_precision(shuffled))
    assert average_precision(places(scores, relevant), ties="average") == pytest.approx(np.mean(each))


def test_everything_tied_among_many():
    scores = np.zeros(50_000, dtype=np.float32)
    found = places(scores, [0, 49_999], ignored=[1, 2])
    assert found.ranks.tolist() == [1, 49_998]
    harmonic = np.log(49_998) + np.euler_gamma
    assert average_precision(found, ties="average") == pytest.approx(harmonic / 49_998, rel=0.2)


def test_many_levels_are_counted_alike():
    scores = np.random.default_rng(1).integers(0, 400, 3000).astype(np.float32)
    relevant = np.random.default_rng(2).choice(3000, 900, replace=False)
    assert len(np.unique(scores[relevant])) > 128
    found = places(scores, relevant, [5, 6, 7])
    assert found.ranks.tolist() == sorted_ranks(scores, relevant, [5, 6, 7])
    assert (found.tied >= 1).all()
    order = np.argsort(-scores[np.setdiff1d(relevant, [5, 6, 7])], kind="stable")
    higher = [(np.delete(scores, [5, 6, 7]) > scores[i]).sum() for i in np.setdiff1d(relevant, [5, 6, 7])[order]]
    assert found.above.tolist() == higher


def test_rows_are_queries():
    scores = np.random.default_rng(0).random((4, 300)).astype(np.float32)
    relevant = [[3, 4], [], [299], [0, 1, 2]]
    found = average_precisions(scores, relevant, totals=[2, 0, 2, 3])
    assert np.isnan(found[1])
    assert found[0] == average_precision(places(scores[0], [3, 4]))
    assert found[2] == average_precision(places(scores[2], [299])) / 2
    with pytest.raises(ValueError, match="4 rows"):
        average_precisions(scores, relevant[:3])
    with pytest.raises(ValueError, match="not a number"):
        places(np.array([np.nan, 1]), [0])
    with pytest.raises(ValueError, match="ties"):
        average_precision(places(scores[0], [1]), ties="no")


def test_trapezoids_of_perfect_and_hopeless_rankings():
    scores = -np.arange(10.0)
    assert trapezoid_average_precision(places(scores, [0, 1, 2]), 3) == 1
    assert trapezoid_average_precision(places(scores, [9]), 1) == pytest.approx(0.05)
    assert trapezoid_average_precision(places(scores, []), 0) == 0
    assert trapezoid_average_precision(places(scores, []), 4) == 0


def test_interpolated_precision_falls_and_ends_at_zero_where_positives_are_missing():
    scores = -np.arange(10.0)
    curve = interpolated_precision(places(scores, [0, 3, 4]), 3, levels=4)
    np.testing.assert_allclose(curve, [1, 1, 0.6, 0.6])
    np.testing.assert_allclose(interpolated_precision(places(scores, [0]), 2, levels=3), [1, 1, 0])
    assert interpolated_precision(places(scores, []), 0).tolist() == [0] * 21


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_micro_average_precision_is_scikit_learns(items):
    from sklearn.metrics import average_precision_score

    scores = np.array([score for score, _ in items], dtype=np.float32)
    relevant = np.array([wanted for _, wanted in items])
    found = micro_average_precision(scores, relevant)
    if not relevant.any():
        assert np.isnan(found)
        return
    assert found == pytest.approx(average_precision_score(relevant, scores))
    more = int(relevant.sum()) * 2
    assert micro_average_precision(scores, relevant, more) == pytest.approx(found / 2)
