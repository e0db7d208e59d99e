"""What must hold of frame choice for any length, clip and ratio."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips import sampling

SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(16, 4), (8, 2), (8, 4), (4, 1), (12, 3)])


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 400), SEEDS)
def test_local_clips_tile_the_window_of_the_global_clip(shape, extra, seed):
    clip, ratio = shape
    window = clip * ratio
    start = sampling.pretrain_start(window + extra, np.random.RandomState(seed), clip, ratio)
    assert start is not None
    glob, local = sampling.pretrain_frames(start, clip, ratio)
    assert local.shape == (ratio, clip)
    assert local.ravel().tolist() == list(range(start, start + window))
    assert glob.tolist() == list(range(start, start + window, ratio))
    assert start >= 0
    assert start + window <= window + max(extra, 0)


@settings(max_examples=60, deadline=None)
@given(SHAPES, st.integers(0, 300), st.integers(0, 300), SEEDS)
def test_mended_clips_hold_only_frames_that_decoded(shape, reported, lost, seed):
    clip, ratio = shape
    start = sampling.pretrain_start(reported, np.random.RandomState(seed), clip, ratio)
    if start is None:
        assert reported <= clip * ratio - clip // 2
        return
    decoded = np.arange(max(0, reported - lost))
    clips = sampling.pretrain_complete(*sampling.pretrain_frames(start, clip, ratio), decoded)
    if clips is not None:
        assert np.isin(clips[0], decoded).all()
        assert np.isin(clips[1], decoded).all()
        assert clips[0].shape == (clip,)
        assert clips[1].shape == (ratio, clip)
        assert (np.diff(clips[0]) != 0).all()


def test_a_hole_in_a_local_clip_leaves_the_video_out():
    clips = sampling.pretrain_frames(0)
    assert sampling.pretrain_complete(*clips, np.arange(64)) is not None
    assert sampling.pretrain_complete(*clips, np.delete(np.arange(64), 20)) is None


@pytest.mark.parametrize(("have", "least", "mended"), [(16, 9, True), (9, 9, True), (8, 9, False), (8, 4, False)])
def test_reflection_needs_more_than_half(have, least, mended):
    clip = sampling.complete(np.arange(have), 16, least)
    assert (clip is not None) == mended


def test_reflection_does_not_repeat_the_last_frame():
    assert sampling.complete([3, 5, 7, 9, 11], 8, 5).tolist() == [3, 5, 7, 9, 11, 9, 7, 5]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), SEEDS)
def test_probe_clips_lie_inside(frames, seed):
    start = sampling.probe_start(frames, np.random.RandomState(seed))
    assert (start is None) == (frames <= 32)
    if start is not None:
        assert start >= 0
        assert sampling.probe_frames(start)[-1] < frames


@settings(max_examples=60, deadline=None)
@given(st.integers(42, 2000), st.integers(1, 30))
def test_test_positions_are_spread_in_order_and_inside(frames, positions):
    clips = sampling.test_frames(frames, positions)
    assert clips.shape == (positions, 16)
    assert (np.diff(clips[:, 0]) >= 0).all()
    assert clips.min() == 0
    assert clips.max() < frames


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 50), st.lists(st.integers(0, 300), min_size=1))
def test_folding_stays_inside_and_moves_one_frame_at_a_time(frames, indices):
    folded = sampling.fold(np.array(indices), frames)
    assert (folded >= 0).all()
    assert (folded < frames).all()
    walk = sampling.fold(np.arange(200), frames)
    assert (np.abs(np.diff(walk)) == (frames > 1)).all()
    assert walk[:frames].tolist() == list(range(frames))


def test_folding_into_nothing_is_refused():
    with pytest.raises(ValueError, match="0 frames"):
        sampling.fold(np.arange(3), 0)
