"""A real file through the whole reader, against the published loader."""

import numpy as np
import pytest
import torch

from telltime.media.video import Video
from telltime.views.readers import TCLRReader
from telltime.views.tclr import augment

PUBLISHED_ORDER = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]
"""Global, local 0..3, then the second versions, as positions in an item."""


@pytest.fixture(scope="module")
def arrays(golden):
    return golden.npz("tclr_video_clips.npz")


@pytest.fixture(scope="module")
def video(golden):
    return Video(golden.path("tclr_video.avi"))


@pytest.fixture(scope="module")
def item(arrays, video):
    return TCLRReader()(video, np.random.RandomState(int(arrays["np_seed"])))


def test_the_file_is_decoded_as_published(arrays, video):
    assert video.probe().frames == len(arrays["frame_sums"])
    pixels = video.frames(range(len(arrays["frame_sums"]))).pixels
    sums = pixels.flatten(1).sum(1, dtype=torch.int64).numpy()
    np.testing.assert_allclose(sums, arrays["frame_sums"], rtol=1e-4)


def test_windows_are_the_published_ones(arrays, item):
    assert item["start"][0] == item["start"][1] == arrays["decoded_sparse"][0]
    assert item["start"][2::2].tolist() == arrays["decoded_dense"][:, 0].tolist()


def test_clips_are_the_published_ones(arrays, item):
    views = augment(item["clips"], {key: value for key, value in item.items() if key != "clips"})[PUBLISHED_ORDER]
    expected = torch.from_numpy(arrays["frames_uint8"]).float()
    ours = views[:, :, arrays["picked"]].transpose(1, 2) * 255
    assert ours.shape == expected.shape
    far = (ours - expected).abs()
    assert (far > 1.01).float().mean() < 0.005
    assert far.max() <= 12
    np.testing.assert_allclose(views.mean((1, 3, 4)).numpy(), arrays["frame_means"], atol=1e-3)
