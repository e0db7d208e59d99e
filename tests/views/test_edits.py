"""Edits: drawn strengths, whole files, and odd input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views.edits import EDITS, PIXELS, TIMES, chain, edit_video, picture_in_picture
from telltime.views.recompress import recompress


def frames_of(count: int = 6, height: int = 48, width: int = 64) -> torch.Tensor:
    coarse = torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(count)) * 255
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear").to(torch.uint8)


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_gives_frames_and_what_they_show(name: str) -> None:
    frames = frames_of()
    before = frames.clone()
    edited, shown = EDITS[name](frames, np.random.RandomState(1))
    again, _ = EDITS[name](frames, np.random.RandomState(1))
    assert edited.dtype == torch.uint8
    assert edited.ndim == 4
    assert edited.shape[:2] == (len(shown), 3)
    assert ((shown >= 0) & (shown < len(frames))).all()
    assert torch.equal(edited, again)
    assert torch.equal(frames, before)
    if name in PIXELS:
        assert edited.shape != frames.shape or not torch.equal(edited, frames)


@settings(max_examples=25, deadline=None)
@example("scale", 1, 1, 1, 1)
@given(st.sampled_from(sorted(EDITS)), st.integers(1, 4), st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
def test_no_size_is_too_odd(name: str, count: int, height: int, width: int, seed: int) -> None:
    edited, shown = EDITS[name](frames_of(count, height, width), np.random.RandomState(seed))
    assert len(edited) == len(shown) >= 1
    assert min(edited.shape[-2:]) >= 1


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(TIMES)), st.integers(1, 300), st.integers(0, 999))
def test_time_is_chosen_within_the_video(name: str, count: int, seed: int) -> None:
    shown = TIMES[name](count, np.random.RandomState(seed))
    assert 1 <= len(shown) <= 2 * count
    assert (np.diff(shown) >= 0).all()
    assert shown[0] >= 0
    assert shown[-1] < count


@pytest.mark.parametrize("name", sorted(set(PIXELS) - {"recompress", "recompress-heavy"}))
def test_pixel_edits_may_pass_in_blocks(name: str) -> None:
    frames = frames_of()
    whole = PIXELS[name](frames, np.random.RandomState(5))
    parts = [PIXELS[name](part, np.random.RandomState(5)) for part in frames.split(2)]
    assert torch.equal(whole, torch.cat(parts))


def test_heavy_recompression_hurts_more_than_mild() -> None:
    frames = frames_of(4, 96, 128)
    near, far = ((recompress(frames, q).float() - frames).abs().mean() for q in (0.9, 0.0))
    assert 0 < near < far


def test_quality_is_a_share() -> None:
    with pytest.raises(ValueError, match="quality is 0 to 1"):
        recompress(frames_of(), 2.0)


def test_picture_in_picture_lies_on_another_video() -> None:
    behind = torch.full((1, 3, 10, 10), 7, dtype=torch.uint8)
    edited = picture_in_picture(frames_of() // 2 + 100, np.random.RandomState(0), behind)
    share = (edited == 7).float().mean()
    assert 0.5 < share < 0.95


def test_a_chain_tells_which_frames_are_left() -> None:
    edited, shown = chain(frames_of(20), ["grey", "cut", "mirror"], np.random.RandomState(2))
    assert len(edited) == len(shown) < 20
    assert (np.diff(shown) == 1).all()
    with pytest.raises(ValueError, match="no edit 'sepia'; there are crop"):
        chain(frames_of(), ["sepia"], np.random.RandomState(0))


@pytest.mark.parametrize("name", ["letterbox", "speed", ["cut", "recompress-heavy", "picture-in-picture"]])
def test_an_edited_copy_of_a_file(tmp_path: Path, name: str | list[str]) -> None:
    source = tmp_path / "a.mp4"
    write_video(source, frames_of(70, 50, 70).movedim(1, -1).numpy(), rate=10)
    times = edit_video(source, name, np.random.RandomState(3), tmp_path / "b.mp4")
    with Video(tmp_path / "b.mp4") as copy:
        assert copy.probe().frames == len(times)
        assert copy.probe().rate == 10
    assert (np.diff(times) >= 0).all()
    assert 0 <= times.min() <= times.max() <= 6.9


def test_nothing_is_written_for_an_unknown_edit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no edit 'sepia'"):
        edit_video(tmp_path / "missing.mp4", "sepia", np.random.RandomState(3), tmp_path / "b.mp4")
    assert not list(tmp_path.iterdir())
