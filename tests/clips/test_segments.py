"""Frames of segments for videos of any length."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.segments import even_frames, random_frames, segment_bounds


@settings(max_examples=40, deadline=None)
@given(frames=st.integers(1, 400), clip=st.integers(1, 40), views=st.integers(1, 5), seed=st.integers(0, 99))
def test_every_segment_gives_one_frame(frames, clip, views, seed):
    low, high = segment_bounds(frames, clip)
    assert (low[0], high[-1]) == (0, frames - 1)
    assert (low[1:] == high[:-1]).all()
    for chosen in (random_frames(frames, clip, Random(seed))[None], even_frames(frames, clip, views)):
        assert chosen.dtype == np.int64
        assert ((chosen >= low) & (chosen <= high)).all()
        assert (np.diff(chosen, axis=1) >= 0).all()


def test_views_in_time_see_other_frames():
    seen = even_frames(200, 8, 4)
    assert len(np.unique(seen)) == seen.size
    assert even_frames(16, 8)[0].tolist() == [1, 3, 5, 7, 8, 10, 12, 14]


def test_no_frames():
    for wrong in ((0, 8), (8, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            segment_bounds(*wrong)
