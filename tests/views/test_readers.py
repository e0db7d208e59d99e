"""Readers on real files: long and short, whole and damaged."""

from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch

from telltime.clips import sampling
from telltime.clips.item import collate
from telltime.media.errors import MediaError, TooShort
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views.geometry import centre_crop
from telltime.views.readers import ProbeReader, TCLRReader, TestReader
from telltime.views.tclr import augment

SMALL = {"size": 24, "frames": 8}


def counting(frames, height=48, width=64):
    """Frame ``i`` is one flat grey, ``8 + 2 i``, so that a clip tells which frames it holds."""
    for i in range(frames):
        yield np.full((height, width, 3), 8 + 2 * i, dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module")
def numbered(folder):
    """``numbered(n)``: a video of ``n`` frames of known grey."""

    def make(frames):
        path = folder / f"{frames}.avi"
        if not path.exists():
            write_video(path, counting(frames), codec="ffv1")
        return Video(path)

    return make


@pytest.fixture(scope="module")
def coloured(folder):
    path = folder / "colour.avi"
    rng = np.random.default_rng(0)
    still = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    write_video(path, (np.roll(still, i, 1) for i in range(70)), codec="ffv1")
    return Video(path)


def shown(clips):
    """Which frames of a numbered video clips hold, int ``[V, T]``."""
    return ((clips.float().mean((2, 3, 4)) - 8) / 2).round().int().numpy()


def seeded(seed=0):
    return np.random.RandomState(seed)


@pytest.mark.parametrize("seed", range(4))
def test_views_hold_the_sampled_frames(numbered, seed):
    item = TCLRReader(**SMALL, ratio=4)(numbered(100), seeded(seed))
    start = sampling.pretrain_start(100, seeded(seed), 8, 4)
    glob, local = sampling.pretrain_frames(start, 8, 4)
    assert item["clips"].shape == (10, 8, 3, 24, 24)
    assert item["clips"].dtype == torch.uint8
    expected = np.repeat(np.concatenate([glob[None], local]), 2, axis=0)
    np.testing.assert_array_equal(shown(item["clips"]), expected)
    np.testing.assert_array_equal(item["start"], expected[:, 0])
    assert all(len(value) == 10 for value in item.values())


def test_the_same_numbers_give_the_same_item_and_others_another(coloured):
    reader = TCLRReader(**SMALL, ratio=2)
    first, again, other = (reader(coloured, seeded(s)) for s in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) or first[key].isnan().any() for key in first)
    assert not torch.equal(first["clips"], other["clips"])


def test_items_become_a_batch_of_views(coloured):
    reader = TCLRReader(**SMALL, ratio=2)
    batch = collate([reader(coloured, seeded(s)) for s in range(3)])
    views = augment(batch.pop("clips"), batch)
    assert views.shape == (3, reader.views, 3, 8, 24, 24)
    assert views.isfinite().all()


def test_channels_are_swapped_after_the_crop(coloured):
    bgr, rgb = (TCLRReader(**SMALL, ratio=2, order=order)(coloured, seeded()) for order in ("bgr", "rgb"))
    assert torch.equal(bgr["clips"], rgb["clips"].flip(2))
    assert not torch.equal(bgr["clips"], rgb["clips"])


@pytest.mark.parametrize(("frames", "kept"), [(12, False), (28, False), (29, True), (31, True), (32, True)])
def test_short_videos_are_left_out_or_mended(numbered, frames, kept):
    reader = TCLRReader(**SMALL, ratio=4)
    if not kept:
        with pytest.raises(TooShort, match=f"{frames}"):
            reader(numbered(frames), seeded())
        return
    expected = sampling.pretrain_complete(*sampling.pretrain_frames(0, 8, 4), np.arange(frames))
    held = shown(reader(numbered(frames), seeded())["clips"])
    np.testing.assert_array_equal(held[0], expected[0])
    np.testing.assert_array_equal(held[2::2], expected[1])


