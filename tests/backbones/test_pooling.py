import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.backbones.pooling import POOLINGS, gem, imac, mac, mean, rmac


def maps(seed, height, width):
    return torch.randn(2, 5, height, width, generator=torch.Generator().manual_seed(seed))


@given(st.sampled_from(sorted(POOLINGS)), st.integers(0, 99), st.integers(1, 20), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_rows_have_length_one_whatever_the_map(name, seed, height, width):
    rows = POOLINGS[name](maps(seed, height, width).relu() + 0.01)
    assert rows.shape == (2, 5)
    assert torch.allclose(rows.norm(dim=1), torch.ones(2), atol=1e-5)


def test_gem_lies_between_mean_and_mac():
    x = maps(0, 7, 7).relu()
    assert torch.allclose(gem(x, 1.0), mean(x), atol=1e-4)
    assert torch.allclose(gem(x, 60.0), mac(x), atol=0.05)
    assert torch.allclose(gem(x, 3), gem(x, 3.0000001), atol=1e-5)


def test_a_strong_place_does_not_outweigh_others_in_imac():
    x = maps(1, 7, 7).relu()
    louder = x.clone()
    louder[..., 3, 3] *= 100
    assert torch.allclose(imac(x), imac(louder), atol=1e-6)
    assert not torch.allclose(mac(x), mac(louder), atol=1e-2)


def test_where_things_are_counts_in_no_pooling_over_all_places():
    x = maps(2, 6, 9)
    for pool in (mean, mac, imac, gem):
        assert torch.allclose(pool(x), pool(x.flip(3).flip(2)), atol=1e-6)


def test_a_map_too_small_for_regions_is_one_region():
    assert torch.equal(rmac(maps(3, 3, 8)), imac(maps(3, 3, 8)))


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_nothing_gives_no_nan(name):
    assert torch.isfinite(POOLINGS[name](torch.zeros(1, 4, 7, 7))).all()
