"""Our motion and its directions against the reference's, which are OpenCV's."""

import json
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from telltime.views.farneback import GREY, direction_labels, farneback, flow_labels


def test_motion_of_a_made_clip_and_its_directions(golden: Any) -> None:
    file = golden.npz("time_data.npz")
    seed = json.loads(str(file["config"]))["seed"]
    video = torch.from_numpy(golden.time_inputs.clip("time/flow", 4, 112, 112, seed, (3, -2)))
    clips = video.permute(0, 3, 1, 2)[None].float() / 255
    grey = 256 * torch.einsum("ntchw,c->nthw", clips, torch.tensor(GREY)) - 128
    grid = file["flow_vectors"].shape[-2:]
    vectors = F.adaptive_avg_pool2d(farneback(grey)[0], grid)
    np.testing.assert_allclose(vectors, file["flow_vectors"], atol=1e-3)
    labels = flow_labels(clips, grid)[0].numpy()
    assert (labels == file["flow_labels_direct"]).mean() >= 0.99


def test_vectors_are_sorted_into_directions_as_published(golden: Any) -> None:
    file = golden.npz("time_data.npz")
    seed = json.loads(str(file["config"]))["seed"]
    stored = file["binned_labels"]
    vectors = golden.tensor("time/vectors", (len(stored), 2, 14, 14), seed) * 2
    vectors[1] *= 0
    vectors[2, :, :7] *= 0.01
    np.testing.assert_array_equal(direction_labels(vectors), stored)
