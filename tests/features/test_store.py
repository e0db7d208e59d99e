import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.features.store import Store, StoreError


def rows(first, count):
    return {"x": torch.arange(first, first + count)[:, None].float() * torch.ones(3), "there": torch.ones(count) > 0}


def test_what_is_added_is_read_back_in_the_order_asked(tmp_path):
    store = Store.create(tmp_path / "s", {"model": "abc"})
    store.add(["a", "b/é"], ["1", "2"], rows(0, 2))
    store.add(["c"], ["3"], rows(2, 1))
    again = Store.open(tmp_path / "s")
    assert again.ids == ["a", "b/é", "c"]
    assert again.mark("c") == "3"
    assert again.mark("d") is None
    assert again.read("x", ["c", "a", "a"])[:, 0].tolist() == [2.0, 0.0, 0.0]
    assert again.read("there", ["a"]).dtype == torch.bool
    assert not again.read("x", []).numel()
    with pytest.raises(KeyError):
        again.read("x", ["d"])
    with pytest.raises(StoreError, match="not 'y'"):
        again.read("y", ["a"])


def test_a_row_added_again_takes_the_place_of_the_older(tmp_path):
    store = Store.create(tmp_path / "s", {})
    store.add(["a", "b"], ["1", "1"], rows(0, 2))
    store.add(["a"], ["2"], rows(7, 1))
    for each in (store, Store.open(tmp_path / "s")):
        assert each.mark("a") == "2"
        assert each.read("x", ["a", "b"])[:, 0].tolist() == [7.0, 1.0]
        assert len(each) == 2


def test_other_settings_are_refused_with_what_differs(tmp_path):
    Store.create(tmp_path / "s", {"model": "abc", "positions": 9})
    with pytest.raises(StoreError, match="positions 9, not 10"):
        Store.create(tmp_path / "s", {"model": "abc", "positions": 10})
    with pytest.raises(StoreError, match="size None, not 4"):
        Store.create(tmp_path / "s", {"model": "abc", "positions": 9, "size": 4})


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="no feature store"):
        Store.create(tmp_path, {})
    with pytest.raises(StoreError, match=r"no store\.json"):
        Store.open(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"format": 99, "settings": {}}'])
def test_a_damaged_description_is_named(tmp_path, damage):
    (tmp_path / "store.json").write_text(damage)
    with pytest.raises(StoreError, match=r"store\.json"):
        Store.open(tmp_path)


def test_a_damaged_shard_is_named(tmp_path):
    Store.create(tmp_path / "s", {}).add(["a"], ["1"], rows(0, 1))
    (shard,) = (tmp_path / "s").glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:20])
    with pytest.raises(StoreError, match=shard.name):
        Store.open(tmp_path / "s")


def test_rows_that_do_not_fit_their_ids_are_refused():
    with pytest.raises(ValueError, match="2 rows for 1 ids"):
        Store.create(None, {}).add(["a"], ["1"], rows(0, 2))


WRITER = """
import sys, torch
from telltime.features.store import Store
store = Store.create(sys.argv[1], {"k": 1})
for n in range(100000):
    store.add([f"{n}"], ["m"], {"x": torch.full((1, 2000), float(n))})
"""


def test_a_writer_killed_at_any_moment_leaves_whole_rows(tmp_path):
    folder = tmp_path / "s"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(folder.glob("*.safetensors"))) < 5:
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    store = Store.create(folder, {"k": 1})
    assert len(store) >= 4
    assert store.read("x", store.ids)[:, 0].tolist() == [float(i) for i in store.ids]
    store.add(["more"], ["m"], {"x": torch.zeros(1, 2000)})
    assert "more" in Store.open(folder).ids


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True), max_size=6))
def test_memory_and_folder_agree(tmp_path_factory, shards):
    stores = [Store.create(None, {}), Store.create(tmp_path_factory.mktemp("s") / "s", {})]
    for n, shard in enumerate(shards):
        for store in stores:
            store.add([str(i) for i in shard], [str(n)] * len(shard), {"x": torch.tensor(shard) + 100 * n})
    last = {str(i): i + 100 * n for n, shard in enumerate(shards) for i in shard}
    stores[1] = Store.create(stores[1].folder, {})
    for store in stores:
        assert store.read("x", sorted(last)).tolist() == [last[i] for i in sorted(last)]
