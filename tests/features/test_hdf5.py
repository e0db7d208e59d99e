import h5py
import numpy as np
import pytest
import torch

from telltime.features.frame_store import FrameStore, StoreError
from telltime.features.hdf5 import export_hdf5, import_hdf5, read_hdf5


@pytest.fixture
def published(tmp_path):
    path = tmp_path / "features.hdf5"
    with h5py.File(path, "w") as file:
        for number, name in enumerate(["3FZ", "x_1", "lone"]):
            rows = np.random.default_rng(number).standard_normal((number + 2, 8)).astype(np.float32)
            file.create_dataset(name, data=rows if name != "lone" else rows[0])
    return path


def test_the_published_layout_is_read(published, tmp_path):
    store = import_hdf5(published, tmp_path / "s", dtype="float32")
    with h5py.File(published) as file:
        assert sorted(store.ids) == sorted(file)
        for name in file:
            assert np.array_equal(store.rows(name).numpy(), np.atleast_2d(file[name][()]))
    assert store.rows("lone").shape == (1, 8)
    assert store.times("x_1").tolist() == [0.0, 1.0, 2.0]
    again = import_hdf5(published, tmp_path / "s", dtype="float32")
    assert torch.equal(again.ragged().rows, store.ragged().rows)
    assert (tmp_path / "s" / "rows-0.bin").stat().st_size == store.ragged().rows.nbytes, "read once"


def test_written_and_read_back_ids_with_folders_too(tmp_path):
    store = FrameStore.create(None, {}, "float32")
    for name in ("sport/a.mp4", "sport/b.mp4", "c"):
        store.add(name, "1", torch.randn(3, 5), np.zeros(3))
    export_hdf5(store, tmp_path / "out.hdf5")
    back = dict(read_hdf5(tmp_path / "out.hdf5"))
    assert sorted(back) == sorted(store.ids)
    for name in store.ids:
        assert np.array_equal(back[name], store.rows(name).numpy())
    export_hdf5(store, tmp_path / "one.hdf5", ["c"])
    assert [name for name, _ in read_hdf5(tmp_path / "one.hdf5")] == ["c"]


def test_what_is_no_such_file_is_said(tmp_path, published):
    with pytest.raises(StoreError, match="no such file"):
        import_hdf5(tmp_path / "none.hdf5")
    (tmp_path / "text.hdf5").write_text("hello")
    with pytest.raises(StoreError, match=r"text\.hdf5 cannot be read as HDF5"):
        import_hdf5(tmp_path / "text.hdf5")
    published.write_bytes(published.read_bytes()[: published.stat().st_size // 2])
    with pytest.raises(StoreError, match="cannot be read as HDF5"):
        import_hdf5(published)


def test_other_layouts_are_refused(tmp_path):
    for number, data in enumerate([np.zeros((2, 3, 4)), np.zeros((2, 9)), np.array(["a"], dtype="S3")]):
        path = tmp_path / f"{number}.hdf5"
        with h5py.File(path, "w") as file:
            file["a"] = np.zeros((2, 8))
            file["b"] = data
        with pytest.raises(StoreError, match=r"b is .* expected numbers \[T, 8\]"):
            list(read_hdf5(path))


def test_an_id_that_is_the_folder_of_another_is_said(tmp_path):
    store = FrameStore.create(None, {})
    for name in ("a", "a/b"):
        store.add(name, "1", torch.randn(3, 5), np.zeros(3))
    with pytest.raises(StoreError, match="cannot be written"):
        export_hdf5(store, tmp_path / "out.hdf5")
    assert not list(tmp_path.iterdir())
