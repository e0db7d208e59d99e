"""Views that share a forward are normalised as if each had its own."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from telltime.backbones.norm import ViewBatchNorm, frozen_statistics, sharing

NORMS = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


def pair(axes: int, channels: int, seed: int) -> tuple[nn.Module, ViewBatchNorm]:
    torch.manual_seed(seed)
    plain = NORMS[axes](channels, momentum=0.3)
    for value in plain.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.5, 2)
    plain = plain.double()
    ours = ViewBatchNorm.convert(copy.deepcopy(plain))
    assert isinstance(ours, ViewBatchNorm)
    return plain, ours


def separately(norm: nn.Module, x: Tensor, views: int) -> Tensor:
    return torch.cat([norm(part) for part in x.chunk(views)])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 5), st.integers(2, 4), st.integers(1, 5), st.integers(2, 5), st.integers(0, 999))
def test_one_forward_equals_one_forward_a_view(views: int, batch: int, channels: int, axes: int, seed: int) -> None:
    plain, ours = pair(axes, channels, seed)
    x = torch.randn(views * batch, channels, *[3] * (axes - 2), dtype=torch.float64)
    grad = torch.randn_like(x)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    expected = separately(plain, a, views)
    expected.backward(grad)
    with sharing(ours, views):
        got = ours(b)
    got.backward(grad)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(b.grad, a.grad)
    for p, q in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)


def test_running_statistics_follow_the_order_of_views() -> None:
    _, first = pair(2, 3, 0)
    second = copy.deepcopy(first)
    x = torch.randn(8, 3, dtype=torch.float64)
    with sharing(first, 2), sharing(second, 2):
        first(x)
        second(x.roll(4, 0))
    assert not torch.allclose(first.running_mean, second.running_mean)


def test_channels_last_is_kept_both_ways() -> None:
    norm = ViewBatchNorm(6)
    x = torch.randn(4, 6, 2, 5, 5).contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    with sharing(norm, 2):
        out = norm(x)
    out.sum().backward()
    assert out.is_contiguous(memory_format=torch.channels_last_3d)
    assert x.grad is not None
    assert x.grad.is_contiguous(memory_format=torch.channels_last_3d)


def test_half_precision_clips_take_full_precision_statistics() -> None:
    norm = ViewBatchNorm(6)
    x = (5 + torch.randn(4, 6, 2, 5, 5)).bfloat16().requires_grad_()
    with sharing(norm, 2):
        out = norm(x)
    out.float().square().sum().backward()
    assert out.dtype == torch.bfloat16
    assert norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(norm.running_mean, torch.full((6,), 5 * 0.19), atol=0.1, rtol=0)
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_evaluation_knows_no_views() -> None:
    plain, ours = pair(5, 3, 1)
    x = torch.randn(5, 3, 2, 2, 2, dtype=torch.float64)
    with sharing(ours.eval(), 4):
        torch.testing.assert_close(ours(x), plain.eval()(x))
    assert ours.num_batches_tracked == 0


def test_recomputation_leaves_running_statistics_alone() -> None:
    _, norm = pair(2, 3, 2)
    x = torch.randn(6, 3, dtype=torch.float64)
    before = copy.deepcopy(norm.state_dict())
    with frozen_statistics(norm):
        frozen = norm(x)
    torch.testing.assert_close(norm.state_dict(), before)
    torch.testing.assert_close(norm(x), frozen)
    assert not torch.equal(norm.running_mean, before["running_mean"])


def test_a_single_value_is_normalised_with_running_statistics_and_updates_nothing() -> None:
    plain, norm = pair(2, 3, 3)
    x = torch.randn(4, 3, dtype=torch.float64)
    before = copy.deepcopy(norm.state_dict())
    with sharing(norm, 4):
        out = norm(x)
    torch.testing.assert_close(out, plain.eval()(x))
    torch.testing.assert_close(norm.state_dict(), before)


def test_sharing_ends_with_its_block_even_after_an_error() -> None:
    norm = ViewBatchNorm(2)
    with pytest.raises(ValueError, match="7 does not hold 2 views"), sharing(norm, 2, sync=True):
        norm(torch.randn(7, 2))
    assert (norm.views, norm.sync) == (1, False)
    with pytest.raises(RuntimeError), frozen_statistics(norm):
        raise RuntimeError
    assert norm.update


def test_conversion_keeps_parameters_buffers_and_mode() -> None:
    net = nn.Sequential(nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4), nn.Sequential(nn.BatchNorm1d(2))).eval()
    state = net.state_dict()
    parameters = list(net.parameters())
    converted = ViewBatchNorm.convert(net)
    assert list(converted.state_dict()) == list(state)
    assert all(a is b for a, b in zip(converted.parameters(), parameters, strict=True))
    assert isinstance(converted[1], ViewBatchNorm)
    assert not converted[1].training
    assert ViewBatchNorm.convert(converted)[1] is converted[1]


@pytest.mark.parametrize("options", [{"affine": False}, {"track_running_stats": False}, {"momentum": None}])
def test_a_norm_that_has_no_per_view_meaning_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="per-view statistics"):
        ViewBatchNorm.convert(nn.BatchNorm3d(4, **options))
