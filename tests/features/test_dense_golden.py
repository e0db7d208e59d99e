"""Components and clusters of grids of features against the published functions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from telltime.features.kmeans import centroids, drawn_places, inertia, nearest, proto_assign
from telltime.features.principal import ScaledComponents


@pytest.fixture(scope="module")
def stored(golden):
    return golden.npz("timet_cluster.npz")


@pytest.fixture(scope="module")
def features(golden, stored):
    """Float ``[batch, frames, s * s, d]``: clearly apart around some directions."""
    batch, frames, side, dim, k, _ = stored["config"].tolist()
    seed, shape = int(stored["seed"]), (batch, frames, side * side, dim)
    centre = golden.tensor("timet.cluster.centres", (k, dim), seed)
    which = golden.tensor("timet.cluster.which", (*shape[:-1], k), seed).argmax(-1)
    np.testing.assert_array_equal(which, stored["which"])
    return centre[which] + 0.15 * golden.tensor("timet.cluster.noise", shape, seed)


@pytest.fixture(scope="module")
def grid(stored):
    """The published components as a grid ``[batch * frames, D, s, s]``."""
    batch, frames, side, *_ = stored["config"].tolist()
    pca = torch.from_numpy(stored["pca"])
    return pca.view(batch * frames, side, side, -1).permute(0, 3, 1, 2)


def test_components(stored, features):
    rows = features.flatten(0, 2)
    learned = ScaledComponents(stored["pca"].shape[1])
    for part in rows.split(37):
        learned.add(part)
    ours, theirs = learned.apply(rows).numpy(), stored["pca"]
    sign = np.sign((ours * theirs).sum(0))
    assert np.abs(ours * sign - theirs).max() < 5e-4


def test_prototypes(golden, stored, features):
    batch, frames, side, dim, k, size = stored["config"].tolist()
    prototypes = golden.tensor("timet.cluster.prototypes", (k + 3, dim), int(stored["seed"]))
    grids = features.view(batch * frames, side, side, dim).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(proto_assign(grids, prototypes, (size, size)), stored["proto_assign"])


@pytest.mark.parametrize("protocol", ["frame-wise", "sample-wise", "dataset-wise"])
@pytest.mark.parametrize("which", ["k", "gt"])
def test_clusters(stored, grid, protocol, which):
    """At most 1 % more inertia than the published program's; the same clusters with the same components."""
    batch, frames, _, _, k, size = stored["config"].tolist()
    groups = {"frame-wise": batch * frames, "sample-wise": batch, "dataset-wise": 1}[protocol]
    labels = stored["annotations"].reshape(groups, -1)
    published = stored[f"{protocol}_{which}"].reshape(groups, -1, size, size)
    for part, known, theirs, most in zip(
        grid.chunk(groups), labels, published, stored[f"{protocol}_{which}_inertia"], strict=True
    ):
        clusters = k if which == "k" else len(np.unique(known))
        means = centroids(drawn_places(part, (size, size), 256 * clusters), clusters)
        wide = F.interpolate(part.double(), (size, size), mode="bilinear", align_corners=False)
        assert inertia(wide.permute(0, 2, 3, 1).flatten(0, 2), means) <= 1.01 * most
        ours = nearest(part, means, (size, size))
        pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1, return_counts=True)[1]
        assert np.sort(pairs)[-clusters:].sum() >= 0.999 * ours.size
