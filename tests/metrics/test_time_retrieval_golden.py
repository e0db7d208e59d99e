"""Retrieval by time of day as published, and as it is meant."""

import numpy as np
import pytest

from telltime.metrics import time_retrieval as metrics

KS = (1, 3, 5, 10, 20)


@pytest.mark.golden_files("ticl_retrieval_*.npz")
def test_the_published_protocol(golden, file):
    stored = golden.npz(file)
    depth = stored["neighbours"].shape[1]
    found = metrics.neighbours(stored["query_features"], stored["database_features"], depth)
    assert (found.indices != stored["neighbours"]).sum() <= 2, "one pair of equal distances may change places"
    np.testing.assert_allclose(found.distances, stored["squared_distances"], rtol=1e-4)

    hours = metrics.time_difference(stored["query_minutes"] / 60, stored["database_minutes"] / 60)
    places = metrics.place_difference(stored["query_latlon"], stored["database_latlon"], wrap=False)
    near = np.take_along_axis
    np.testing.assert_allclose(near(hours, stored["neighbours"], 1), stored["time_difference_hours"], atol=1e-9)
    np.testing.assert_allclose(near(places, stored["neighbours"], 1), stored["geo_difference"], atol=1e-9)

    within, reach = float(stored["time_threshold_hours"]), float(stored["geo_threshold"])
    right = (hours <= within) & (places <= reach)
    hits = metrics.hits_of(found, right)
    assert [metrics.recall(hits, KS)[k] for k in KS] == pytest.approx(stored["true_recall_at_1_3_5_10_20"].tolist())
    said = stored["reference_recall_at_1_3_5_10_20"].tolist()
    assert [metrics.published_recall(hits, KS)[k] for k in KS] == pytest.approx(said)

    strict = (hours < within) & (places < reach)
    np.testing.assert_array_equal(strict.sum(1), stored["positives_per_query_strict"])
    chance = metrics.chance_recall(strict, KS)
    assert [chance[k] for k in KS] == pytest.approx(stored["reference_chance_recall"].tolist(), nan_ok=True)

    for published, key in ((True, "reference_average_precision"), (False, "corrected_average_precision")):
        value, wanted = metrics.first_hit_precision(found, hits, published), float(stored[key])
        assert value == pytest.approx(wanted, nan_ok=True) or (np.isnan(value) and wanted == 0)
