"""Ragged sequences against lists of tensors."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.ragged import Ragged


def sequences(lengths):
    return [torch.randn(n, 3, generator=torch.Generator().manual_seed(i)) for i, n in enumerate(lengths)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.data())
def test_it_is_a_list_of_tensors(lengths, data):
    held = sequences(lengths)
    ragged = Ragged.of(held)
    assert len(ragged) == len(held)
    assert ragged.lengths.tolist() == lengths
    assert all(torch.equal(one, two) for one, two in zip(ragged, held, strict=True))
    chosen = data.draw(st.lists(st.integers(0, len(held) - 1), max_size=10))
    taken = ragged.take(chosen)
    assert len(taken) == len(chosen)
    assert all(torch.equal(taken[i], held[j]) for i, j in enumerate(chosen))
    first, last = sorted((data.draw(st.integers(0, len(held))), data.draw(st.integers(0, len(held)))))
    part = ragged.slice(first, last)
    assert all(torch.equal(one, two) for one, two in zip(part, held[first:last], strict=True))
    means = torch.stack([one.mean(0) if len(one) else torch.zeros(3) for one in held])
    torch.testing.assert_close(ragged.mean(), means)


def test_offsets_that_do_not_fit_are_refused():
    rows = torch.zeros(4, 2)
    for offsets in ([1, 4], [0, 3], [0, 3, 2, 4], []):
        with pytest.raises(ValueError, match="offsets"):
            Ragged(rows, torch.tensor(offsets, dtype=torch.int64))
    with pytest.raises(IndexError):
        Ragged(rows, torch.tensor([0, 4]))[1]
