"""Linear layers by either library give the same numbers, and gradients where they are wanted."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.backbones import products
from telltime.backbones.products import linear


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 131), st.sampled_from([1, 3, 64, 500]), st.sampled_from([1, 7, 96]), st.booleans())
def test_rows_of_any_number_and_width(count, inner, outer, biased):
    generator = torch.Generator().manual_seed(count)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in ((count, inner), (outer, inner), (outer,)))
    given_bias = bias if biased else None
    found = linear(x, weight, given_bias)
    assert found.shape == (count, outer)
    torch.testing.assert_close(found, F.linear(x, weight, given_bias), atol=1e-5 * inner**0.5, rtol=1e-5)


@pytest.mark.parametrize("count", [200, 201])
def test_views_and_transposes_of_larger_tensors(count):
    whole, weight = torch.randn(2 * count, 512), torch.randn(256, 32).T
    for x in (whole[::2, :256], whole[:count, 256:], whole[:count, :256].T.contiguous().T):
        torch.testing.assert_close(linear(x, weight), F.linear(x, weight), atol=1e-4, rtol=1e-5)


def test_gradients_and_double_precision_stay_exact():
    x, weight = torch.randn(300, 200), torch.randn(8, 200).requires_grad_()
    assert torch.equal(linear(x, weight), F.linear(x, weight))
    linear(x, weight).sum().backward()
    assert weight.grad is not None
    assert torch.equal(linear(x.double(), weight.double()), F.linear(x.double(), weight.double()))
    assert linear(x.bfloat16(), weight.bfloat16()).dtype == torch.bfloat16


def test_batches_of_rows_and_machines_without_onednn(monkeypatch):
    x, weight = torch.randn(4, 100, 200), torch.randn(8, 200)
    assert torch.equal(linear(x, weight), F.linear(x, weight))
    monkeypatch.setattr(products, "_ONEDNN", False)
    assert torch.equal(linear(x[0].repeat(4, 1), weight), F.linear(x[0].repeat(4, 1), weight))
