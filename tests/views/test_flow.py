"""Flow between pictures whose motion is known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.views.flow import enlarged, flow, median, positions, smooth, warp


def texture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    blurred = smooth(noise, 2.0) + 2 * smooth(noise, 6.0)
    return (blurred - blurred.min()) / (blurred.max() - blurred.min())


@settings(max_examples=6, deadline=None)
@given(st.integers(-9, 9), st.integers(-7, 7), st.integers(0, 5))
def test_a_shift_is_found(right: int, down: int, seed: int) -> None:
    scene = texture(100, 120, seed)
    first, second = scene[..., 10:90, 12:108], scene[..., 10 - down : 90 - down, 12 - right : 108 - right]
    found = flow(first, second)[0, :, 16:-16, 16:-16]
    assert (found - torch.tensor([right, down]).view(2, 1, 1)).norm(dim=0).median() < 0.2


def test_pictures_of_one_batch_do_not_mix() -> None:
    a, b = texture(48, 64, 1), texture(48, 64, 2)
    both = flow(torch.cat([a, b]), torch.cat([a.roll(2, -1), b]))
    torch.testing.assert_close(both[:1], flow(a, a.roll(2, -1)), atol=1e-4, rtol=1e-4)
    assert both[1].abs().max() < 0.05


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (11, 13)])
def test_tiny_and_thin_pictures_have_a_flow(size: tuple[int, int]) -> None:
    picture = texture(*size)
    found = flow(picture, picture)
    assert found.shape == (1, 2, *size)
    assert torch.isfinite(found).all()


def test_flat_pictures_do_not_move() -> None:
    assert not flow(torch.zeros(1, 3, 40, 40), torch.ones(1, 3, 40, 40)).abs().max() > 1e-6


def test_pictures_of_two_sizes_have_none() -> None:
    with pytest.raises(ValueError, match="one shape"):
        flow(torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 9))


def test_warping_looks_up_where_flow_points() -> None:
    x = positions(6, 8, torch.zeros(1))[:1][None]
    moved = warp(x, torch.tensor([2.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 6, 8))
    torch.testing.assert_close(moved[0, 0, 0], torch.tensor([2.0, 3, 4, 5, 6, 7, 7, 7]))


def test_flow_on_another_grid_is_in_its_pixels() -> None:
    by = torch.tensor([8.0, 4.0]).view(1, 2, 1, 1).expand(1, 2, 40, 80)
    assert enlarged(by, (10, 40))[0, :, 3, 3].tolist() == [4.0, 1.0]
    assert enlarged(by, (80, 80))[0, :, 3, 3].tolist() == [8.0, 8.0]


def test_the_median_drops_what_stands_alone() -> None:
    maps = torch.zeros(1, 2, 9, 9)
    maps[0, 0, 4, 4] = 100
    assert median(maps).abs().max() == 0
