"""Frames handed on as they decode, and the time limit that holds from one to the next."""

import time

import numpy as np
import pytest

from telltime.media.errors import DecodeTimeout
from telltime.media.video import Limits, Video
from telltime.media.write import write_video


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a.avi"
    rng = np.random.default_rng(0)
    write_video(path, (rng.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(30)), g=12)
    return path


def test_each_comes_once_in_order_with_its_time(path):
    came = [(picture.index, picture.seconds) for picture in Video(path).pictures([7, 3, 3, 28, 99])]
    assert came == [(3, 3 / 25), (7, 7 / 25), (28, 28 / 25)]
    assert [p.index for p in Video(path, span=(10, 20)).pictures(range(8, 12))] == [8, 9]
    with pytest.raises(ValueError, match="start at 0"):
        next(Video(path).pictures([-1]))


def test_they_are_written_in_any_size(path):
    rows = np.empty((16, 24, 3), np.uint8)
    for picture in Video(path).pictures([5]):
        picture.write(rows)
        assert np.array_equal(picture.pixels(), Video(path).frames([5]).pixels[0].permute(1, 2, 0).numpy())
    small = Video(path).frames([5], short_side=16).pixels[0].permute(1, 2, 0).numpy()
    assert np.array_equal(rows, small)


def test_a_taker_may_take_longer_than_the_limit_of_one_read(path):
    video = Video(path, limits=Limits(seconds=0.5))
    count = 0
    for _ in video.pictures(range(0, 30, 6)):
        time.sleep(0.2)
        count += 1
    assert count == 5
    frames = video.passing(range(0, 30, 6))
    next(frames)
    time.sleep(0.6)
    with pytest.raises(DecodeTimeout):
        next(frames)
