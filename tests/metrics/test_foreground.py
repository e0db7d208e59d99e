import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.metrics.foreground import (
    ClusterCounts,
    cluster_precisions,
    count_pixels,
    cuts,
    foreground_clusters,
    joined,
    mean_jaccard,
    threshold_of,
)


def test_cbfe_meets_the_reference(golden):
    file = golden.npz("timet_cbfe.npz")
    count = int(file["k"])
    counts = count_pixels(file["clusters"], count, file["attention"] == 1, file["gt"] != 0)
    precisions = cluster_precisions(counts)
    np.testing.assert_allclose(precisions, file["precisions"], atol=1e-12)
    found = cuts(counts, precisions)
    np.testing.assert_allclose([cut.jaccard for cut in found], file["search"][:, 2], atol=1e-6)
    np.testing.assert_allclose([cut[:2] for cut in found], file["search"][:, :2], atol=1e-12)
    threshold = threshold_of(found)
    assert threshold == pytest.approx(float(file["threshold"]), abs=1e-12)
    chosen = foreground_clusters(precisions, threshold)
    np.testing.assert_array_equal(chosen[file["clusters"]], file["mask"] == 1)
    assert mean_jaccard(counts, chosen) == pytest.approx(float(file["jaccard"]), abs=1e-6)
    inside = (file["gt"] != 0) & (file["gt"] != 255)
    counts = count_pixels(file["clusters"], count, file["attention"] == 1, inside)
    assert mean_jaccard(counts, chosen) == pytest.approx(float(file["jaccard_without_boundary"]), abs=1e-6)


def pictures(seed, number=3, count=8, size=10):
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, count, (number, size, size))
    return clusters, count, rng.random(clusters.shape) < 0.4, rng.random(clusters.shape) < 0.3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16))
def test_a_cut_is_what_its_map_would_score(seed):
    clusters, count, attention, truth = pictures(seed)
    counts = count_pixels(clusters, count, attention, truth)
    precisions = cluster_precisions(counts)
    order = np.argsort(precisions, kind="stable")
    found = cuts(counts, precisions)
    assert sorted(cut.start for cut in found) == list(range(4, 6))
    for cut in found:
        marked = np.isin(clusters, order[cut.start :])
        one_by_one = [(m & t).sum() / (m | t).sum() for m, t in zip(marked, truth, strict=True)]
        assert cut.jaccard == pytest.approx(np.mean(one_by_one))
        chosen = np.isin(np.arange(count), order[cut.start :])
        assert mean_jaccard(counts, chosen) == pytest.approx(cut.jaccard)


def test_batches_count_as_the_whole():
    clusters, count, attention, truth = pictures(1)
    whole = count_pixels(clusters, count, attention, truth)
    parts = [count_pixels(clusters[at], count, attention[at], truth[at]) for at in (slice(0, 1), slice(1, 3))]
    for name in ClusterCounts.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(joined(parts), name), getattr(whole, name))


def test_pixels_that_do_not_count_change_nothing():
    clusters, count, attention, truth = pictures(2)
    kept = np.random.default_rng(0).random(truth.shape) < 0.7
    one = count_pixels(clusters, count, attention, truth, kept)
    other = count_pixels(clusters, count, attention | ~kept, truth | ~kept, kept)
    chosen = np.arange(count) % 2 == 0
    assert mean_jaccard(one, chosen) == mean_jaccard(other, chosen)


def test_a_cluster_in_no_picture_is_no_foreground():
    counts = count_pixels(np.zeros((1, 4, 4), int), 5, np.ones((1, 4, 4), bool), np.ones((1, 4, 4), bool))
    np.testing.assert_array_equal(cluster_precisions(counts), [1, 0, 0, 0, 0])
    np.testing.assert_array_equal(foreground_clusters(cluster_precisions(counts), 0.5), [True, *[False] * 4])


def test_nothing_marked_where_nothing_is_agrees():
    counts = count_pixels(np.zeros((1, 4, 4), int), 2, np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4), bool))
    assert mean_jaccard(counts, np.array([False, True])) == 1
    assert mean_jaccard(counts, np.array([True, False])) == 0


def test_too_few_clusters_leave_no_cut():
    counts = count_pixels(np.zeros((1, 4, 4), int), 1, np.zeros((1, 4, 4), bool), np.zeros((1, 4, 4), bool))
    with pytest.raises(ValueError, match="1 clusters leave no cut"):
        cuts(counts, cluster_precisions(counts))
