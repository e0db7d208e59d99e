"""Sinkhorn-Knopp: equal shares, rows that have no say, and scores of any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.losses.sinkhorn import sinkhorn


def plain(scores: torch.Tensor, epsilon: float, iterations: int) -> torch.Tensor:
    """The whole matrix scaled in turn."""
    q = (scores / epsilon).exp()
    q = q / q.sum()
    for _ in range(iterations):
        q = q / q.sum(0, keepdim=True) / q.shape[1]
        q = q / q.sum(1, keepdim=True) / q.shape[0]
    return q / q.sum(1, keepdim=True)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 20),
    prototypes=st.integers(1, 9),
    epsilon=st.sampled_from([0.05, 0.3, 1.0]),
    iterations=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_equals_scaling_the_matrix(rows: int, prototypes: int, epsilon: float, iterations: int, seed: int) -> None:
    torch.manual_seed(seed)
    scores = torch.rand(rows, prototypes, dtype=torch.float64) * 2 - 1
    got = sinkhorn(scores, epsilon, iterations)
    torch.testing.assert_close(got, plain(scores, epsilon, iterations))
    torch.testing.assert_close(got.sum(1), torch.ones(rows, dtype=torch.float64))


def test_prototypes_get_equal_shares() -> None:
    scores = torch.rand(60, 6)
    scores[:, 2] += 1
    assert scores.argmax(1).bincount(minlength=6)[2] == 60
    torch.testing.assert_close(sinkhorn(scores, 0.2, 100).sum(0), torch.full((6,), 10.0), atol=1e-2, rtol=0)


def test_rows_without_a_say_change_nothing() -> None:
    scores = torch.rand(30, 5) * 2 - 1
    more = torch.cat([scores, torch.rand(7, 5)])
    got = sinkhorn(more, valid=torch.arange(37) < 30)
    torch.testing.assert_close(got[:30], sinkhorn(scores))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_no_scores_are_too_large_or_too_far_apart(scale: float) -> None:
    got = sinkhorn(scale * torch.randn(40, 8), epsilon=0.01)
    assert got.isfinite().all()
    assert (got >= 0).all()
    assert sinkhorn(torch.zeros(0, 8)).shape == (0, 8)


def test_what_makes_no_sense_is_refused() -> None:
    for epsilon, iterations in ((0.0, 3), (0.1, 0)):
        with pytest.raises(ValueError, match="epsilon"):
            sinkhorn(torch.zeros(2, 2), epsilon, iterations)
