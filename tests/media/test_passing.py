"""Frames that pass by are the frames that are read at once."""

import numpy as np
import pytest
import torch

from telltime.media.video import Video
from telltime.media.write import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("passing") / "a.avi"
    rng = np.random.default_rng(0)
    write_video(path, (rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(30)), g=12)
    return Video(path)


@pytest.mark.parametrize("together", [1, 4, 100])
def test_each_frame_comes_once_in_order(video, together):
    wanted = [7, 3, 3, 28, 12, 13, 99]
    came = [(indices.tolist(), pixels.clone()) for indices, pixels in video.passing(wanted, together)]
    assert [index for indices, _ in came for index in indices] == [3, 7, 12, 13, 28]
    assert all(len(indices) == len(pixels) <= together for indices, pixels in came)
    assert torch.equal(torch.cat([pixels for _, pixels in came]), video.frames([3, 7, 12, 13, 28]).pixels)


def test_a_span_counts_from_its_first_frame(video):
    part = Video(video.path, span=(10, 20))
    ((indices, pixels),) = part.passing(range(8, 12), 8)
    assert indices.tolist() == [8, 9]
    assert torch.equal(pixels, video.frames([18, 19]).pixels)


def test_frames_before_the_first_are_refused(video):
    with pytest.raises(ValueError, match="start at 0"):
        next(video.passing([-1, 2]))


def test_nothing_asked_for_is_nothing(video):
    assert list(video.passing([])) == []
