"""Scanning photos: each hazard is left out under its name, and nothing else is."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from telltime import datasets
from telltime.datasets.generated_photos import generate_photos
from telltime.datasets.photo_scan import FILTERS, scan_photos
from telltime.datasets.record import DatasetError
from telltime.media.sun import sun_position

NOON = datetime(2021, 6, 12, 12, 34, 56)


def picture(seed: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A picture like no other: soft blobs, so that neighbouring photos are not alike."""
    grid = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(grid).resize(size, Image.Resampling.BICUBIC)


def save(
    image: Image.Image, path: Path, time: datetime | str | None, offset: str | None = None, **tags: object
) -> Path:
    exif = Image.Exif()
    exif[0x010F] = "Alder"  # Pillow leaves EXIF without a field of its own out of a PNG
    details = exif.get_ifd(0x8769)
    if time is not None:
        details[0x9003] = time if isinstance(time, str) else time.strftime("%Y:%m:%d %H:%M:%S")
    if offset is not None:
        details[0x9011] = offset
    for tag, value in tags.items():
        details[int(tag[1:], 16)] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path


def left(root: Path, **how: object) -> dict[str, str]:
    return {one.file: one.filter for one in scan_photos(root, **how).left}


@pytest.fixture(scope="module")
def skies(tmp_path_factory) -> Path:
    sizes = {"photos": 160, "seed": 2, "days": 8, "places": 4, "size": (96, 128)}
    return generate_photos(tmp_path_factory.mktemp("skies") / "a", **sizes)


@pytest.fixture
def mess(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for i in range(8):
        save(picture(i), root / "good" / f"{i}.jpg", NOON + timedelta(days=i))
    (root / "torn.jpg").write_bytes((root / "good" / "0.jpg").read_bytes()[:700])
    (root / "text.jpg").write_text("no picture")
    save(picture(20), root / "untimed.png", None)
    save(picture(21), root / "zeros.jpg", "0000:00:00 00:00:00")
    save(picture(22), root / "old.jpg", "1969:12:31 19:00:00")
    save(picture(23), root / "future.jpg", "2554:01:02 12:00:00")
    save(picture(24), root / "unset.jpg", "2016:01:01 00:00:00")
    save(picture(25), root / "midnight.jpg", "2016:05:03 00:00:00")
    save(picture(26), root / "Screenshot 2021-06-12 at 12.34.56.png", None)
    save(picture(27), root / "ios.jpg", NOON, x9286=b"ASCII\0\0\0Screenshot")
    drawn = Image.new("RGB", (96, 64), (210, 220, 240))
    drawn.paste((30, 60, 160), (10, 10, 60, 30))
    save(drawn, root / "chart.png", NOON + timedelta(hours=1))
    shutil.copy(root / "good" / "1.jpg", root / "z_copy.jpg")
    frozen = picture(30)
    for minute in (0, 7, 14):
        save(frozen, root / "cam" / f"f{minute:02d}.jpg", NOON + timedelta(days=40, minutes=minute))
    burst = np.asarray(picture(31), np.int16)
    for second in (0, 2, 4):
        shaken = np.clip(burst + np.random.default_rng(second).integers(-6, 7, burst.shape), 0, 255).astype(np.uint8)
        save(Image.fromarray(shaken), root / "burst" / f"b{second}.jpg", NOON + timedelta(days=50, seconds=second))
    return root


def test_every_hazard_is_left_out_under_its_name(mess):
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in mess.rglob("*.*")}
    assert left(mess) == {
        "torn.jpg": "unreadable",
        "text.jpg": "unreadable",
        "untimed.png": "no-time",
        "zeros.jpg": "no-time",
        "old.jpg": "impossible-date",
        "future.jpg": "impossible-date",
        "unset.jpg": "impossible-date",
        "midnight.jpg": "midnight",
        "Screenshot 2021-06-12 at 12.34.56.png": "screenshot",
        "ios.jpg": "screenshot",
        "chart.png": "screenshot",
        "z_copy.jpg": "duplicate",
        "cam/f07.jpg": "frozen",
        "cam/f14.jpg": "frozen",
        "burst/b2.jpg": "near-duplicate",
        "burst/b4.jpg": "near-duplicate",
    }
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in mess.rglob("*.*")} == before


def test_filters_can_be_waived_but_for_two(mess):
    waived = ["impossible-date", "midnight", "screenshot", "duplicate", "frozen", "near-duplicate", "daylight-at-night"]
    assert set(left(mess, keep=waived).values()) == {"unreadable", "no-time"}
    assert "frozen" not in left(mess, keep=["frozen"]).values()
    for wrong in ("no-time", "frozn"):
        with pytest.raises(ValueError, match="waived"):
            scan_photos(mess, keep=[wrong])


