"""Frames that pass by are the frames that are read at once."""

import numpy as np
import pytest
import torch
from PIL import Image

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


def test_channels_come_in_the_order_asked_for(video):
    ((_, rgb),) = [(i, p.clone()) for i, p in video.passing([4, 5], 2)]
    ((_, bgr),) = [(i, p.clone()) for i, p in video.passing([4, 5], 2, order="bgr")]
    assert torch.equal(bgr, rgb.flip(1))
    with pytest.raises(ValueError, match="gbr"):
        next(video.passing([4], order="gbr"))


@pytest.mark.parametrize("together", [1, 3])
@pytest.mark.parametrize("turned", [0, 90, 180, -90])
def test_turned_videos_pass_upright(tmp_path, together, turned):
    path = tmp_path / "turned.mp4"
    rng = np.random.default_rng(1)
    write_video(path, (rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(4)), rotation=turned)
    came = torch.cat([pixels.clone() for _, pixels in Video(path).passing(range(4), together)])
    assert torch.equal(came, Video(path).frames(range(4)).pixels)


@pytest.mark.parametrize("together", [1, 3])
def test_pictures_of_a_folder_pass_in_either_order(tmp_path, together):
    rng = np.random.default_rng(2)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    folder = Video(tmp_path)
    rgb, bgr = (
        torch.cat([pixels.clone() for _, pixels in folder.passing(range(3), together, order)])
        for order in ("rgb", "bgr")
    )
    assert torch.equal(rgb, folder.frames(range(3)).pixels)
    assert torch.equal(bgr, rgb.flip(1))
