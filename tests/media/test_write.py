"""Written videos are whole, the same every time, and refused with the reason."""

import numpy as np
import pytest

from telltime.media.video import Video
from telltime.media.write import write_video


@pytest.mark.parametrize("name", ["a.avi", "a.mp4", "a.mkv"])
def test_the_same_frames_give_the_same_bytes(tmp_path, footage, name):
    for folder in "xy":
        write_video(tmp_path / folder / name, footage(20, 49, 81), g=12)
    assert (tmp_path / "x" / name).read_bytes() == (tmp_path / "y" / name).read_bytes()
    assert [p.name for p in (tmp_path / "x").iterdir()] == [name]


def test_lossless_round_trip(tmp_path, footage):
    frames = np.stack(list(footage(5)))
    write_video(tmp_path / "a.mkv", frames, codec="ffv1", rate=29.97)
    video = Video(tmp_path / "a.mkv")
    np.testing.assert_array_equal(video.frames(range(5)).pixels.permute(0, 2, 3, 1).numpy(), frames)
    assert video.probe().rate == pytest.approx(29.97, abs=0.01)


def test_default_quality_is_good(tmp_path, footage):
    frames = np.stack(list(footage(12)))
    write_video(tmp_path / "a.avi", frames)
    error = Video(tmp_path / "a.avi").frames(range(12)).pixels.permute(0, 2, 3, 1).numpy().astype(int) - frames
    assert np.abs(error).mean() < 4


def frames_that_break():
    yield np.zeros((32, 48, 3), np.uint8)
    raise RuntimeError("the camera fell")


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ([], ValueError, "no frames"),
        ([np.zeros((32, 48, 3), np.uint8), np.zeros((32, 50, 3), np.uint8)], ValueError, "frame 1 is 50x32"),
        ([np.zeros((32, 48, 3), np.float32)], ValueError, "frame 0 must be uint8"),
        ([np.zeros((32, 48), np.uint8)], ValueError, "frame 0 must be uint8"),
        (frames_that_break(), RuntimeError, "the camera fell"),
    ],
)
def test_a_failure_leaves_the_old_file(tmp_path, frames, error, message):
    (tmp_path / "a.avi").write_bytes(b"old")
    with pytest.raises(error, match=message):
        write_video(tmp_path / "a.avi", frames)
    assert (tmp_path / "a.avi").read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.avi"]


@pytest.mark.parametrize(
    ("name", "codec", "why"),
    [("a.avi", "no-such-codec", "no-such-codec"), ("a.mp4", "libx264", "libx264 cannot"), ("a.odd", "mpeg4", "suffix")],
)
def test_refused_by_the_encoder(tmp_path, footage, name, codec, why):
    with pytest.raises(ValueError, match=rf"{name}.*{why}"):
        write_video(tmp_path / name, footage(2, 49, 81), codec=codec)
    assert list(tmp_path.iterdir()) == []
