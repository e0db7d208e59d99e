import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.media.video import Frames, Probe, Video
from telltime.media.write import write_video
from telltime.views.segment_views import SegmentViews, crop_corners, segment_views


def test_frames_are_those_published(golden):
    file = golden.npz("time_data.npz")
    told = json.loads(str(file["config"]))
    for clip in told["frames"]:
        for row, length in enumerate(told["lengths"]):
            assert segment_views(length, 1, clip)[0].tolist() == file[f"test_indices_{clip}"][row].tolist()


def test_crops_are_those_published(golden, monkeypatch):
    file = golden.npz("time_data.npz")
    told = json.loads(str(file["config"]))
    for number, (height, width) in enumerate(told["sizes"]):
        footage = golden.time_inputs.clip(f"time/clip{number}", 20 + 5 * number, height, width, told["seed"])
        item = SegmentViews(1, 3, frames=file[f"test_crops_{number}"].shape[1])(_Footage(footage))
        found = (item["clips"].float() / 255 - 0.5) / 0.5
        np.testing.assert_allclose(found[..., ::16, ::16].numpy(), file[f"test_crops_{number}"], atol=1.01 / 255)


class _Footage(Video):
    """A video of frames uint8 ``[T, H, W, 3]`` that lie in memory."""

    def __init__(self, frames):
        super().__init__("footage")
        self.held = frames

    def probe(self):
        count, height, width, _ = self.held.shape
        return Probe(count, 25.0, width, height, 0, "none", count / 25)

    def frames(self, indices, partial=False, short_side=None):
        pixels = torch.from_numpy(self.held[indices]).permute(0, 3, 1, 2)
        return Frames(pixels, np.asarray(indices) / 25, np.asarray(indices))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 6), st.integers(1, 20))
def test_frames_rise_and_stay_inside(frames, positions, clip):
    found = segment_views(frames, positions, clip)
    assert found.shape == (positions, clip)
    assert found.min() >= 0
    assert found.max() <= frames - 1
    assert (np.diff(found, axis=1) >= 0).all()
    assert (np.diff(found, axis=0) >= 0).all()


def test_several_positions_are_of_other_frames():
    found = segment_views(101, 4, 10)
    assert len(np.unique(found)) == 40


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 64))
def test_crops_lie_in_the_picture_and_reach_its_ends(down, across, size):
    height, width = size + down, size + across
    for crops in (1, 3):
        corners = crop_corners(height, width, size, crops)
        assert len(corners) == crops
        assert all(0 <= top <= height - size and 0 <= left <= width - size for top, left in corners)
    axis = 0 if height > width else 1
    assert corners[0][axis] == 0
    assert corners[2][axis] == (height, width)[axis] - size


def test_a_file_gives_clips_of_its_whole_length(tmp_path):
    write_video(tmp_path / "v.avi", (np.full((48, 64, 3), 5 * t, np.uint8) for t in range(40)))
    item = SegmentViews(2, 3, size=32, frames=4)(Video(tmp_path / "v.avi"))
    assert item["clips"].shape == (6, 4, 3, 32, 32)
    assert item["present"].all()
    light = item["clips"].float().mean((2, 3, 4))
    assert (light.diff(dim=1) > 30).all()
    assert (light[3:] > light[:3]).all()
    write_video(tmp_path / "short.avi", (np.full((48, 64, 3), 40 * t, np.uint8) for t in range(2)))
    assert SegmentViews(size=32, frames=8)(Video(tmp_path / "short.avi"))["clips"].shape == (1, 8, 3, 32, 32)


def test_settings_that_mean_nothing():
    for wrong, said in (({"crops": 2}, "1 or 3 crops"), ({"positions": 0}, "at least 1"), ({"crop": 0.0}, "at least 1")):
        with pytest.raises(ValueError, match=said):
            SegmentViews(**wrong)
    with pytest.raises(ValueError, match="have no parts"):
        segment_views(0)
