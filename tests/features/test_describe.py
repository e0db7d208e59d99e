"""Frame descriptors of a table: computed once, gone on with, and bad media accounted for."""

import json

import numpy as np
import pytest
import torch

from telltime.backbones.frame_descriptors import FrameDescriptor
from telltime.checkpoints.describer import Describer
from telltime.clips.policy import BadMedia, TooManyDropped
from telltime.datasets.folder import load
from telltime.features.describe import describe_table
from telltime.features.frame_store import FrameStore, StoreError
from telltime.media.errors import Unreadable
from telltime.media.write import write_video


@pytest.fixture(scope="module")
def describer():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Describer(FrameDescriptor("resnet10t", size=32, precision="float32", pretrained=False))


def film(path, seed, frames=30):
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    write_video(path, (np.roll(ground, i, 1) for i in range(frames)), rate=5, g=10)


@pytest.fixture
def root(tmp_path):
    for number in range(4):
        film(tmp_path / "films" / f"{number}.avi", number, 20 + 5 * number)
    return tmp_path / "films"


def counted(describer, monkeypatch):
    """The paths of videos that are read from now on."""
    read, stream = [], describer.stream

    def listening(videos, readers=1):
        held = list(videos)
        read.extend(video.path.name for video in held)
        return stream(held, readers)

    monkeypatch.setattr(describer, "stream", listening, raising=False)
    return read


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_every_video_has_its_rows(describer, root, workers, tmp_path):
    told = []
    store = describe_table(
        describer,
        load(root, "all"),
        tmp_path / "s",
        workers=workers,
        dtype="float32",
        progress=lambda *p: told.append(p),
    )
    assert store.ids == ["0.avi", "1.avi", "2.avi", "3.avi"]
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert store.settings == describer.settings()
    for name in store.ids:
        rows, times = describer.timed_rows(root / name)
        assert torch.allclose(store.rows(name), rows, atol=1e-5)
        assert np.array_equal(store.times(name), times)


def test_only_what_is_new_or_changed_is_computed(describer, root, tmp_path, monkeypatch):
    describe_table(describer, load(root, "all"), tmp_path / "s")
    read = counted(describer, monkeypatch)
    before = describe_table(describer, load(root, "all"), tmp_path / "s").rows("1.avi")
    assert read == []
    film(root / "1.avi", 9)
    film(root / "4.avi", 4)
    store = describe_table(describer, load(root, "all"), tmp_path / "s")
    assert read == ["1.avi", "4.avi"]
    assert not torch.equal(store.rows("1.avi"), before)
    assert store.ids == [f"{n}.avi" for n in range(5)]


def test_an_interrupted_run_goes_on(describer, root, tmp_path, monkeypatch):
    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        describe_table(describer, load(root, "all"), tmp_path / "s", progress=stop)
    assert len(FrameStore.open(tmp_path / "s")) == 2
    read = counted(describer, monkeypatch)
    assert len(describe_table(describer, load(root, "all"), tmp_path / "s")) == 4
    assert read == ["2.avi", "3.avi"]


def test_bad_media_are_raised_or_left_out_and_named(describer, root, tmp_path):
    (root / "2.avi").write_bytes((root / "2.avi").read_bytes()[:300])
    table = load(root, "all")
    with pytest.raises(Unreadable, match=r"2\.avi"):
        describe_table(describer, table, tmp_path / "s")
    assert FrameStore.open(tmp_path / "s").ids == ["0.avi", "1.avi"]
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0.3)
    store = describe_table(describer, table, tmp_path / "s", policy)
    assert store.ids == ["0.avi", "1.avi", "3.avi"]
    assert [json.loads(line)["id"] for line in (tmp_path / "dropped.jsonl").read_text().splitlines()] == ["2.avi"]
    assert policy.dropped == 1
    with pytest.raises(TooManyDropped, match="1 of 4"):
        describe_table(describer, table, None, BadMedia("skip", max_share=0.1))


def test_another_describer_is_refused(describer, root, tmp_path):
    describe_table(describer, load(root, "all"), tmp_path / "s")
    with pytest.raises(StoreError, match="sampler 'tca', not 'fps1'"):
        describe_table(Describer(describer.frames, sampler="fps1"), load(root, "all"), tmp_path / "s")
