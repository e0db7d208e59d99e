"""Frames of a clip against the published code, and where that ended in an error, against our rule."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.frame_choice import CHOICES, choose_frames


def test_the_published_choices(golden):
    cases = golden.json("timet_sampling.json")
    assert cases
    for case in cases:
        frames, clip = case["frames"], case["clip"]
        chosen = choose_frames(case["mode"].lower(), frames, clip, case["step"], Random(case["seed"])).tolist()
        if isinstance(case["indices"], str):  # the published code fails: videos shorter than the clip
            assert frames < clip
            assert chosen == [*range(frames), *reversed(range(frames - 1))][:clip]
        else:
            assert chosen == case["indices"], case


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHOICES), st.integers(1, 40), st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_clips_lie_within_the_video(choice, frames, clip, step, seed):
    chosen = choose_frames(choice, frames, clip, step, Random(seed))
    assert chosen.dtype == np.int64
    assert len(chosen) == (frames if choice == "full" else clip)
    assert chosen.min() >= 0
    assert chosen.max() < frames
    if frames >= clip:
        gaps = np.diff(chosen)
        assert (gaps > 0).all()
        assert choice != "dense" or (gaps == 1).all()
        assert choice != "regular" or len(set(gaps.tolist())) <= 1


def test_every_place_comes():
    starts = {int(choose_frames("dense", 9, 4, 1, Random(seed))[0]) for seed in range(200)}
    assert starts == set(range(6))


@pytest.mark.parametrize(
    "arguments", [("every", 9, 4, 1), ("dense", 0, 4, 1), ("dense", 9, 0, 1), ("regular", 9, 4, 0)]
)
def test_what_makes_no_clip(arguments):
    with pytest.raises(ValueError, match=r"is one of|at least 1"):
        choose_frames(*arguments, Random(0))
