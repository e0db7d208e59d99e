"""Pairs in memory: what an item is, and that it depends on nothing but seed, epoch and number."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.clips.pairs import PairLoader, Windows
from telltime.clips.ragged import Ragged, offsets_of

LENGTHS = [6, 6, 4, 4, 9, 9, 1, 1, 12, 12]


def toy(**options) -> PairLoader:
    """Five videos of two versions; a row tells its sequence and its place."""
    rows = torch.cat([torch.tensor([[s, t] for t in range(n)], dtype=torch.float16) for s, n in enumerate(LENGTHS)])
    frames = Ragged(rows, offsets_of(torch.tensor(LENGTHS)))
    numbers = torch.arange(len(LENGTHS))
    items = Ragged(numbers, torch.arange(0, len(LENGTHS) + 1, 2))
    options = {"negatives": 2, "batch_size": 2, "seed": 3, "drop_last": False} | options
    return PairLoader(frames, (numbers // 2).numpy(), items, items, numbers.numpy(), **options)


def of_items(loader: PairLoader, epoch: int = 0) -> dict[int, list]:
    """Every item's sequences as lists of rows."""
    found = {}
    for batch in loader.epoch(epoch):
        packed = Ragged(batch["rows"], batch["offsets"])
        count, each = len(batch["index"]), loader.negatives
        for place, item in enumerate(batch["index"].tolist()):
            negatives = range(2 * count + place * each, 2 * count + (place + 1) * each)
            found[item] = [packed[n].tolist() for n in (place, count + place, *negatives)]
    return found


def test_an_item_is_two_versions_of_one_video_and_others() -> None:
    for item, (anchor, positive, *negatives) in of_items(toy()).items():
        assert {anchor[0][0], positive[0][0]} == {2 * item, 2 * item + 1}
        others = [rows[0][0] for rows in negatives]
        assert len(set(others)) == 2
        assert all(other // 2 != item for other in others)
        for rows in (anchor, positive, *negatives):
            assert [t for _, t in rows] == list(range(LENGTHS[int(rows[0][0])]))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 5), st.integers(1, 3))
def test_items_do_not_depend_on_batches_or_processes(batch_size: int, world: int) -> None:
    windows = Windows(max_frames=5, excerpt=0.3, within=True, speed=0.5, splice=0.5)
    whole = of_items(toy(windows=windows), epoch=2)
    parts = [toy(windows=windows, batch_size=batch_size, rank=rank, world=world) for rank in range(world)]
    together = {item: rows for part in parts for item, rows in of_items(part, epoch=2).items()}
    assert together == whole
    assert of_items(toy(windows=windows), epoch=3) != whole


def test_processes_take_stretches_in_order() -> None:
    whole = [batch["index"].tolist() for batch in toy(batch_size=5).epoch(0)]
    parts = [[batch["index"].tolist() for batch in toy(batch_size=5, rank=r, world=2).epoch(0)] for r in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole


def test_a_resume_skips_batches() -> None:
    batches = list(toy().epoch(1))
    rest = list(toy().epoch(1, skip_batches=1))
    assert len(batches) == len(toy()) == 3
    for later, first in zip(rest, batches[1:], strict=True):
        assert all(torch.equal(later[key], first[key]) for key in first)
    assert len(toy(drop_last=True)) == 2


def test_windows_lie_within_each_other() -> None:
    loader = toy(windows=Windows(excerpt=0.2, within=True), negatives=0)
    for epoch in range(20):
        for anchor, positive in of_items(loader, epoch).values():
            a, p = ([t for _, t in rows] for rows in (anchor, positive))
            assert set(a) <= set(p) or set(p) <= set(a)
            assert a == [a[0] + step for step in range(len(a))]


def test_the_last_window_is_drawn_too() -> None:
    loader = toy(windows=Windows(max_frames=3), negatives=0)
    starts = {anchor[0][1] for epoch in range(60) for anchor, _ in of_items(loader, epoch).values() if anchor[0][0] > 7}
    assert starts == set(range(10))


def test_speed_and_splices_keep_the_video() -> None:
    loader = toy(windows=Windows(speed=1.0, splice=1.0))
    for item, (_, positive, *negatives) in of_items(loader).items():
        inside = [t for s, t in positive if s // 2 == item]
        assert inside == sorted(inside)
        assert inside
        assert {s for s, _ in positive if s // 2 != item} <= {rows[0][0] for rows in negatives}


def test_related_owners_come_with_the_anchor() -> None:
    related = Ragged(torch.tensor([1, 2, 0]), torch.tensor([0, 2, 3, 3, 3, 3]))
    batch = next(iter(toy(batch_size=5, related=related).epoch(0)))
    rows = {row[0]: [other for other in row[1:] if other >= 0] for row in batch["related"].tolist()}
    assert rows == {0: [1, 2], 1: [0], 2: [], 3: [], 4: []}


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"negatives": -1}, {"rank": 1}])
def test_impossible_arguments_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="impossible"):
        toy(**options)
    with pytest.raises(ValueError, match="excerpt is above 0"):
        Windows(excerpt=0)


def test_one_video_alone_still_gives_items() -> None:
    frames = Ragged(torch.rand(4, 2), torch.tensor([0, 2, 4]))
    pair = Ragged(torch.arange(2), torch.tensor([0, 2]))
    loader = PairLoader(frames, np.zeros(2), pair, pair, np.arange(2), 3, 1, 0)
    (batch,) = loader.epoch(0)
    assert batch["offsets"].tolist() == [0, 2, 4, 6, 8, 10]
