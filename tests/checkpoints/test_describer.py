"""Describers: one video, many videos, saved and loaded, and what no describer is."""

import json

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from telltime.backbones.frame_descriptors import FrameDescriptor
from telltime.backbones.whitening import Whitening
from telltime.checkpoints.describer import CheckpointError, Describer, load_describer
from telltime.checkpoints.model import load
from telltime.clips.ragged import Ragged
from telltime.media.errors import MediaNotFound, Unreadable
from telltime.media.video import Video
from telltime.media.write import write_video


def small_frames():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FrameDescriptor("resnet10t", size=32, precision="float32", pretrained=False)


class Halves(torch.nn.Module):
    """Stands in for an encoder: it keeps the first half of each row."""

    def forward(self, rows):
        kept = normalize(rows.rows[:, : rows.rows.shape[1] // 2], dim=1)
        return normalize(rows.like(kept).mean(), dim=1), rows.like(kept)


@pytest.fixture(scope="module")
def describer():
    return Describer(small_frames())


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number, frames in enumerate((35, 1, 60, 12, 25)):
        rng = np.random.default_rng(number)
        ground = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        write_video(folder / f"{number}.avi", (np.roll(ground, i, 1) for i in range(frames)), rate=5, g=10)
    return sorted(folder.iterdir())


def test_a_video_gives_rows_times_and_a_vector(describer, videos):
    found = describer.describe(videos[0])
    assert found.times.tolist() == [0.0, 0.8, 1.8, 2.8, 3.8, 4.8, 5.8, 6.8, 6.8]
    assert found.rows.shape == (9, describer.dim) == (9, 512)
    assert torch.allclose(found.rows.norm(dim=1), torch.ones(9), atol=1e-5)
    assert torch.allclose(found.vector, normalize(found.rows.mean(0), dim=0), atol=1e-5)
    assert torch.equal(found.rows[-1], found.rows[-2])
    assert torch.equal(describer.frame_rows(Video(videos[0])), describer.timed_rows(str(videos[0]))[0])
    assert describer.describe(videos[1]).times.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("sampler", ["visil", "fps1"])
def test_the_sampler_decides_which_frames(videos, sampler):
    times = Describer(small_frames(), sampler=sampler).describe(videos[0]).times
    assert times.tolist() == (
        [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0] if sampler == "visil" else [i + 0.4 for i in range(7)]
    )


def test_many_videos_give_what_each_gives_alone(describer, videos, tmp_path, monkeypatch):
    (tmp_path / "text.mp4").write_text("not a film")
    asked = [*videos, tmp_path / "text.mp4", tmp_path / "none.mp4", *videos[:2]]
    alone = [describer.timed_rows(path) for path in videos]
    for batch in (1, 3, 16):
        monkeypatch.setattr(Describer, "batch", batch)
        for readers in (0, 1, 3, 20):
            found = list(describer.stream(asked, readers))
            assert [type(rows) for rows, _ in found[5:7]] == [Unreadable, MediaNotFound]
            for (rows, times), (expected, seconds) in zip(found[:5] + found[7:], alone + alone[:2], strict=True):
                assert torch.allclose(rows, expected, atol=1e-5)
                assert np.array_equal(times, seconds)
    assert list(describer.stream([])) == []


def test_a_taker_that_leaves_early_ends_the_readers(describer, videos):
    stream = describer.stream(videos * 3, 2)
    next(stream)
    stream.close()


def test_what_cannot_be_read_is_raised(describer, tmp_path):
    with pytest.raises(MediaNotFound):
        describer.describe(tmp_path / "none.mp4")
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(Unreadable):
        describer.frame_rows(tmp_path / "text.mp4")


def test_decoded_frames_give_rows_too(describer):
    frames = torch.randint(0, 256, (3, 3, 40, 60), dtype=torch.uint8)
    rows = describer.rows_of(frames)
    assert torch.allclose(rows, describer.pixels_rows(describer.reader.frames(frames)), atol=1e-6)
    assert rows.shape == (3, 512)


def test_whitening_and_encoder_come_in_turn(describer, videos):
    plain = describer.frame_rows(videos[2])
    whitening = Whitening.fit([plain], 6)
    made = Describer(describer.frames, whitening, Halves())
    assert made.dim == 6
    rows = made.frame_rows(videos[2])
    assert torch.allclose(rows, whitening(plain), atol=1e-4)
    found = made.describe(videos[2])
    assert found.rows.shape == (len(rows), 3)
    assert torch.allclose(found.vector, normalize(found.rows.mean(0), dim=0), atol=1e-5)
    with pytest.raises(ValueError, match="takes rows of 6 numbers, the frames have 512"):
        Describer(describer.frames, Whitening(6, 2))


class Watched(Halves):
    """Must not be asked in training mode."""

    def forward(self, rows):
        assert not self.training
        return super().forward(rows)


def test_training_around_it_changes_no_rows(describer, videos):
    made = Describer(describer.frames, None, Watched())
    before = made.describe(videos[0])
    made.train()
    after = made.describe(videos[0])
    assert made.encoder.training
    assert not made.frames.training
    assert torch.equal(before.rows, after.rows)
    assert torch.equal(before.vector, after.vector)


def test_many_videos_are_encoded_in_groups(describer, monkeypatch):
    from telltime.checkpoints import describer as module

    rows = Ragged.of([torch.randn(n, 8) for n in (3, 1, 7, 2, 2, 5)])
    made = Describer(describer.frames, None, Halves())
    expected = made.encode(rows)
    for together in (1, 4, 9):
        monkeypatch.setattr(module, "_TOGETHER", together)
        found = made.encode(rows)
        assert torch.equal(found[0].rows, expected[0].rows)
        assert torch.allclose(found[1], expected[1], atol=1e-6)
        assert found[0].offsets.tolist() == rows.offsets.tolist()


def test_saved_and_loaded_it_is_the_same(describer, videos, tmp_path):
    made = Describer(
        describer.frames, Whitening.fit([torch.randn(50, 512)], 5), sampler="visil", meta={"method": "tca"}
    )
    made.save(tmp_path / "run" / "model")
    for folder in (tmp_path / "run" / "model", tmp_path / "run"):
        read = load_describer(folder)
        assert read.digest() == made.digest()
        assert read.settings() == made.settings()
        assert read.sampler == "visil"
        assert read.meta == {"method": "tca"}
        assert torch.allclose(read.describe(videos[0]).rows, made.describe(videos[0]).rows, atol=1e-6)


def test_whatever_decides_rows_changes_the_digest(describer):
    digests = {describer.digest(), Describer(describer.frames, sampler="fps1").digest()}
    digests.add(Describer(describer.frames, Whitening(512, 4)).digest())
    other = small_frames()
    other.crop = 1.0
    digests.add(Describer(other).digest())
    assert len(digests) == 4


def test_the_default_needs_no_network_and_is_the_same_every_time(monkeypatch, videos):
    import socket

    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a network was asked"))
    made = load_describer()
    assert made.dim == 1280
    assert made.digest() == load_describer("efficientnet_lite0").digest()
    assert made.describe(videos[3]).rows.shape == (4, 1280)


def test_any_timm_name_describes():
    made = load_describer("resnet10t@random")
    assert made.digest() == load_describer("resnet10t@random").digest()
    assert made.dim == 512


def test_the_published_network_describes_as_published():
    made = load_describer("resnet50@random")
    assert (made.dim, made.frames.pooling, made.reader.scaling, made.sampler) == (3840, "rmac", "published", "tca")


def test_what_is_no_describer_is_said(tmp_path, tiny_model):
    with pytest.raises(CheckpointError, match="no model 'efficientnet-lite9'"):
        load_describer("efficientnet-lite9")
    tiny_model.save(tmp_path / "clips")
    with pytest.raises(CheckpointError, match="model of clips"):
        load_describer(tmp_path / "clips")
    Describer(small_frames()).save(tmp_path / "frames")
    with pytest.raises(CheckpointError, match="no model of clips"):
        load(tmp_path / "frames")
    with pytest.raises(CheckpointError, match="describes no frames; give efficientnet-lite0"):
        load_describer("tclr-small")
    with pytest.raises(CheckpointError, match="no such file"):
        load_describer(tmp_path / "none" / "model")


def test_a_damaged_folder_is_said(describer, tmp_path):
    describer.save(tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    for change in (
        {"sampler": "x"},
        {"backbone": {"class_path": "os.system", "init_args": {}}},
        {"whitening": {"a": 1}},
    ):
        (tmp_path / "m" / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(CheckpointError, match=str(tmp_path / "m")):
            load_describer(tmp_path / "m")
