"""k-means over grids looked at finer than they are, components and spools."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.features.kmeans import centroids, drawn_places, inertia, nearest
from telltime.features.principal import ScaledComponents
from telltime.features.spool import Spool


def grids(seed=0, n=2, d=6, h=3, w=5):
    return torch.randn(n, d, h, w, generator=torch.Generator().manual_seed(seed))


def upsampled(grid, size):
    return F.interpolate(grid.double(), size, mode="bilinear", align_corners=False)


@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 4), st.integers(1, 13), st.integers(1, 13))
@settings(max_examples=40, deadline=None)
def test_every_place_drawn_is_the_upsampled_feature(seed, h, w, height, width):
    grid = grids(seed, 2, 3, h, w)
    found = drawn_places(grid, (height, width), 10**6)
    wanted = upsampled(grid, (height, width)).permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(found.double(), wanted, atol=1e-5, rtol=0)


@given(st.integers(0, 99), st.integers(2, 140), st.booleans())
@settings(max_examples=25, deadline=None)
def test_nearest_is_that_of_upsampled_features(seed, k, smooth):
    """Few clusters go by upsampled distances, many by upsampled features."""
    grid, size = grids(seed), (9, 11)
    means = torch.randn(k, 6, generator=torch.Generator().manual_seed(seed + 1))
    found = nearest(grid, means, size, smooth)
    if smooth:
        wide = upsampled(grid, size)
    else:
        wide = F.interpolate(grid.double(), size, mode="nearest-exact")
    apart = torch.cdist(wide.permute(0, 2, 3, 1).flatten(0, 2), means.double())
    best = apart.topk(2, largest=False).values
    clear = (best[:, 1] - best[:, 0] > 1e-4).numpy()
    np.testing.assert_array_equal(found.ravel()[clear], apart.argmin(1).numpy()[clear])
    assert found.dtype == np.uint8


def test_more_clusters_than_a_byte_holds():
    means = torch.randn(300, 6)
    found = nearest(torch.cat([means[:, :, None, None]] * 2), means, (1, 1))
    assert found.dtype == np.uint16
    assert found.ravel().tolist() == [*range(300), *range(300)]


def test_the_places_drawn_are_those_of_faiss():
    """So k-means on them is faiss's own on everything."""
    import faiss

    grid = grids(1, 3, 6, 8, 8)
    everything = upsampled(grid, (20, 20)).permute(0, 2, 3, 1).flatten(0, 2).float().numpy()
    theirs = faiss.Kmeans(6, 3, niter=20, nredo=2, seed=4, max_points_per_centroid=50)
    theirs.train(np.ascontiguousarray(everything))
    ours = centroids(drawn_places(grid, (20, 20), 150, seed=4), 3, 20, 2, seed=4)
    np.testing.assert_allclose(ours, theirs.centroids, atol=1e-4)


def test_fewer_points_than_clusters():
    points = torch.randn(4, 3)
    means = centroids(points, 9)
    assert torch.equal(means, points)
    assert inertia(points, means) == pytest.approx(0, abs=1e-9)


def test_components_are_those_of_all_rows_at_once():
    rows = torch.randn(500, 12, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.arange(1.0, 13)) + 1000
    rows[:, 3] = 7.0  # constant
    learned = ScaledComponents(4)
    for part in rows.split(130):
        learned.add(part)
    scaled = rows.double() - rows.double().mean(0)
    scaled /= scaled.std(0, correction=0).where(scaled.std(0, correction=0) > 0, torch.tensor(1.0))
    wanted = (scaled @ torch.linalg.svd(scaled, full_matrices=False).Vh[:4].T).numpy()
    found = learned.apply(rows).numpy()
    np.testing.assert_allclose(np.abs(found), np.abs(wanted), atol=2e-3)
    shaped = learned.grid(rows[:60].view(3, 4, 5, 12).permute(0, 3, 1, 2))
    np.testing.assert_allclose(shaped.permute(0, 2, 3, 1).reshape(60, 4), found[:60], atol=1e-4)


def test_fewer_channels_or_rows_than_components():
    learned = ScaledComponents(50)
    learned.add(torch.randn(3, 8))
    assert learned.apply(torch.randn(5, 8)).shape == (5, 8)
    assert torch.isfinite(learned.apply(torch.randn(5, 8))).all()


def test_components_of_nothing():
    learned = ScaledComponents()
    learned.add(torch.zeros(0, 4))
    with pytest.raises(ValueError, match="no row was added"):
        learned.apply(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="at least one component"):
        ScaledComponents(0)


@pytest.mark.parametrize("memory", [1, 1 << 20])
def test_a_spool_gives_back_what_was_put_in(memory):
    blocks = [np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.ones((1, 3, 4), np.uint8), np.zeros((0, 5))]
    with Spool(memory) as spool:
        for block in blocks:
            spool.append(block)
        for _ in range(2):
            for put, got in zip(blocks, spool, strict=True):
                np.testing.assert_array_equal(put, got)
                assert put.dtype == got.dtype
        assert len(spool) == 3
