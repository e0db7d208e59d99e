"""A store of frames: what is added is there, whoever is killed, and other settings are refused."""

import json
import multiprocessing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.features.frame_store import FrameStore, StoreError
from telltime.features.store import Store

SETTINGS = {"sampler": "tca", "frames": "abc", "whitening": None}


def rows(count, value, dim=4):
    return torch.full((count, dim), float(value)) + torch.arange(count)[:, None]


def add(store, name, count, value, mark="1"):
    store.add(name, mark, rows(count, value), np.arange(count) / 2)


@pytest.fixture
def store(tmp_path):
    made = FrameStore.create(tmp_path / "s", SETTINGS)
    for number, name in enumerate(["a", "b/é", "c"]):
        add(made, name, number + 1, 10 * number)
    return made


def test_what_is_added_is_read_back(store):
    for each in (store, FrameStore.open(store.folder, SETTINGS)):
        assert each.ids == ["a", "b/é", "c"]
        assert len(each) == 3
        assert "c" in each
        assert "d" not in each
        assert each.mark("c") == "1"
        assert each.mark("d") is None
        assert each.lengths.tolist() == [1, 2, 3]
        assert each.dim == 4
        assert torch.equal(each.rows("b/é"), rows(2, 10))
        assert each.times("c").tolist() == [0.0, 0.5, 1.0]
        found = each.ragged(["c", "a"])
        assert found.rows.dtype == torch.float32
        assert found.offsets.tolist() == [0, 3, 4]
        assert torch.equal(found.rows, torch.cat([rows(3, 20), rows(1, 0)]))
        assert len(each.ragged([])) == 0
        with pytest.raises(KeyError):
            each.ragged(["d"])
        with pytest.raises(KeyError):
            each.times("d")


def test_rows_that_lie_together_are_not_copied(store):
    native = store.ragged(dtype=None)
    assert native.rows.dtype == torch.float16
    assert native.rows.untyped_storage().data_ptr() == store.ragged(dtype=None).rows.untyped_storage().data_ptr()
    native.rows[0] = 99
    assert FrameStore.open(store.folder).rows("a").max() < 99, "what is read belongs to the reader"


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2e-3), ("float32", 0)])
def test_numbers_are_kept_as_told(tmp_path, dtype, error):
    store = FrameStore.create(tmp_path / "s", {}, dtype)
    held = torch.nn.functional.normalize(torch.randn(5, 64), dim=1)
    store.add("a", "1", held, np.zeros(5))
    assert (FrameStore.open(tmp_path / "s").rows("a") - held).abs().max() <= error


def test_a_video_added_again_is_replaced_and_removed_is_gone(store):
    add(store, "a", 2, 50, mark="2")
    store.remove(["b/é", "nobody"])
    for each in (store, FrameStore.open(store.folder)):
        assert each.ids == ["a", "c"]
        assert each.mark("a") == "2"
        assert torch.equal(each.ragged().rows, torch.cat([rows(2, 50), rows(3, 20)]))
    reader = FrameStore.open(store.folder)
    old = reader.ragged(dtype=None)
    size = (store.folder / "rows-0.bin").stat().st_size
    store.compact()
    assert (store.folder / "rows-1.bin").stat().st_size < size
    assert not (store.folder / "rows-0.bin").exists()
    assert torch.equal(old.rows.float(), torch.cat([rows(2, 50), rows(3, 20)]))
    reader.refresh()
    for each in (store, reader, FrameStore.open(store.folder)):
        assert each.ids == ["a", "c"]
        assert torch.equal(each.ragged().rows, torch.cat([rows(2, 50), rows(3, 20)]))
        assert each.times("c").tolist() == [0.0, 0.5, 1.0]


_STEP = st.tuples(st.sampled_from("abcde"), st.integers(0, 4), st.sampled_from(["add", "remove", "compact"]))


@given(st.lists(_STEP))
@settings(max_examples=25, deadline=None)
def test_it_behaves_like_a_dictionary(steps):
    store, kept = FrameStore.create(None, {}, "float32"), {}
    for number, (name, count, what) in enumerate(steps):
        if what == "add":
            add(store, name, count, number)
            kept[name] = rows(count, number)
        elif what == "remove":
            store.remove([name])
            kept.pop(name, None)
        else:
            store.compact()
    for each in (store, FrameStore.open(store.folder)):
        assert sorted(each.ids) == sorted(kept)
        assert all(torch.equal(each.rows(name), value) for name, value in kept.items())
        assert each.ragged().lengths.tolist() == [len(kept[name]) for name in each.ids]


def test_other_settings_are_refused_with_what_differs(store):
    with pytest.raises(StoreError, match="made with frames 'abc', not 'xyz'"):
        FrameStore.open(store.folder, SETTINGS | {"frames": "xyz"})
    with pytest.raises(StoreError, match="whitening None, not 'w'"):
        FrameStore.create(store.folder, SETTINGS | {"whitening": "w"})
    with pytest.raises(ValueError, match="have 4 numbers, not 5"):
        store.add("x", "1", torch.zeros(2, 5), np.zeros(2))
    with pytest.raises(ValueError, match="n times"):
        store.add("x", "1", torch.zeros(2, 4), np.zeros(3))
    assert store.ids == FrameStore.open(store.folder).ids == ["a", "b/é", "c"]


