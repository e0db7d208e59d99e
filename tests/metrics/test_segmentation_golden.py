"""Matched scores of segmentations against the published functions."""

import numpy as np
import pytest

from telltime.metrics.segmentation import confusion, localisation, matched_iou

MATCHINGS = {"hungarian": "hungarian", "m2o_precision": "precision", "m2o_iou": "iou", "linear": "none"}


@pytest.fixture(scope="module")
def stored(golden):
    return golden.npz("timet_metrics.npz")


@pytest.mark.parametrize("mode", MATCHINGS)
@pytest.mark.parametrize("background", [True, False])
def test_matched_scores(stored, mode, background):
    kept = stored["gt"] != 255
    for k in stored["ks"].tolist():
        predicted = stored[f"pred{k}"]
        counts = confusion(stored["gt"], predicted, 256, k)
        found = matched_iou(counts, MATCHINGS[mode], background)
        assert found.mean == pytest.approx(float(stored[f"{mode}_{k}_bg{int(background)}"]), abs=1e-12)
        for name, ours in (("tp", found.tp), ("fp", found.fp), ("fn", found.fn)):
            np.testing.assert_array_equal(ours, stored[f"{mode}_{k}_{name}"])
        np.testing.assert_array_equal(found.mapping[predicted[kept]], stored[f"{mode}_{k}_reordered"])


@pytest.mark.parametrize("protocol", ["frame", "clip", "dataset"])
@pytest.mark.parametrize("mode", ["hungarian", "m2o_precision"])
def test_localisation(stored, protocol, mode):
    """The published one counts void as a label of frames and clips."""
    void = 255 if protocol == "dataset" else None
    published = {"frame": "frame-wise", "clip": "sample-wise", "dataset": "dataset-wise"}[protocol]
    truth = stored["gt"].reshape(-1, 2, *stored["gt"].shape[1:])
    for k in stored["ks"].tolist():
        name = f"localization_{published}_{mode}_{k}"
        if name not in stored:
            continue
        predicted = stored[f"pred{k}"].reshape(truth.shape)
        ours = localisation(truth, predicted, protocol, MATCHINGS[mode], void=void)
        assert ours == pytest.approx(float(stored[name]), abs=1e-12)
