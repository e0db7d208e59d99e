"""The losses against their formulas, and columns that are left out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.ragged import Ragged
from telltime.losses.circle import circle, circle_legacy, info_nce, triplet
from telltime.losses.frames import chamfer_matrix

LOSSES = [circle, info_nce, triplet]


def logits_of(rows: int = 3, columns: int = 6) -> torch.Tensor:
    return torch.rand(rows, columns, generator=torch.Generator().manual_seed(rows)) * 2 - 1


@pytest.mark.parametrize("loss", LOSSES)
def test_left_out_columns_count_for_nothing(loss) -> None:
    logits = logits_of()
    valid = torch.tensor([True, True, False, True, False, True])
    full = logits.clone().requires_grad_()
    got = loss(full, valid=valid)
    got.backward()
    torch.testing.assert_close(got, loss(logits[:, valid]))
    assert full.grad is not None
    assert (full.grad[:, ~valid] == 0).all()


@pytest.mark.parametrize("loss", [*LOSSES, circle_legacy])
def test_nothing_to_compare_with_is_no_loss(loss) -> None:
    logits = logits_of().requires_grad_()
    valid = torch.tensor([True] + [False] * 5)
    value = loss(logits, valid=valid)
    value.backward()
    assert value == 0
    assert torch.isfinite(logits.grad).all()


def test_the_slip_is_there_with_more_than_one_row_only_by_request() -> None:
    assert not torch.allclose(circle(logits_of(), 0.25, 16), circle_legacy(logits_of(), 0.25, 16))


def test_triplet_is_a_hinge() -> None:
    logits = torch.tensor([[0.5, 0.1, 0.4]])
    torch.testing.assert_close(triplet(logits, margin=0.2), torch.tensor((0.0 + 0.1) / 2))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_chamfer_matrix(first: list[int], second: list[int]) -> None:
    generator = torch.Generator().manual_seed(sum(first))
    a, b = (Ragged.of([torch.randn(n, 3, generator=generator) for n in sizes]) for sizes in (first, second))
    a.rows.requires_grad_()
    found = chamfer_matrix(a, b)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            product = x @ y.T
            expected = (product.amax(1).mean() + product.amax(0).mean()) / 2
            torch.testing.assert_close(found[i, j], expected)
    found.sum().backward()
    assert torch.isfinite(a.rows.grad).all()