@pytest.mark.parametrize("frames", [1, 2, 7, 20])
def test_short_videos_are_read_forth_and_back(numbered, frames):
    held = shown(TCLRReader(**SMALL, ratio=4, short="loop")(numbered(frames), seeded())["clips"])
    np.testing.assert_array_equal(held[2::2].ravel(), sampling.fold(np.arange(32), frames))
    held = shown(ProbeReader(**SMALL, short="loop")(numbered(frames), seeded())["clips"])
    np.testing.assert_array_equal(held[0], sampling.fold(2 * np.arange(8), frames))
    item = TestReader(3, **SMALL, short="loop")(numbered(frames))
    assert item["present"].all()


def test_probe_clip(numbered):
    item = ProbeReader(**SMALL)(numbered(40), seeded(3))
    start = sampling.probe_start(40, seeded(3), 8, 2)
    np.testing.assert_array_equal(shown(item["clips"]), sampling.probe_frames(start, 8, 2)[None])
    with pytest.raises(TooShort, match="17 are needed"):
        ProbeReader(**SMALL)(numbered(12), seeded())


@pytest.mark.parametrize("frames", [27, 60])
def test_all_test_positions_come_from_one_pass(numbered, frames):
    item = TestReader(5, **SMALL)(numbered(frames))
    wanted = sampling.test_frames(frames, 5, 8, 2)
    assert item["present"].tolist() == [True] * 5
    np.testing.assert_array_equal(shown(item["clips"]), wanted)


def test_absent_positions_are_told_and_black(numbered):
    item = TestReader(6, **SMALL)(numbered(12))
    wanted = sampling.test_frames(12, 6, 8, 2)
    expected = [sampling.complete(row[row < 12], 8, 5) for row in wanted]
    assert item["present"].tolist() == [row is not None for row in expected]
    assert not item["present"].all()
    for clip, row in zip(item["clips"], expected, strict=True):
        if row is None:
            assert clip.max() == 0
        else:
            np.testing.assert_array_equal(shown(clip[None])[0], row)
    with pytest.raises(TooShort, match="of a clip"):
        TestReader(1, size=24, frames=16)(numbered(7))


def test_test_clips_are_centre_crops(coloured):
    item = TestReader(1, size=24, frames=4, step=1, order="rgb", margin=0)(coloured)
    assert torch.equal(item["clips"][0], centre_crop(coloured.frames(range(4)).pixels, int(0.8 * 48), 24))


def test_frames_larger_than_the_cache_are_cropped_one_by_one(coloured, monkeypatch):
    reader = TCLRReader(**SMALL, ratio=4)
    whole = reader(coloured, seeded())["clips"]
    monkeypatch.setattr("telltime.views.readers._CACHE", 1)
    assert torch.equal(reader(coloured, seeded())["clips"], whole)


def test_a_cut_file_gives_what_decodes_or_says_so(folder, coloured):
    path = folder / "cut.avi"
    path.write_bytes(coloured.path.read_bytes()[: coloured.path.stat().st_size // 3])
    with pytest.raises(MediaError):
        TCLRReader(**SMALL, ratio=8)(Video(path), seeded())


@pytest.mark.parametrize(
    ("reader", "wrong"),
    [
        (TCLRReader, {"crop": "middle"}),
        (TCLRReader, {"order": "gbr"}),
        (TCLRReader, {"short": "pad"}),
        (TCLRReader, {"values": "strong"}),
        (ProbeReader, {"size": 0}),
        (TestReader, {"crop": 1.5}),
        (TestReader, {"positions": 0}),
    ],
)
def test_impossible_settings_are_refused(reader, wrong):
    with pytest.raises(ValueError, match=str(next(iter(wrong.values())))):
        reader(**wrong)


@pytest.mark.parametrize("reader", [TCLRReader(), ProbeReader(), TestReader()])
def test_readers_travel_to_workers(reader):
    assert len(ForkingPickler.dumps(reader)) > 0
