"""Frames cropped beside the decoder: the published crop, the same pixels for any block size, and odd videos."""

import numpy as np
import pytest
import torch

from telltime.media.errors import MediaNotFound, Unreadable
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views.frame_reader import FrameReader, published_crop
from telltime.views.geometry import centre_crop


def pictures(count, height=64, width=96, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(-(-height // 6), 0).repeat(-(-width // 8), 1)
    for index in range(count):
        yield np.roll(coarse[:height, :width], 3 * index, 1)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "a.avi"
    write_video(path, pictures(47), rate=10, codec="ffv1")
    return path


def test_the_published_crop(golden):
    stored = golden.npz("tca_misc.npz")
    frames = torch.from_numpy(stored["crop_in"]).permute(2, 0, 1)[None]
    checked = 0
    for name, expected in stored.items():
        if name.startswith("crop") and name != "crop_in":
            found = published_crop(frames, int(name.removeprefix("crop")))[0].permute(1, 2, 0).numpy()
            assert found.shape == expected.shape
            difference = np.abs(found.astype(int) - expected)
            assert difference.max() <= 1
            assert difference.mean() < 0.05
            checked += 1
    assert checked


@pytest.mark.parametrize("together", [1, 3, 16])
@pytest.mark.parametrize("scaling", ["antialiased", "published"])
def test_frames_do_not_depend_on_how_many_come_together(video, together, scaling):
    reader = FrameReader("tca", size=28, scaling=scaling)
    blocks = list(reader.blocks(Video(video), together))
    assert all(len(block.pixels) == len(block.times) == len(block.indices) <= together for block in blocks)
    indices = np.concatenate([block.indices for block in blocks])
    assert indices.tolist() == [0, 9, 19, 29, 39]
    assert reader.wanted(Video(video)).tolist() == [0, 9, 19, 29, 39, 39]
    assert np.allclose(np.concatenate([block.times for block in blocks]), indices / 10)
    pixels = torch.cat([block.pixels for block in blocks])
    assert torch.equal(pixels, torch.cat([block.pixels for block in reader.blocks(Video(video), 5)]))
    whole = reader.frames(Video(video).frames(indices).pixels)
    assert whole.shape == pixels.shape == (5, 3, 28, 28)
    difference = (whole.int() - pixels.int()).abs().float()
    assert difference.mean() < (4 if scaling == "antialiased" else 1e-6), (
        "FFmpeg's filter and ours agree to a few levels"
    )


def test_a_crop_is_a_share_of_the_short_side(video):
    frames = Video(video).frames([0]).pixels
    assert torch.equal(FrameReader(size=24, crop=1.0).frames(frames), centre_crop(frames, 64, 24))
    assert FrameReader(size=224, crop=0.875).short_side == 256


@pytest.mark.parametrize(("height", "width"), [(2, 300), (300, 2), (8, 8), (33, 2)])
def test_narrow_and_tiny_videos_are_read(tmp_path, height, width):
    write_video(tmp_path / "a.avi", pictures(3, height, width), codec="ffv1")
    (block,) = FrameReader(size=224).blocks(Video(tmp_path / "a.avi"))
    assert block.pixels.shape == (1, 3, 224, 224)


def test_a_span_is_a_video_of_its_own(video):
    part = Video(video, span=(20, 40))
    (block,) = FrameReader("visil", size=16).blocks(part)
    assert block.indices.tolist() == [0, 10]
    assert np.allclose(block.times, [2.0, 3.0])


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(MediaNotFound):
        list(FrameReader().blocks(Video(tmp_path / "none.avi")))
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(Unreadable):
        list(FrameReader().blocks(Video(tmp_path / "text.mp4")))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"sampler": "x"}, "sampler"), ({"size": 0}, "size"), ({"crop": 1.5}, "crop"), ({"scaling": "x"}, "scaling")],
)
def test_impossible_settings_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        FrameReader(**arguments)


def test_only_bytes_of_colour_are_cropped():
    with pytest.raises(ValueError, match="uint8"):
        FrameReader().frames(torch.zeros(1, 3, 8, 8))
