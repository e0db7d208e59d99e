"""The batched losses against their definitions, written out row by row, and at their edges."""

from itertools import combinations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from telltime.losses.contrast import instance_contrast, nt_xent
from telltime.losses.temporal_contrast import global_local, local_local

TEMPERATURES = st.sampled_from([0.05, 0.1, 0.5, 2.0])


def unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1).requires_grad_()


def row_by_row(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    rows, count = torch.cat([a, b]), len(a)
    losses = []
    for i in range(2 * count):
        others = [j for j in range(2 * count) if j != i]
        partner = others.index((i + count) % (2 * count))
        logits = torch.stack([rows[i] @ rows[j] / temperature for j in others])
        losses.append(F.cross_entropy(logits[None], torch.tensor([partner])))
    return torch.stack(losses).mean()


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), TEMPERATURES, st.integers(0, 99))
def test_nt_xent_is_its_definition(count: int, temperature: float, seed: int) -> None:
    a, b = unit(count, 6, seed=seed), unit(count, 6, seed=seed + 1)
    loss, expected = nt_xent(a, b, temperature), row_by_row(a, b, temperature)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, (a, b)), torch.autograd.grad(expected, (a, b)))
    torch.testing.assert_close(nt_xent(b, a, temperature), loss)


def test_leading_axes_are_separate_problems() -> None:
    a, b = unit(2, 3, 4, 5), unit(2, 3, 4, 5, seed=1)
    together = nt_xent(a, b, 0.2)
    assert together.shape == (2, 3)
    torch.testing.assert_close(together[1, 2], nt_xent(a[1, 2], b[1, 2], 0.2))


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 5), st.integers(2, 4), TEMPERATURES, st.integers(0, 99))
def test_instance_contrast_is_the_mean_over_pairs(views: int, videos: int, temperature: float, seed: int) -> None:
    x = unit(views, videos, 6, seed=seed)
    loss = instance_contrast(x, temperature)
    expected = torch.stack([nt_xent(x[a], x[b], temperature) for a, b in combinations(range(views), 2)]).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, x), torch.autograd.grad(expected, x))
    torch.testing.assert_close(instance_contrast(x.flip(0, 1), temperature), expected)


def test_local_local_ranks_inside_each_video_only() -> None:
    a, b = unit(3, 4, 6), unit(3, 4, 6, seed=1)
    losses = local_local(a, b, 0.1)
    assert losses.shape == (3,)
    torch.testing.assert_close(losses, torch.stack([row_by_row(x, y, 0.1) for x, y in zip(a, b, strict=True)]))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), TEMPERATURES)
def test_global_local_is_cross_entropy_both_ways(videos: int, u: int, w: int, temperature: float) -> None:
    slices, clips = unit(u, videos, 4, 6), unit(w, videos, 4, 6, seed=1)
    target = torch.arange(4)
    expected = torch.zeros(videos, dtype=torch.float64)
    for b in range(videos):
        for i in range(u):
            for j in range(w):
                logits = slices[i, b] @ clips[j, b].T / temperature
                both = F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
                expected[b] += both / (2 * u * w)
    torch.testing.assert_close(global_local(slices, clips, temperature), expected)


def test_one_pair_of_versions_needs_no_axis_for_it() -> None:
    slices, clips = unit(3, 4, 6), unit(3, 4, 6, seed=1)
    torch.testing.assert_close(global_local(slices, clips), global_local(slices[None], clips[None]))


@pytest.mark.parametrize("loss", [lambda a, b: nt_xent(a, b), lambda a, b: instance_contrast(torch.stack([a, b]))])
def test_a_single_video_has_no_negatives_and_no_loss(loss) -> None:
    a, b = unit(1, 6), unit(1, 6, seed=1)
    value = loss(a, b)
    assert value.item() == 0
    for grad in torch.autograd.grad(value, (a, b)):
        assert torch.equal(grad, torch.zeros_like(a))


def test_identical_rows_cost_the_logarithm_of_the_candidates() -> None:
    same = torch.ones(2, 40, 4) / 2
    assert instance_contrast(same).item() == pytest.approx(torch.tensor(79.0).log().item())
    assert local_local(same[:, :4], same[:, :4]).tolist() == pytest.approx([torch.tensor(7.0).log().item()] * 2)
    assert global_local(same[:, :4], same[:, :4]).tolist() == pytest.approx([torch.tensor(4.0).log().item()] * 2)


def test_a_low_temperature_does_not_overflow() -> None:
    x = unit(4, 3, 6).float().detach().requires_grad_()
    loss = instance_contrast(x, 1e-3) + nt_xent(x, x, 1e-3).sum() + global_local(x, x, 1e-3).sum()
    (grad,) = torch.autograd.grad(loss, x)
    assert loss.isfinite()
    assert grad.isfinite().all()


def test_shapes_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        nt_xent(torch.zeros(3, 4), torch.zeros(2, 4))
    with pytest.raises(ValueError, match="two or more"):
        instance_contrast(torch.zeros(1, 3, 4))
    with pytest.raises(ValueError, match="its local clip"):
        global_local(torch.zeros(2, 4, 8), torch.zeros(2, 3, 8))