def test_folders_that_hold_something_else_are_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match="no store of frame descriptors"):
        FrameStore.create(tmp_path, {})
    with pytest.raises(StoreError, match=r"no store\.json"):
        FrameStore.open(tmp_path)
    Store.create(tmp_path / "clips", {})
    with pytest.raises(StoreError, match="another kind"):
        FrameStore.open(tmp_path / "clips")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clips", "thesis.txt"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1}', '{"format":1,"kind":"frames","settings":{},"dtype":"x","generation":0}']
)
def test_a_damaged_description_is_said(store, text):
    (store.folder / "store.json").write_text(text)
    with pytest.raises(StoreError, match=r"store\.json is damaged|another kind"):
        FrameStore.open(store.folder)


def test_a_later_format_and_damaged_lines_are_said(store):
    lines = store.folder / "videos-0.jsonl"
    lines.write_bytes(b"nonsense\n" + lines.read_bytes())
    with pytest.raises(StoreError, match="damaged; remove"):
        FrameStore.open(store.folder)
    described = json.loads((store.folder / "store.json").read_text())
    (store.folder / "store.json").write_text(json.dumps(described | {"format": 9}))
    with pytest.raises(StoreError, match="format 9"):
        FrameStore.open(store.folder)


def test_what_a_killed_writer_left_is_passed_over_and_written_over(store):
    with (store.folder / "rows-0.bin").open("ab") as file:
        file.write(b"x" * 13)
    with (store.folder / "times-0.bin").open("ab") as file:
        file.write(b"x" * 5)
    with (store.folder / "videos-0.jsonl").open("ab") as file:
        file.write(b'{"id": "d", "mark": "1", "fir')
    again = FrameStore.open(store.folder)
    assert again.ids == ["a", "b/é", "c"]
    add(again, "d", 2, 70)
    store.refresh()
    for each in (store, again, FrameStore.open(store.folder)):
        assert torch.equal(each.rows("d"), rows(2, 70))
        assert each.times("d").tolist() == [0.0, 0.5]
        assert torch.equal(each.rows("c"), rows(3, 20))


def test_rows_that_never_came_to_the_disk_are_not_made_up(store):
    with (store.folder / "rows-0.bin").open("r+b") as file:
        file.truncate(8 * 4)
    again = FrameStore.open(store.folder)
    assert again.ids == ["a", "b/é"]
    add(again, "d", 3, 70)
    assert FrameStore.open(store.folder).ids == ["a", "b/é", "d"]
    assert torch.equal(FrameStore.open(store.folder).rows("d"), rows(3, 70))


def test_a_full_disk_is_one_sentence_and_loses_nothing(store, monkeypatch):
    from telltime.features import frame_store

    def full(path, place, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(frame_store, "_write_at", full)
        with pytest.raises(StoreError, match="No space left on device"):
            add(store, "d", 1, 1)
    assert FrameStore.open(store.folder).ids == ["a", "b/é", "c"]
    add(store, "d", 1, 1)
    assert FrameStore.open(store.folder).ids[-1] == "d"


def _write_for_ever(folder, told):
    store = FrameStore.create(folder, {})
    for number in range(1_000_000):
        store.add(f"v{number}", "1", torch.full((3, 4), float(number % 1000)), np.zeros(3))
        told.send(number)


def test_a_killed_writer_leaves_a_store_that_reads_and_goes_on(tmp_path):
    folder = tmp_path / "s"
    heard, told = multiprocessing.Pipe(duplex=False)
    writer = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(folder, told))
    writer.start()
    while heard.recv() < 20:
        pass
    assert torch.equal(FrameStore.open(folder).rows("v7"), torch.full((3, 4), 7.0))
    writer.kill()
    writer.join(30)
    store = FrameStore.open(folder)
    assert len(store) >= 21
    for number, name in enumerate(store.ids):
        assert torch.equal(store.rows(name), torch.full((3, 4), float(number % 1000)))
    add(store, "next", 2, 5)
    assert torch.equal(FrameStore.open(folder).rows("next"), rows(2, 5))


def _write_many(folder, who):
    store = FrameStore.open(folder)
    for number in range(40):
        add(store, f"{who}{number}", number % 3, ord(who) + number)


def test_two_writers_at_once_lose_nothing(tmp_path):
    FrameStore.create(tmp_path / "s", {}, "float32")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write_many, args=(tmp_path / "s", who)) for who in "pq"]
    for each in writers:
        each.start()
    for each in writers:
        each.join(60)
    store = FrameStore.open(tmp_path / "s")
    assert len(store) == 80
    for who in "pq":
        for number in range(40):
            assert torch.equal(store.rows(f"{who}{number}"), rows(number % 3, ord(who) + number))


def test_a_temporary_store_goes_with_its_object():
    store = FrameStore.create(None, {})
    add(store, "a", 1, 1)
    folder = store.folder
    assert folder.is_dir()
    del store
    assert not folder.exists()
