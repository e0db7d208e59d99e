"""Similarities against the reference outputs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from telltime.backbones.comparator import VideoComparator
from telltime.clips.ragged import Ragged
from telltime.search.similarity import (
    chamfer,
    comparator_chamfer,
    cosine,
    cosine_legacy,
    euclidean_legacy,
    symmetric_chamfer,
)
from telltime.search.temporal_network import tn


@pytest.fixture(scope="module")
def stored(golden):
    return golden.npz("tca_similarity.npz")


def videos(stored, name):
    found = []
    while f"{name}{len(found)}" in stored:
        found.append(torch.from_numpy(stored[f"{name}{len(found)}"]))
    return Ragged.of(found)


def near(found, expected, tolerance=2e-6):
    np.testing.assert_allclose(found.double().numpy(), expected, rtol=0, atol=tolerance)


def test_chamfer(stored):
    queries, gallery = videos(stored, "q"), videos(stored, "t")
    near(chamfer(queries, gallery), stored["chamfer"])
    near(symmetric_chamfer(queries, gallery), stored["symmetric_chamfer"])


def test_zero_rows_left_in_change_the_score_as_published(stored):
    queries, gallery = list(videos(stored, "q")), list(videos(stored, "t"))
    longer = Ragged.of([F.pad(gallery[0], (0, 0, 0, 6))])
    near(chamfer(Ragged.of(queries), longer)[:, 0], stored["padded_target_chamfer"])
    longer = Ragged.of([F.pad(queries[0], (0, 0, 0, 3))])
    near(chamfer(longer, Ragged.of(gallery))[0], stored["padded_query_chamfer"])


def test_temporal_network(stored):
    near(tn(videos(stored, "q"), videos(stored, "t"), top=5, least=0.2, reach=10), stored["tn"])


@pytest.mark.parametrize("kind", ["video", "raw"])
def test_vectors(stored, kind):
    queries, gallery = (torch.from_numpy(stored[f"{kind}_{side}"]) for side in "qt")
    near(cosine_legacy(queries, gallery), stored[f"{kind}_cosine"])
    near(euclidean_legacy(queries, gallery), stored[f"{kind}_euclidean"], 1.1e-6)
    zero = ~gallery.any(1)
    assert (cosine(queries, gallery)[:, zero] == 0).all()


def test_comparator(golden, stored):
    comparator = VideoComparator()
    comparator.load_state_dict(golden.fill(comparator.state_dict(), golden.tca_seed + 6))
    comparator.eval()
    queries = videos(stored, "q").take(stored["comparator_q"])
    gallery = videos(stored, "t").take(stored["comparator_t"])
    near(comparator_chamfer(queries, gallery, comparator), stored["chamfer_comparator"], 1e-5)
    near(comparator_chamfer(queries, gallery, comparator, symmetric=True), stored["symmetric_comparator"], 1e-5)
