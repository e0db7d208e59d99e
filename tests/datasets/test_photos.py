"""Photos and their annotations: published dirt, split rules, and folders as people have them."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from telltime import datasets
from telltime.datasets import doctor
from telltime.datasets.generated_photos import generate_photos
from telltime.datasets.photo_rows import Row, group_of, query_rows, read_rows, write_rows
from telltime.datasets.record import DatasetError, Record, Table
from telltime.media.capture_time import Capture


@pytest.fixture(scope="module")
def skies(tmp_path_factory) -> Path:
    return generate_photos(tmp_path_factory.mktemp("skies") / "a", photos=40, days=5, places=2, size=(16, 24))


def entry(name: str, **other: object) -> dict:
    place = {"latitude": 48.1, "longitude": 11.6, "time": "2013-07-08 02:30:10.0", "timezone": "Europe/Berlin"}
    return {"ground_path": name, **place, **other}


def annotation(folder: Path, rows: list, name: str = "rows.json") -> Path:
    (folder / name).write_text(json.dumps(rows))
    return folder / name


def picture(path: Path, **save: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (12, 8), (40, 90, 160)).save(path, **save)
    return path


def test_published_dirt_is_read_and_told(tmp_path):
    dirt = [
        entry("1_a.jpg"),
        entry("2_b_o.jpg", latitude=0.0, longitude=0.0, timezone="Etc/GMT", time="1992-12-01 00:00:00"),
        entry("3_c.jpg", time="2554-01-01 12:00:00.0"),
        entry("4_d.jpg", time="1969-12-31 19:00:00"),
        entry("5_e.jpg", time="yesterday"),
        entry("6_f.jpg", timezone="Europe/Munich"),
        entry("7_g.jpg", latitude=91, longitude=float("nan")),
        {"image_path": "8_h.jpg", "time": "2013-01-02 03:04:05.0"},
    ]
    rows = read_rows(annotation(tmp_path, dirt))
    clean = rows[0].capture
    assert (clean.hour, clean.offset, clean.sure, clean.notes) == (2.5, timedelta(hours=2), "stated", ())
    nowhere = rows[1].capture
    assert (nowhere.hour, nowhere.latitude, nowhere.zone, nowhere.offset) == (0.0, None, None, None)
    assert [row.capture.hour for row in rows[2:5]] == [12.0, 19.0, None]
    assert all(row.capture.notes and row.capture.sure == "weak" for row in rows[2:4])
    assert rows[4].capture.sure == "none"
    assert "Europe/Munich" in rows[5].capture.notes[0]
    assert rows[5].capture.zone is None
    assert rows[6].capture.latitude is None
    assert (rows[7].file, rows[7].capture.hour) == ("8_h.jpg", 3 + 4 / 60)


def test_hours_are_those_of_the_reference(golden, tmp_path):
    stored = golden.json("ticl_targets.json")
    rows = read_rows(annotation(tmp_path, stored["metadata"]))
    told = dict(zip(stored["times"], stored["hours"], strict=True))
    hours = [row.capture.hour for row in rows]
    np.testing.assert_allclose(hours, [told[row["time"]] for row in stored["metadata"]], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "empty"), ("{}", "list of rows"), ("[1]", "row 1"), ('[{"time": 1}]', "ground_path"), ("[", "no JSON")],
)
def test_files_that_are_no_annotation_are_told(tmp_path, text, said):
    (tmp_path / "rows.json").write_text(text)
    with pytest.raises(DatasetError, match=said):
        read_rows(tmp_path / "rows.json")


moments = st.datetimes(datetime(1995, 1, 1), datetime(2024, 1, 1)).map(lambda t: t.replace(microsecond=0))
degrees = st.one_of(st.none(), st.tuples(st.floats(-89, 89), st.floats(-179, 179)).filter(lambda p: p != (0, 0)))


@settings(max_examples=30, deadline=None)
@given(moments, degrees, st.sampled_from([None, "Asia/Kolkata", "America/St_Johns"]), st.integers(-48, 56))
def test_rows_written_are_read_again(tmp_path_factory, local, place, zone, quarters):
    latitude, longitude = place or (None, None)
    offset = None if zone else timedelta(minutes=15 * quarters)
    capture = Capture(local, offset, zone, "x", "stated", latitude, longitude, "Alder A1 7")
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    write_rows(path, [Row("a/ü.jpg", capture, "test")])
    (again,) = read_rows(path)
    assert (again.file, again.split, again.capture.camera) == ("a/ü.jpg", "test", "Alder A1 7")
    assert (again.capture.local, again.capture.zone) == (local, zone)
    assert (again.capture.latitude, again.capture.longitude) == (latitude, longitude)
    assert zone or again.capture.offset == offset


def test_queries_are_the_first_two_of_every_hour(tmp_path):
    times = [f"2013-01-{1 + i // 24:02d} {i * 7 % 24:02d}:10:00.0" for i in range(24 * 3)]
    rows = read_rows(annotation(tmp_path, [entry(f"{i}.jpg", time=time) for i, time in enumerate(times)]))
    queries, database = query_rows(rows)
    assert (len(queries), len(database)) == (48, 24)
    assert queries == list(range(48))
    assert sorted(queries + database) == list(range(72))


def test_toc_reads_its_layout_and_lists_what_is_missing(tmp_path):
    rows = [entry(f"{i}_x.jpg", time=f"2013-07-{i + 1:02d} 1{i % 2}:00:00.0") for i in range(6)]
    (tmp_path / "metadata").mkdir()
    annotation(tmp_path / "metadata", rows, "test_metadata.json")
    for i in range(5):
        picture(tmp_path / "images" / str(i) / f"{i}_X.JPG")
    table = datasets.load("toc", tmp_path, "test")
    assert (len(table), table.missing, table.published) == (5, ("5_x.jpg",), 13_091)
    np.testing.assert_array_equal(table.hours(), [10, 11, 10, 11, 10])
    assert {r.label for r in table.records} == {None}
    assert len({r.group for r in table.records}) == 5
    parts = [{r.id for r in datasets.load("toc", tmp_path, part).records} for part in ("query", "database")]
    assert [len(part) for part in parts] == [4, 1]
    with pytest.raises(DatasetError, match=r"train_metadata\.json"):
        datasets.load("toc", tmp_path, "train")


def test_a_folder_of_photos_splits_by_day_and_place(skies):
    train, test, everything = (datasets.load("photos", skies, split) for split in ("train", "test", "all"))
    assert len(train) + len(test) == len(everything) == 40
    groups = [{r.group for r in table.records} for table in (train, test)]
    assert not groups[0] & groups[1]
    assert len(groups[1]) == 2
    again = datasets.load("photos", skies, "test")
    assert [r.id for r in again.records] == [r.id for r in test.records]
    assert {r.id for r in datasets.load("photos", skies, "test", fold=2).records} != {r.id for r in test.records}


def test_exif_and_annotation_agree(skies):
    stated = datasets.load("photos", skies, "all")
    listed = datasets.load("photos", skies / "photos", "test", annotation=skies / "metadata.json")
    assert len(listed) == len(stated)
    hours = {r.path.name: r.capture.hour for r in stated.records}
    assert {r.path.name: r.capture.hour for r in listed.records} == hours


def test_rows_that_carry_a_split_keep_it(tmp_path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.jpg")
    file = annotation(tmp_path, [entry("a.jpg", split="train"), entry("b.jpg", split="test"), entry("c.jpg")])
    ids = {s: [r.id for r in datasets.load("photos", tmp_path, s, annotation=file).records] for s in ("train", "test")}
    assert ids == {"train": ["a.jpg", "c.jpg"], "test": ["b.jpg"]}


def test_names_that_come_twice_are_told_apart_by_folder(tmp_path):
    for folder in ("x", "y"):
        picture(tmp_path / folder / "IMG_1.jpg")
    file = annotation(tmp_path, [entry("y/IMG_1.jpg"), entry("IMG_1.jpg"), entry("y/IMG_1.jpg")])
    table = datasets.load("photos", tmp_path, "train", annotation=file)
    assert [r.id for r in table.records] == ["y/IMG_1.jpg"]
    assert table.missing == ("IMG_1.jpg",)
    assert any("a row before them" in note for note in table.notes)


def test_photos_without_a_time_are_in_all_only(tmp_path):
    exif = Image.Exif()
    for i in range(3):
        exif.get_ifd(0x8769)[0x9003] = f"2020:05:0{i + 1} 12:00:00"
        picture(tmp_path / f"{i}.jpg", exif=exif)
    picture(tmp_path / "none.png")
    assert len(datasets.load("photos", tmp_path, "all")) == 4
    assert np.isnan(datasets.load("photos", tmp_path, "all").hours()).sum() == 1
    assert not np.isnan(datasets.load("photos", tmp_path, "train").hours()).any()


@pytest.mark.parametrize("made", ["nothing", "text", "one day", "no times"])
def test_folders_that_cannot_serve_are_told(tmp_path, made):
    if made == "text":
        (tmp_path / "notes.txt").write_text("x")
    if made in ("one day", "no times"):
        exif = Image.Exif()
        if made == "one day":
            exif.get_ifd(0x8769)[0x9003] = "2020:05:01 12:00:00"
        picture(tmp_path / "a.jpg", exif=exif)
    said = {
        "nothing": "it is empty",
        "text": "1 other file",
        "one day": "one day and place",
        "no times": "none of the 1",
    }
    with pytest.raises(DatasetError, match=said[made]):
        datasets.load("photos", tmp_path, "test")


def test_doctor_opens_photos_and_names_the_broken(skies, tmp_path):
    report = doctor.check("photos", skies)
    assert (report["ok"], report["videos"], report["media"]["sizes"]) == (True, 40, {"24x16": 40})
    picture(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    file = annotation(tmp_path, [entry("good.jpg"), entry("bad.jpg"), entry("gone.jpg")])
    report = doctor.check("photos", tmp_path, file)
    assert report["problems"] == ["1 listed photo is missing, e.g. gone.jpg", "1 photo is unreadable"]
    assert [found["id"] for found in report["unreadable"]] == ["bad.jpg"]


def test_hours_and_groups_of_records():
    place = Capture(datetime(2020, 1, 2, 23, 59), latitude=-0.01, longitude=12.34)
    records = (Record("a", Path("a"), capture=place), Record("b", Path("b")))
    np.testing.assert_array_equal(Table("photos", "all", Path(), records=records).hours(), [23 + 59 / 60, np.nan])
    assert group_of(place) == "2020-01-02 0.0 12.3"
    assert group_of(Capture(datetime(2020, 1, 2), camera="Alder")) == "2020-01-02 Alder"
    assert group_of(Capture()) is None
