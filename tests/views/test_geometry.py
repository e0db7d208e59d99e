"""Crops against Pillow, inside and outside the frame."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from telltime.views.geometry import (
    centre_box,
    centre_crop,
    crop,
    crop_resize,
    empty_clips,
    take_frames,
)


def pictures(count, height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, height // 6 + 1, width // 6 + 1, 3), dtype=np.uint8)
    smooth = [Image.fromarray(c).resize((width, height), Image.Resampling.BICUBIC) for c in coarse]
    return torch.from_numpy(np.stack([np.asarray(s) for s in smooth])).permute(0, 3, 1, 2)


def pillow(frame, top, left, side, size):
    image = Image.fromarray(frame.permute(1, 2, 0).numpy()).crop((left, top, left + side, top + side))
    return torch.from_numpy(np.asarray(image.resize((size, size), Image.Resampling.BILINEAR)).copy()).permute(2, 0, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(-20, 50), st.integers(-20, 60), st.integers(1, 70), st.sampled_from([8, 24, 33]), st.booleans())
def test_any_box_is_what_pillow_cuts(top, left, side, size, channels_last):
    frames = pictures(2, 48, 64)
    frames = frames if channels_last else frames.contiguous()
    ours = crop_resize(frames, top, left, side, size)
    assert ours.shape == (2, 3, size, size)
    theirs = torch.stack([pillow(frame, top, left, side, size) for frame in frames])
    assert (ours.int() - theirs.int()).abs().max() <= 1


def test_a_box_wholly_outside_is_black():
    frames = pictures(1, 20, 20)
    assert crop_resize(frames, 30, 0, 10, 8).max() == 0
    assert crop_resize(frames, 0, -15, 10, 8).max() == 0


def test_writes_into_a_piece_of_a_large_tensor():
    frames = pictures(4, 48, 64)
    clips = empty_clips(3, 4, 3, 16, 16).zero_()
    crop_resize(frames, 3, 5, 40, 16, clips[1])
    assert torch.equal(clips[1], crop_resize(frames, 3, 5, 40, 16))
    assert clips[0].max() == clips[2].max() == 0
    assert clips.movedim(-3, -1).is_contiguous()


def test_a_box_of_the_result_size_is_copied():
    frames = pictures(1, 48, 64)
    assert torch.equal(crop_resize(frames, 4, 9, 30, 30), frames[..., 4:34, 9:39])


def test_an_inner_box_is_a_view():
    frames = pictures(1, 48, 64)
    assert crop(frames, 4, 9, 30, 20).data_ptr() == frames[..., 4:, 9:].data_ptr()


def test_an_empty_box_is_refused():
    with pytest.raises(ValueError, match="at least one pixel"):
        crop_resize(pictures(1, 20, 20), 0, 0, 0, 8)


@pytest.mark.parametrize("size", [(48, 64), (49, 65), (20, 64), (21, 23), (64, 20)])
def test_centre_is_where_torchvision_puts_it(size):
    from torchvision.transforms.functional import center_crop

    frames = pictures(1, *size)
    side = 32
    ours = crop(frames, *centre_box(*size, side), side, side)
    assert torch.equal(ours, center_crop(frames, [side, side]))
    assert torch.equal(centre_crop(frames, side, side), ours)


@pytest.mark.parametrize("positions", [[0, 1, 2], [0, 2, 4], [4, 2, 0], [1, 1, 2], [3], [0, 1, 3]])
def test_taking_frames_is_indexing(positions):
    frames = pictures(5, 12, 12)
    assert torch.equal(take_frames(frames, np.array(positions)), frames[positions])
