import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.metrics.retrieval import available_mean, nearest, published_mean, recall_at


def naive(query, gallery, k):
    """Every similarity at once, sorted stably."""
    q = query / np.linalg.norm(query, axis=1, keepdims=True).clip(1e-12)
    g = gallery / np.linalg.norm(gallery, axis=1, keepdims=True).clip(1e-12)
    scores = q @ g.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 999), st.integers(1, 12), st.integers(1, 30), st.integers(1, 40), st.integers(1, 9))
def test_blocks_give_what_the_whole_matrix_gives(seed, queries, size, k, block):
    rng = np.random.default_rng(seed)
    query, gallery = rng.normal(size=(queries, 6)), rng.normal(size=(size, 6))
    found = nearest(torch.tensor(query), torch.tensor(gallery), k, block=block, query_block=3)
    order, scores = naive(query, gallery, k)
    np.testing.assert_allclose(found.scores, scores, atol=1e-6)
    np.testing.assert_array_equal(found.indices, order)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(1, 20), st.integers(1, 7))
def test_equal_scores_come_in_the_order_of_the_gallery(seed, size, block):
    rng = np.random.default_rng(seed)
    axes = np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))])
    query, gallery = axes[rng.integers(0, 7, 5)], axes[rng.integers(0, 7, size)]
    found = nearest(torch.tensor(query), torch.tensor(gallery), size, block=block)
    np.testing.assert_array_equal(found.indices, naive(query, gallery, size)[0])


def test_one_set_searched_in_itself_leaves_out_the_item_itself():
    features = torch.nn.functional.normalize(torch.randn(11, 4, generator=torch.Generator().manual_seed(3)), dim=1)
    found = nearest(features, features, 99, skip_same=True, block=4, query_block=5)
    assert found.indices.shape == (11, 10)
    assert not (found.indices == torch.arange(11)[:, None]).any()
    assert found.scores.isfinite().all()


def test_recall_of_a_gallery_smaller_than_k_and_of_a_class_it_lacks():
    gallery, query = torch.eye(3), torch.eye(3)
    scores = recall_at(query, np.array([0, 1, 7]), gallery, np.array([0, 2, 1]), (1, 2, 50))
    assert scores[1] == pytest.approx(1 / 3)
    assert scores[50] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("query", "gallery", "k", "said"),
    [
        (torch.ones(2, 3), torch.ones(2, 4), 1, "must be"),
        (torch.ones(2, 3), torch.ones(2, 3), 0, "at least 1"),
        (torch.ones(0, 3), torch.ones(2, 3), 1, "nothing to compare"),
        (torch.full((1, 3), float("nan")), torch.ones(2, 3), 1, "query features"),
    ],
)
def test_what_cannot_be_compared_is_refused(query, gallery, k, said):
    with pytest.raises(ValueError, match=said):
        nearest(query, gallery, k)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 6), st.integers(1, 5))
def test_both_means_point_the_same_way(seed, videos, positions):
    rng = np.random.default_rng(seed)
    features = torch.tensor(rng.normal(size=(videos, positions, 4)))
    present = torch.tensor(rng.random((videos, positions)) < 0.6)
    published, honest = published_mean(features, present), available_mean(features, present)
    for row in range(videos):
        there = features[row][present[row]]
        expected = there.mean(0) if len(there) else torch.zeros(4, dtype=features.dtype)
        torch.testing.assert_close(honest[row], expected)
        torch.testing.assert_close(published[row], honest[row] * (len(there) / positions))
