"""Joined scores of views against the published meter."""

import json

import numpy as np
import pytest
import torch

from telltime.metrics.classification import fused_scores, topk_accuracy


@pytest.mark.parametrize("fuse", ["sum", "max"])
def test_views_are_joined_as_published(golden, fuse):
    file = golden.npz("time_eval.npz")
    told = json.loads(str(file["config"]))
    videos, classes, views = told["videos"], told["classes"], told["ensemble_views"] * told["spatial_crops"]
    scores = golden.tensor("time/view_scores", (videos * views, classes), told["seed"])
    labels = golden.time_inputs.integers("time/view_labels", (videos,), classes, told["seed"])
    order = torch.as_tensor(file["order"])
    rows = torch.zeros_like(scores).index_copy(0, order, scores[order])
    logits, present = rows.unflatten(0, (videos, views)), torch.ones(videos, views, dtype=torch.bool)
    assert file["clip_count"].tolist() == present.sum(1).tolist()
    found = fused_scores(logits, present, fuse)
    np.testing.assert_allclose(found.numpy(), file[f"video_scores_{fuse}"], rtol=1e-5, atol=1e-6)
    best = topk_accuracy(found, labels, (1, 5))
    published = [round(100 * value, 2) for value in best.values()]
    np.testing.assert_allclose(published, file[f"top1_top5_{fuse}"], atol=0.011)
    each = topk_accuracy(scores, labels.repeat_interleave(views), (1, 5))
    np.testing.assert_allclose([share * len(scores) for share in each.values()], file["topk_correct"], atol=1e-6)
