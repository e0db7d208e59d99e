import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.losses import clock


@given(st.integers(0, 1000), st.integers(2, 40), st.integers(1, 30))
@settings(max_examples=15, deadline=None)
def test_counting_classes_is_comparing_pairs(seed, rows, classes):
    """Values and gradients alike, whatever the classes of the batch."""
    draw = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, classes, generator=draw, dtype=torch.float64, requires_grad=True)
    own = torch.randint(classes, (rows,), generator=draw)
    pairs = clock.in_batch(scores[:, own])
    counted = clock.class_count(scores, own)
    assert pairs.item() == pytest.approx(counted.item(), abs=1e-12)
    first, second = (torch.autograd.grad(loss, scores, retain_graph=True)[0] for loss in (pairs, counted))
    torch.testing.assert_close(first, second, atol=1e-13, rtol=1e-9)


def test_soft_labels_go_round_midnight():
    targets = clock.circular_targets(torch.tensor([0.0, 12.5]), 24, 1.0)
    torch.testing.assert_close(targets.sum(1), torch.ones(2))
    torch.testing.assert_close(targets[0, 0], targets[0, 23])
    assert targets[1].argmax() == 12
    with pytest.raises(ValueError, match="above 0"):
        clock.circular_targets(torch.zeros(1), 24, 0.0)


def test_a_near_miss_costs_less():
    hours = torch.tensor([12.5])
    near, far = (clock.soft_circular(10 * torch.eye(24)[[place]], hours) for place in (13, 0))
    assert near < far


def test_von_mises_curves_are_densities():
    hours = torch.arange(0, 24, 0.01, dtype=torch.float64)
    for log_kappa in (-3.0, 0.0, 3.0, 5.0):
        mass = clock.log_von_mises(hours, torch.tensor(3.0), torch.tensor(log_kappa)).exp().sum() * 0.01
        assert float(mass) == pytest.approx(1, abs=1e-6)
    even = clock.von_mises_mixture(torch.zeros(1, 2), torch.zeros(1, 2), torch.full((1, 2), -20.0), torch.tensor([5.0]))
    assert float(even) == pytest.approx(math.log(24), abs=1e-4)


def test_unknown_months_are_learnt_from_by_their_hour():
    scores = torch.randn(2, 24, 12, generator=torch.Generator().manual_seed(0), requires_grad=True)
    hours, months = torch.tensor([3.0, 20.0]), torch.tensor([-1.0, 11.9])
    loss = clock.hour_by_month(scores, hours, months)
    (grad,) = torch.autograd.grad(loss, scores)
    assert loss.isfinite()
    own = clock.circular_targets(hours, 24, 1.0)[0]
    torch.testing.assert_close(2 * grad[0].sum(1), scores[0].flatten().softmax(0).view(24, 12).sum(1) - own)
    turned = clock.hour_by_month(scores.roll(1, 2), hours, torch.tensor([-1.0, 0.9]))
    torch.testing.assert_close(turned, loss)
