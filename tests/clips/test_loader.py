"""Batches depend on seed, epoch and records, and on nothing else; bad media costs what the policy says."""

import json
import os
import signal
import time
from itertools import islice

import numpy as np
import pytest
import torch

from telltime.clips.item import collate, item_rng
from telltime.clips.loader import ClipLoader, epoch_order, worker_death
from telltime.clips.policy import BadMedia, TooManyDropped, WorkerDied
from telltime.datasets.record import Record
from telltime.media.errors import DecodeTimeout, MediaNotFound, TooShort, Unreadable
from telltime.media.video import Limits
from telltime.media.write import write_video


class Reader:
    """Two views of 4 frames from a drawn start; needs 20 frames."""

    def __call__(self, video, rng):
        frames = video.probe().frames
        if frames < 20:
            raise TooShort(video.path, f"holds {frames} frames, the clip needs 20")
        start = rng.randint(0, frames - 8)
        pixels = video.frames(range(start, start + 4)).pixels
        clips = torch.empty(2, 4, 24, 32, 3, dtype=torch.uint8).permute(0, 1, 4, 2, 3)
        clips[0], clips[1] = pixels, pixels.flip(-1)
        return {"clips": clips, "start": torch.tensor(start), "factor": torch.tensor(rng.rand(2))}


class Stuck(Reader):
    """Hangs on one video."""

    def __call__(self, video, rng):
        if video.path.stem == "5":
            time.sleep(600)
        return super().__call__(video, rng)


class Dies(Reader):
    """One video kills the process that reads it."""

    def __call__(self, video, rng):
        if video.path.stem == "5":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(video, rng)


class Broken(Reader):
    """A mistake in the program, not in the media."""

    def __call__(self, video, rng):
        raise KeyError("no such thing")


class Uneven(Reader):
    """Items that do not fit together."""

    def __call__(self, video, rng):
        return {"clips": torch.zeros(1 + int(video.path.stem) % 2, dtype=torch.uint8)}


@pytest.fixture(scope="module")
def records(tmp_path_factory) -> list[Record]:
    folder = tmp_path_factory.mktemp("videos")
    made = []
    for number in range(10):
        ramp = np.add.outer(np.arange(24), np.arange(32))[..., None].repeat(3, 2)
        frames = [((ramp * (number + 1) + i * 5) % 256).astype(np.uint8) for i in range(20 + number)]
        write_video(folder / f"{number}.avi", frames, g=6)
        made.append(Record(f"c/{number}.avi", folder / f"{number}.avi", label=None if number == 3 else number % 4))
    return made


@pytest.fixture
def spoiled(records, tmp_path) -> list[Record]:
    """The same, and among them five that are not good."""
    data = records[0].path.read_bytes()
    (tmp_path / "empty.avi").touch()
    (tmp_path / "text.avi").write_text("not a video\n")
    (tmp_path / "cut.avi").write_bytes(data[:300])
    write_video(tmp_path / "short.avi", [np.zeros((24, 32, 3), np.uint8)] * 12)
    bad = [Record(f"c/{name}.avi", tmp_path / f"{name}.avi") for name in ("empty", "text", "cut", "short", "gone")]
    return [*records[:2], bad[0], *records[2:5], *bad[1:], *records[5:]]


def taken(batches):
    return [{key: entry.clone() for key, entry in batch.items()} for batch in batches]


