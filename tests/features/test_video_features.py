"""One feature a video from a VideoMAE, where the library that has it is installed."""

import pytest
import torch

from telltime.checkpoints.errors import CheckpointError
from telltime.clips.policy import BadMedia
from telltime.datasets import load
from telltime.features.video_features import VideoMAE, compute_video_features


def test_features_are_computed_once(tiny_ucf, tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.VideoMAEConfig(image_size=32, patch_size=16, num_frames=16, **sizes)
    transformers.VideoMAEModel(config).save_pretrained(tmp_path / "mae")
    network = VideoMAE(str(tmp_path / "mae"))
    table = load("ucf101", tiny_ucf, "test").take([0, 3])
    found = compute_video_features(network, table, tmp_path / "cache", BadMedia())
    assert sorted(found) == sorted(record.id for record in table.records)
    assert all(row.shape == (24,) and row.isfinite().all() for row in found.values())
    network.forward = None
    again = compute_video_features(network, table, tmp_path / "cache")
    torch.testing.assert_close(again, found)
    with pytest.raises(CheckpointError, match="gives no VideoMAE"):
        VideoMAE(str(tmp_path / "nowhere"))
