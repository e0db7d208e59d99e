from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.datasets.record import Record
from telltime.features.crops import Crops, nearest

RECORD = Record("one", Path("one.png"))


def positions(height=48, width=64):
    """Frames whose red is the row and green the column, and labels of the same."""
    rows, columns = np.mgrid[:height, :width]
    frame = np.stack([rows * 4, columns * 4 - 4 * (columns > 62), np.zeros_like(rows)]).astype(np.uint8)
    return torch.from_numpy(frame)[None], rows[None].astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999), st.floats(0, 1))
def test_labels_follow_their_frames(epoch, flip):
    frames, rows = positions()
    made, labels = Crops((0.4, 1.0), flip=flip).of(0, epoch, 32, 16)(RECORD, frames, rows)
    assert made.shape == (1, 3, 32, 32)
    seen = made[0, 0].float().unflatten(0, (16, 2)).unflatten(2, (16, 2)).mean((1, 3)) / 4
    np.testing.assert_allclose(seen.numpy(), labels[0], atol=3)


def test_mirror_images_mirror_labels():
    frames, _ = positions()
    columns = np.broadcast_to(np.arange(64, dtype=np.uint8), (1, 48, 64))
    made, labels = Crops((1.0, 1.0), flip=1.0).of(0, 0, 32, 32)(RECORD, frames, columns)
    assert (np.diff(labels[0, 0].astype(int)) <= 0).all()
    assert (np.diff(made[0, 1, 10].numpy().astype(int)) <= 0).all()


def test_what_is_drawn_depends_on_seed_epoch_and_record_alone():
    frames, rows = positions()
    crops = Crops((0.5, 2.0), flip=0.5, jitter=0.1)
    one, two = (crops.of(1, 2, 24, 24)(RECORD, frames, rows)[0] for _ in range(2))
    assert torch.equal(one, two)
    others = (
        crops.of(1, 3, 24, 24)(RECORD, frames, rows)[0],
        crops.of(1, 2, 24, 24)(Record("two", RECORD.path), frames, rows)[0],
    )
    assert not any(torch.equal(one, other) for other in others)


def test_no_labels_are_none():
    assert Crops((0.5, 1.0)).of(0, 0, (8, 12), None)(RECORD, positions()[0], None)[1] is None


@pytest.mark.parametrize(("old", "new"), [(28, 100), (14, 112), (100, 28), (500, 448), (7, 7)])
def test_nearest_is_torchs(old, new):
    row = torch.arange(old, dtype=torch.float32).view(1, 1, 1, old)
    np.testing.assert_array_equal(nearest(row[0, 0].numpy(), (1, new))[0], F.interpolate(row, (1, new))[0, 0, 0])


def test_nearest_takes_the_top_left_pixel():
    np.testing.assert_array_equal(nearest(np.arange(7)[None], (1, 3)), [[0, 2, 4]])
    np.testing.assert_array_equal(nearest(np.arange(3)[None], (2, 6)), [[0, 0, 1, 1, 2, 2]] * 2)