def same(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            assert torch.equal(one[key], other[key]), key


def test_a_batch(records):
    batch = next(ClipLoader(records, Reader(), 4, seed=0, shuffle=False).epoch(0))
    assert {key: tuple(entry.shape) for key, entry in batch.items()} == {
        "clips": (4, 2, 4, 3, 24, 32),
        "start": (4,),
        "factor": (4, 2),
        "index": (4,),
        "label": (4,),
    }
    assert batch["clips"].dtype == torch.uint8
    assert batch["clips"].stride()[2:] == (24 * 32 * 3, 1, 32 * 3, 3)
    assert batch["index"].tolist() == [0, 1, 2, 3]
    assert batch["label"].tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_batches(records, workers):
    alone = ClipLoader(records, Reader(), 3, seed=7)
    parallel = ClipLoader(records, Reader(), 3, seed=7, workers=workers)
    for epoch in (0, 1, 5):
        got = taken(parallel.epoch(epoch))
        same(got, taken(alone.epoch(epoch)))
        assert all(batch["clips"].stride()[2:] == (24 * 32 * 3, 1, 32 * 3, 3) for batch in got)
    parallel.close()


def test_workers_live_on_between_epochs(records):
    class Pid(Reader):
        def __call__(self, video, rng):
            return {"pid": torch.tensor(os.getpid()), "threads": torch.tensor(torch.get_num_threads())}

    loader = ClipLoader(records, Pid(), 3, seed=0, workers=1)
    batches = taken(loader.epoch(0)) + taken(loader.epoch(1))
    assert len({pid for batch in batches for pid in batch["pid"].tolist()}) == 1
    assert {threads for batch in batches for threads in batch["threads"].tolist()} == {1}
    loader.close()


def test_epochs_differ_and_come_again(records):
    loader = ClipLoader(records, Reader(), 10, seed=0)
    first, second, again = (taken(loader.epoch(epoch)) for epoch in (0, 1, 0))
    same(first, again)
    assert first[0]["index"].tolist() != second[0]["index"].tolist()
    assert sorted(first[0]["index"].tolist()) == sorted(second[0]["index"].tolist()) == list(range(10))
    by_row = [dict(zip(batch["index"].tolist(), batch["factor"].tolist(), strict=True)) for batch in (*first, *second)]
    assert all(by_row[0][row] != by_row[1][row] for row in range(10))


def test_order_is_a_function_of_seed_and_epoch():
    assert epoch_order(50, 1, 2).tolist() == epoch_order(50, 1, 2).tolist()
    assert sorted(epoch_order(50, 1, 2)) == list(range(50))
    assert len({tuple(epoch_order(50, *key)) for key in ((1, 2), (2, 1), (1, 3), (12, 0), (1, 20))}) == 5
    assert item_rng(0, 0, "a").rand() != item_rng(0, 0, "b").rand()


@pytest.mark.parametrize("workers", [0, 2])
def test_resuming_reads_nothing_of_what_is_past(records, tmp_path, workers):
    read = tmp_path / "read.txt"

    class Noting(Reader):
        def __call__(self, video, rng):
            with read.open("a") as file:
                file.write(video.path.stem + "\n")
            return super().__call__(video, rng)

    whole = taken(ClipLoader(records, Reader(), 3, seed=1).epoch(4))
    loader = ClipLoader(records, Noting(), 3, seed=1, workers=workers)
    batches = loader.epoch(4, skip_batches=2)
    same(taken(batches), whole[2:])
    assert batches.position == len(loader) == 4
    past = {records[row].path.stem for row in epoch_order(10, 1, 4)[:6]}
    assert not past & set(read.read_text().split())
    assert taken(loader.epoch(4, skip_batches=4)) == []
    loader.close()


def test_an_epoch_left_early_does_not_leak_into_the_next(records):
    loader = ClipLoader(records, Reader(), 2, seed=0, workers=2)
    left = loader.epoch(0)
    next(left)
    same(taken(loader.epoch(1)), taken(ClipLoader(records, Reader(), 2, seed=0).epoch(1)))
    assert list(left) == []
    loader.close()


@pytest.mark.parametrize("world", [2, 3])
def test_processes_together_see_the_batch_of_one(records, world):
    whole = taken(ClipLoader(records, Reader(), 4, seed=0).epoch(0))
    parts = [taken(ClipLoader(records, Reader(), 4, seed=0, rank=rank, world=world).epoch(0)) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    for number, batch in enumerate(whole):
        for rank in range(world):
            if len(parts[rank][number]["index"]):
                same([parts[rank][number]], [{key: entry[rank::world] for key, entry in batch.items()}])
        assert sum(len(part[number]["index"]) for part in parts) == len(batch["index"])


def test_last_batch(records):
    assert len(ClipLoader(records, Reader(), 4, seed=0)) == 3
    dropping = ClipLoader(records, Reader(), 4, seed=0, drop_last=True)
    assert len(dropping) == 2
    assert [len(batch["index"]) for batch in dropping.epoch(0)] == [4, 4]


def test_other_labels(records):
    loader = ClipLoader(records, Reader(), 10, seed=0, shuffle=False, labels=np.arange(10) * 2)
    assert next(loader.epoch(0))["label"].tolist() == list(range(0, 20, 2))
    with pytest.raises(ValueError, match="3 labels for 10 records"):
        ClipLoader(records, Reader(), 10, seed=0, labels=[1, 2, 3])


def test_spans_are_read_as_videos(records):
    spans = [Record("a", records[9].path, span=(2, 25)), Record("b", records[9].path, span=(0, 12))]
    policy = BadMedia("skip", max_share=1)
    assert next(ClipLoader(spans, Reader(), 2, seed=0, policy=policy).epoch(0))["index"].tolist() == [0]
    assert policy.summary(2) == "1 of 2 videos left out (1 too short)"


@pytest.mark.parametrize("workers", [0, 2])
def test_skip_leaves_out_the_bad_and_says_so(spoiled, tmp_path, workers):
    log = tmp_path / "dropped.jsonl"
    policy = BadMedia("skip", log, max_share=0.5)
    loader = ClipLoader(spoiled, Reader(), 4, seed=0, workers=workers, policy=policy)
    for epoch in (0, 1):
        seen = [row for batch in loader.epoch(epoch) for row in batch["index"].tolist()]
        assert sorted(seen) == [row for row, record in enumerate(spoiled) if record.path.stem.isdecimal()]
    reasons = {entry["id"]: (entry["kind"], entry["reason"]) for entry in map(json.loads, log.read_text().splitlines())}
    assert len(log.read_text().splitlines()) == 5
    assert reasons["c/empty.avi"] == ("Unreadable", "empty file")
    assert reasons["c/text.avi"] == ("Unreadable", "a text file, not a video")
    assert reasons["c/cut.avi"][0] == "Unreadable"
    assert reasons["c/short.avi"] == ("TooShort", "holds 12 frames, the clip needs 20")
    assert reasons["c/gone.avi"] == ("MediaNotFound", "no such file or folder")
    loader.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_raise_names_the_first(spoiled, workers):
    loader = ClipLoader(spoiled, Reader(), 2, seed=0, workers=workers, shuffle=False)
    batches = loader.epoch(0)
    assert next(batches)["index"].tolist() == [0, 1]
    begin = time.monotonic()
    with pytest.raises(Unreadable, match=r"empty\.avi: empty file") as caught:
        next(batches)
    assert time.monotonic() - begin < 4
    assert caught.value.path == spoiled[2].path
    assert list(batches) == []


def test_a_batch_of_nothing_but_bad_is_passed_over(spoiled):
    policy = BadMedia("skip", max_share=1)
    loader = ClipLoader(spoiled, Reader(), 2, seed=0, policy=policy, shuffle=False)
    batches = loader.epoch(0)
    got = [(batch["index"].tolist(), batches.position) for batch in batches]
    assert got == [([0, 1], 1), ([3], 2), ([4, 5], 3), ([10, 11], 6), ([12, 13], 7), ([14], 8)]


def test_processes_keep_step_over_a_batch_that_is_bad_for_one(spoiled):
    counts = []
    for rank in (0, 1):
        policy = BadMedia("skip", max_share=1)
        loader = ClipLoader(spoiled, Reader(), 2, seed=0, policy=policy, shuffle=False, rank=rank, world=2)
        counts.append([len(batch["index"]) for batch in loader.epoch(0)])
    assert counts == [[1, 0, 1, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 1, 1, 0]]


def test_too_many_bad_ones_end_the_run(spoiled, tmp_path):
    policy = BadMedia("skip", tmp_path / "dropped.jsonl", max_share=0.2)
    with pytest.raises(TooManyDropped, match=r"4 of 15 videos .*dropped\.jsonl"):
        list(ClipLoader(spoiled, Reader(), 1, seed=0, policy=policy).epoch(0))


def test_a_missing_file_is_named(records, tmp_path):
    gone = [*records, Record("gone", tmp_path / "gone.avi")]
    with pytest.raises(MediaNotFound, match=r"gone\.avi: no such file"):
        list(ClipLoader(gone, Reader(), 4, seed=0, workers=1).epoch(0))


def test_a_worker_that_hangs_ends_the_run(records):
    loader = ClipLoader(records, Stuck(), 2, seed=0, workers=2, limits=Limits(seconds=1))
    begin = time.monotonic()
    with pytest.raises(DecodeTimeout, match=r"5\.avi: no answer after \d+ seconds, where one read may take 1"):
        list(loader.epoch(0))
    assert time.monotonic() - begin < 30


def test_a_slow_worker_is_waited_for(records):
    class Slow(Reader):
        def __call__(self, video, rng):
            time.sleep(0.15)
            return super().__call__(video, rng)

    loader = ClipLoader(records, Slow(), 10, seed=0, workers=1, limits=Limits(seconds=0.5))
    assert len(next(loader.epoch(0))["index"]) == 10
    loader.close()


def test_a_killed_worker_gives_one_sentence(records):
    loader = ClipLoader(records, Dies(), 2, seed=0, workers=2)
    with pytest.raises((WorkerDied, RuntimeError)) as caught:
        list(loader.epoch(0))
    died = caught.value if isinstance(caught.value, WorkerDied) else worker_death(caught.value)
    assert died is not None
    assert "loading process" in str(died)
    assert "try fewer workers" in str(died)
    assert "\n" not in str(died)
    assert worker_death(RuntimeError("something else")) is None


@pytest.mark.parametrize("workers", [0, 1])
def test_mistakes_of_the_program_are_not_taken_for_bad_media(records, workers):
    loader = ClipLoader(records, Broken(), 2, seed=0, workers=workers, policy=BadMedia("skip", max_share=1))
    with pytest.raises(KeyError, match="no such thing"):
        next(loader.epoch(0))
    loader.close()


def test_items_must_fit_together(records):
    with pytest.raises(ValueError, match="same entries and shapes"):
        next(ClipLoader(records, Uneven(), 2, seed=0, shuffle=False).epoch(0))


def test_collate_keeps_the_memory_order():
    items = [{"a": torch.arange(24).view(2, 3, 4).permute(0, 2, 1) + i, "b": torch.tensor(i)} for i in range(3)]
    batch = collate(items)
    assert torch.equal(batch["a"], torch.stack([item["a"] for item in items]))
    assert batch["a"].stride() == (24, 12, 1, 4)
    assert batch["b"].tolist() == [0, 1, 2]


def test_loading_leaves_the_global_generator_alone(records):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    list(islice(ClipLoader(records, Reader(), 2, seed=0).epoch(0), 2))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("arguments", [{"batch_size": 0}, {"workers": -1}, {"rank": 2, "world": 2}, {"world": 0}])
def test_impossible_loaders(records, arguments):
    with pytest.raises(ValueError, match="impossible"):
        ClipLoader(records, Reader(), **{"batch_size": 2, "seed": 0, **arguments})


def test_no_records():
    loader = ClipLoader([], Reader(), 2, seed=0)
    assert len(loader) == 0
    assert list(loader.epoch(0)) == []
