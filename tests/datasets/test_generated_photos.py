"""Generated photos: their EXIF, their truth, and that light follows the sun."""

import json
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from PIL import Image

from telltime.datasets.generated_photos import generate_photos
from telltime.datasets.record import DatasetError

SMALL = {"photos": 60, "seed": 5, "days": 5, "places": 3, "size": (48, 64)}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    return generate_photos(tmp_path_factory.mktemp("skies") / "a", **SMALL)


def rows(root: Path) -> list[dict]:
    return json.loads((root / "metadata.json").read_text())


def pixels(root: Path, row: dict) -> np.ndarray:
    return np.asarray(Image.open(root / "photos" / row["ground_path"]), np.float64)


def test_exif_tells_the_local_time_the_offset_and_the_place(drawn):
    for row in rows(drawn):
        exif = Image.open(drawn / "photos" / row["ground_path"]).getexif()
        details, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        local = datetime.strptime(row["time"], "%Y-%m-%d %H:%M:%S.0")
        assert details[0x9003] == local.strftime("%Y:%m:%d %H:%M:%S")
        offset = local.replace(tzinfo=ZoneInfo(row["timezone"])).strftime("%z")
        assert details[0x9011].replace(":", "") == offset
        degrees = sum(float(part) / 60**i for i, part in enumerate(gps[2]))
        assert degrees * (-1 if gps[1] == "S" else 1) == pytest.approx(row["latitude"], abs=1e-4)
        degrees = sum(float(part) / 60**i for i, part in enumerate(gps[4]))
        assert degrees * (-1 if gps[3] == "W" else 1) == pytest.approx(row["longitude"], abs=1e-4)


def test_times_cover_the_day_of_every_camera(drawn):
    for camera in {row["camera"] for row in rows(drawn)}:
        hours = {int(row["time"][11:13]) for row in rows(drawn) if row["camera"] == camera}
        assert len(hours) >= 16
        assert {hour // 6 for hour in hours} == {0, 1, 2, 3}


def test_days_are_brighter_than_nights(drawn):
    bright = [(row["sun_elevation"], pixels(drawn, row).mean()) for row in rows(drawn)]
    day = [light for elevation, light in bright if elevation > 10]
    night = [light for elevation, light in bright if elevation < -12]
    assert min(len(day), len(night)) > 10
    assert np.median(day) > 1.8 * np.median(night)
    assert np.percentile(day, 10) > np.percentile(night, 80)


def test_same_arguments_same_bytes_and_another_seed_others(drawn, tmp_path):
    again = generate_photos(tmp_path / "b", **SMALL, threads=3)
    other = generate_photos(tmp_path / "c", **{**SMALL, "seed": 6})
    files = sorted(p.relative_to(drawn) for p in drawn.rglob("*.*"))
    assert files == sorted(p.relative_to(again) for p in again.rglob("*.*"))
    assert all((drawn / f).read_bytes() == (again / f).read_bytes() for f in files)
    assert (other / "metadata.json").read_bytes() != (drawn / "metadata.json").read_bytes()


def test_a_wrong_clock_lies_in_exif_only(drawn, tmp_path):
    wrong = generate_photos(tmp_path / "w", **SMALL, wrong_clocks={1: -7})
    assert rows(wrong) == rows(drawn)
    cameras = list(dict.fromkeys(row["camera"] for row in rows(wrong)))
    for row in rows(wrong):
        claimed = Image.open(wrong / "photos" / row["ground_path"]).getexif().get_ifd(0x8769)[0x9003]
        true = datetime.strptime(row["time"][:19], "%Y-%m-%d %H:%M:%S")
        late = true - datetime.strptime(claimed, "%Y:%m:%d %H:%M:%S")
        assert late.total_seconds() / 3600 == (7 if row["camera"] == cameras[1] else 0)


def test_large_pictures_have_the_size_asked_for(tmp_path):
    root = generate_photos(tmp_path / "l", photos=1, places=1, days=1, size=(1500, 2000))
    assert Image.open(next((root / "photos").iterdir())).size == (2000, 1500)


def test_bad_arguments_and_strange_folders_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(DatasetError, match="other files"):
        generate_photos(tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    for wrong in ({"places": 25}, {"photos": 0}, {"days": 400}, {"wrong_clocks": {6: 1}}):
        with pytest.raises(ValueError):
            generate_photos(tmp_path / "n", **wrong)
