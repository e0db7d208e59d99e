import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.losses.time_editing import direction, directional, drift, hour_nll, learning_rate, published_ticl


@settings(max_examples=25, deadline=None)
@given(hour=st.floats(0, 23.999), classes=st.sampled_from([6, 24, 48]), seed=st.integers(0, 9))
def test_an_hour_counts_to_the_two_classes_beside_it(hour, classes, seed):
    logits = torch.randn(1, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.double)
    nll = hour_nll(logits, torch.tensor([hour], dtype=torch.double))
    width = 24 / classes
    middles = (torch.arange(classes, dtype=torch.double) + 0.5) * width
    away = (hour - middles + 12) % 24 - 12
    share = (1 - away.abs() / width).clamp_min(0)
    assert share.sum() == pytest.approx(1)
    assert nll.item() == pytest.approx(-(share * logits.log_softmax(1)[0]).sum().item())


def test_midnight_lies_between_the_last_class_and_the_first():
    logits = torch.full((2, 24), -20.0)
    logits[:, 0] = logits[:, 23] = 0
    nll = hour_nll(logits, torch.tensor([0.0, 23.9999]))
    torch.testing.assert_close(nll, torch.full((2,), 2.0).log(), atol=1e-3, rtol=0)


def test_pictures_that_did_not_move_have_a_gradient_all_the_same():
    source = torch.randn(2, 5)
    target = source.clone().requires_grad_()
    directional(source, target, torch.ones(1, 5)).sum().backward()
    assert target.grad.isfinite().all()
    assert direction(source, source).norm(dim=-1) == pytest.approx(torch.ones(2))


def test_rows_do_not_know_of_each_other():
    source, target, words = torch.randn(1, 6), torch.randn(3, 6), torch.randn(3, 6)
    together = directional(source, target, words)
    torch.testing.assert_close(together[1:2], directional(source, target[1:2], words[1:2]))
    latents = torch.randn(3, 2, 4)
    assert drift(latents, latents[:1])[0] == 0
    assert published_ticl(torch.tensor([[0.0, 14.0]]), torch.tensor([1])).item() == pytest.approx(0.86)


def test_the_first_step_does_not_move_and_the_last_hardly():
    rates = [learning_rate(i, 40, 0.1) for i in range(40)]
    assert rates[0] == 0
    assert max(rates) == pytest.approx(0.1)
    assert rates[-1] < 0.001
