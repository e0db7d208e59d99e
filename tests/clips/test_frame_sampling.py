"""Which frames stand for a video, against the published choices and FFmpeg's own filter."""

import math
from fractions import Fraction

import av
import av.filter
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.fixed_length import fixed_length
from telltime.clips.frame_sampling import SAMPLERS, frame_indices


def test_tca_takes_the_published_frames(golden):
    cases = golden.json("tca_misc.json")["frame_choice"]
    assert cases
    for case in cases:
        assert frame_indices("tca", case["frames"], case["fps"]).tolist() == case["picked"], case


def test_visil_takes_every_frame_whose_number_the_rate_divides():
    assert frame_indices("visil", 61, 29.97).tolist() == [0, 30, 60]
    assert frame_indices("visil", 5, 1).tolist() == [0, 1, 2, 3, 4]
    assert frame_indices("visil", 60, 200).tolist() == [0, 25, 50]


@pytest.mark.parametrize(("frames", "rate"), [(101, 25), (37, 10), (38, 12), (1, 25), (12, 25), (13, 25), (240, 60)])
def test_fps1_takes_what_ffmpeg_takes(frames, rate):
    graph = av.filter.Graph()
    source = graph.add("buffer", f"video_size=16x16:pix_fmt=gray:time_base=1/{rate}:frame_rate={rate}")
    chain = graph.add("fps", "fps=1")
    sink = graph.add("buffersink")
    source.link_to(chain)
    chain.link_to(sink)
    graph.configure()
    came = []
    for index in range(frames + 1):
        if index < frames:
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), index % 256, np.uint8), format="gray")
            frame.pts, frame.time_base, frame.duration = index, Fraction(1, rate), 1
            source.push(frame)
        else:
            source.push(None)
        while True:
            try:
                came.append(int(sink.pull().to_ndarray()[0, 0]))
            except (av.error.BlockingIOError, av.error.EOFError):
                break
    assert [int(i) % 256 for i in frame_indices("fps1", frames, rate)] == (came or [frames - 1])


@given(
    st.sampled_from(SAMPLERS),
    st.integers(-1, 5000),
    st.one_of(st.floats(), st.floats(0, 300), st.sampled_from([0.0, 0.4, 0.5, 24.5, 144.0, 145.0, math.nan, -3.0])),
)
@settings(max_examples=200, deadline=None)
def test_any_rate_gives_frames_that_exist(sampler, frames, rate):
    found = frame_indices(sampler, frames, rate)
    assert found.dtype == np.int64
    assert len(found) <= max(0, frames) + 1
    assert (len(found) > 0) == (frames > 0)
    if frames > 0:
        assert found.min() >= 0
        assert found.max() < frames
        assert (np.diff(found) >= 0).all()


def test_an_unknown_sampler_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="tca, visil, fps1, not 'fps2'"):
        frame_indices("fps2", 10, 25)


def test_sequences_come_to_one_length_as_published(golden):
    stored = golden.npz("tca_misc.npz")
    rows, seed = torch.from_numpy(stored["resize_in"]), int(stored["resize_seed"])
    rng, generator = np.random.RandomState(seed), torch.Generator().manual_seed(seed)
    for name, drawn in (("pad", None), ("same", None), ("crop", None), ("random", generator)):
        expected = torch.from_numpy(stored[f"resize_{name}"])
        assert torch.equal(fixed_length(rows, len(expected), rng, drawn), expected), name


def test_rows_drawn_at_random_come_from_all_of_a_long_sequence():
    rows = torch.arange(50)[:, None]
    rng, generator = np.random.RandomState(1), torch.Generator().manual_seed(0)
    drawn = torch.cat([fixed_length(rows, 20, rng, generator) for _ in range(20)])
    assert drawn.max() == 49
    assert drawn.min() == 0
