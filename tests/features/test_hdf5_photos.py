"""Photos' features in the published layout: what is written reads back, what the published script made is refused."""

import json
from datetime import datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from telltime.datasets.record import Record, Table
from telltime.features.hdf5_photos import export_photos, import_photos, read_hdf5_photos
from telltime.features.photos import FEATURE, photo_features
from telltime.features.store import Store, StoreError
from telltime.media.capture_time import Capture


def at(hour: int, minute: int = 0, **more: object) -> Capture:
    return Capture(local=datetime(2021, 5, 1, hour, minute), source="test", sure="stated", **more)


@pytest.fixture
def table() -> Table:
    records = (
        Record("a/1.jpg", Path("a/1.jpg"), capture=at(9, 30, zone="Europe/Rome", latitude=41.9, longitude=12.5)),
        Record("b/2 ü.jpg", Path("b/2 ü.jpg"), capture=at(23, 59)),
        Record("no time.jpg", Path("no time.jpg"), capture=Capture()),
        Record("not embedded.jpg", Path("x.jpg"), capture=at(1)),
    )
    return Table("photos", "all", Path(), records=records)


@pytest.fixture
def store(table: Table) -> Store:
    made = Store.create(None, {"kind": "photos", "tower": "t", "numbers": 5})
    made.add([r.id for r in table.records[:3]], ["1", "2", "3"], {FEATURE: torch.randn(3, 5)})
    return made


def test_what_is_written_reads_back(store: Store, table: Table, tmp_path: Path) -> None:
    left = export_photos(store, table, tmp_path / "f.h5")
    assert left == ("no time.jpg", "not embedded.jpg")
    with h5py.File(tmp_path / "f.h5") as file:
        assert file["features"].dtype == np.float32
        assert file["features"].chunks is None
        row = json.loads(file["metadata"][0])
    assert row == {
        "ground_path": "a/1.jpg",
        "latitude": 41.9,
        "longitude": 12.5,
        "time": "2021-05-01 09:30:00.0",
        "timezone": "Europe/Rome",
    }
    again, read = import_photos(tmp_path / "f.h5", tmp_path / "store")
    assert again.settings == store.settings
    assert [r.id for r in read.records] == ["a/1.jpg", "b/2 ü.jpg"]
    assert read.hours().tolist() == pytest.approx([9.5, 23 + 59 / 60])
    assert torch.equal(photo_features(again, read).features, store.read(FEATURE, ["a/1.jpg", "b/2 ü.jpg"]))
    size = sum(1 for _ in (tmp_path / "store").iterdir())
    import_photos(tmp_path / "f.h5", tmp_path / "store")
    assert sum(1 for _ in (tmp_path / "store").iterdir()) == size, "nothing is added twice"


def test_the_published_scripts_file_is_refused_and_told_why(golden, tmp_path: Path) -> None:
    stored = golden.npz("ticl_h5_quirk.npz")
    assert bool(stored["h5_nonnegative"])
    with h5py.File(golden.path("ticl_features.h5")) as file:
        np.testing.assert_array_equal(file["features"][...], stored["h5_features"])
    with pytest.raises(StoreError, match=r"no value below 0.*adapter with random weights.*telltime embed"):
        read_hdf5_photos(golden.path("ticl_features.h5"))
    with pytest.raises(StoreError, match="adapter"):
        import_photos(golden.path("ticl_features.h5"), tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_the_published_layout_is_read_as_it_is(golden, tmp_path: Path) -> None:
    told = golden.json("ticl_targets.json")
    path = tmp_path / "sound.h5"
    with h5py.File(golden.path("ticl_features.h5")) as file, h5py.File(path, "w") as out:
        out["features"] = file["features"][...] - np.float32(0.1)
        out.create_dataset("metadata", data=file["metadata"][...].tolist(), dtype=h5py.string_dtype("utf-8"))
    values, rows, settings = read_hdf5_photos(path)
    assert list(values.shape) == told["h5_layout"]["features"][1]
    assert [row.file for row in rows] == [row["ground_path"] for row in told["metadata"]]
    assert settings == {}
    _, table = import_photos(path)
    by_time = dict(zip(told["times"], told["hours"], strict=True))
    hours = {row["ground_path"]: by_time[row["time"]] for row in told["metadata"]}
    for record in table.records:
        assert record.capture is not None
        assert record.capture.local is not None
        assert record.capture.local.hour + record.capture.local.minute / 60 == pytest.approx(hours[record.id])


def _file(path: Path, **data: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in data.items():
            file[name] = value
    return path


ROW = json.dumps({"ground_path": "a.jpg", "latitude": 0, "longitude": 0, "time": "2020-01-01 10:00:00.0"})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "holds nothing"),
        ({"features": np.ones((2, 3), np.float32)}, "expected the data sets"),
        ({"features": np.ones(3, np.float32), "metadata": [ROW]}, r"expected numbers \[N, D\]"),
        ({"features": -np.ones((2, 3), np.float32), "metadata": [ROW]}, "2 features for 1 rows"),
        ({"features": np.full((1, 3), np.nan, np.float32), "metadata": [ROW]}, "no finite"),
        ({"features": -np.ones((1, 3), np.float32), "metadata": ["{"]}, "not as published"),
        ({"features": -np.ones((1, 3), np.float32), "metadata": ["[]"]}, "row 1"),
        ({"features": np.zeros((0, 3), np.float32), "metadata": np.zeros(0, "S3")}, "no features"),
    ],
)
def test_other_files_are_one_sentence(data: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=message):
        read_hdf5_photos(_file(tmp_path / "x.h5", **data))


def test_files_that_are_none_are_one_sentence(store: Store, table: Table, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such file"):
        read_hdf5_photos(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(StoreError, match="cannot be read as HDF5"):
        read_hdf5_photos(tmp_path / "text.h5")
    with pytest.raises(StoreError, match="not one of 1 photos"):
        export_photos(store, table.take([2]), tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_a_photo_named_twice_counts_once(tmp_path: Path) -> None:
    path = _file(tmp_path / "x.h5", features=np.array([[-1.0], [-2.0]], np.float32), metadata=[ROW, ROW])
    store, table = import_photos(path)
    assert store.read(FEATURE, ["a.jpg"]).tolist() == [[-1.0]]
    assert len(table) == 1
    assert "1 rows name" in table.notes[0]


def test_features_that_end_in_a_relu_are_fine_where_it_is_known_what_made_them(table: Table, tmp_path: Path) -> None:
    store = Store.create(None, {"kind": "photos", "tower": "resnet18"})
    store.add([table.records[0].id], ["1"], {FEATURE: torch.ones(1, 5)})
    export_photos(store, table, tmp_path / "f.h5")
    assert read_hdf5_photos(tmp_path / "f.h5")[0].min() == 1