def test_true_times_of_generated_photos_all_stay(skies):
    found = scan_photos(skies)
    assert found.left == ()
    rows = {row["ground_path"]: row for row in json.loads((skies / "metadata.json").read_text())}
    for row in found.rows:
        true = rows[row.file.rpartition("/")[2]]
        assert f"{row.capture.local:%Y-%m-%d %H:%M:%S}.0" == true["time"]


def test_daylight_at_night_is_seen_by_the_sky(skies, tmp_path):
    rows = json.loads((skies / "metadata.json").read_text())
    plain = tmp_path / "shifted"
    meant = set()
    for row in rows:
        image = Image.open(skies / "photos" / row["ground_path"])
        exif, local = image.getexif(), datetime.strptime(row["time"], "%Y-%m-%d %H:%M:%S.0")
        details = exif.get_ifd(0x8769)
        details[0x9003] = (local + timedelta(hours=12)).strftime("%Y:%m:%d %H:%M:%S")
        offset = datetime.strptime(details[0x9011].replace(":", ""), "%z").utcoffset()
        moment = (local + timedelta(hours=12) - offset - datetime(1970, 1, 1)).total_seconds()
        night = sun_position(moment, row["latitude"], row["longitude"])[0] < -12
        if night and row["sun_elevation"] > 10 and row["weather"] == "clear":
            meant.add(row["ground_path"])
        plain.mkdir(exist_ok=True)
        image.save(plain / row["ground_path"], exif=exif, quality=92)
    caught = {file for file, name in left(plain).items() if name == "daylight-at-night"}
    by_day = {row["ground_path"] for row in rows if row["sun_elevation"] > -6}
    assert caught <= by_day
    assert len(caught & meant) >= 0.5 * len(meant) > 2


def test_daylight_at_night_is_seen_by_the_exposure(tmp_path):
    sunny = {"x829A": 1 / 500, "x829D": 8.0, "x8827": 100}
    gps = {1: "N", 2: (48.0, 6.0, 0.0), 3: "E", 4: (11.0, 36.0, 0.0)}
    for name, hour, flash in (("night", 1, 0), ("flash", 2, 1), ("noon", 12, 0)):
        path = save(picture(hour), tmp_path / f"{name}.jpg", NOON.replace(month=12, hour=hour), x9209=flash, **sunny)
        image = Image.open(path)
        exif = image.getexif()
        exif.get_ifd(0x8825).update(gps)
        image.save(path, exif=exif)
    assert left(tmp_path) == {"night.jpg": "daylight-at-night"}


def test_a_copy_with_a_weaker_time_is_a_duplicate_whatever_its_name(tmp_path):
    path = save(picture(1), tmp_path / "z.jpg", NOON)
    Image.open(path).save(tmp_path / "IMG-20210613-WA0001.png")
    Image.open(path).save(tmp_path / "20210613_150000.png")
    assert left(tmp_path) == {"IMG-20210613-WA0001.png": "no-time", "20210613_150000.png": "duplicate"}


def test_what_is_written_is_read_as_a_data_set(mess, tmp_path):
    found = scan_photos(mess)
    reasons = found.write(tmp_path / "new" / "rows.json")
    assert reasons.name == "rows.dropped.jsonl"
    lines = [json.loads(line) for line in reasons.read_text().splitlines()]
    assert len(lines) == len(found.left)
    assert all(line["reason"] and line["filter"] in FILTERS for line in lines)
    tables = [datasets.load("photos", mess, s, annotation=tmp_path / "new" / "rows.json") for s in ("train", "test")]
    assert sum(map(len, tables)) == len(found.rows) == 10
    assert not {r.group for r in tables[0].records} & {r.group for r in tables[1].records}
    assert not any(table.missing for table in tables)
    summary = found.summary()
    assert (summary["photos"], summary["kept"], summary["train"], summary["test"]) == (26, 10, 8, 2)
    assert sum(summary["left_out"].values()) == 16


def test_a_zone_is_used_for_utc_only(tmp_path):
    picture(1).save(tmp_path / "cam_20210612T103456Z.jpg")
    assert left(tmp_path) == {"cam_20210612T103456Z.jpg": "no-time"}
    (row,) = scan_photos(tmp_path, zone="Europe/Berlin").rows
    assert row.capture.hour == 12 + 34 / 60


def test_folders_without_pictures_are_told(tmp_path):
    with pytest.raises(DatasetError, match="no picture found"):
        scan_photos(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        scan_photos(tmp_path / "gone")
