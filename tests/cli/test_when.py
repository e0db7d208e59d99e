"""Telling the time of photos from the command line, with the head that ships and scenes it has not seen."""

import hashlib
import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from telltime.checkpoints.clock import SHIPPED, load_clock
from telltime.cli import _photos_find, when
from telltime.cli.main import main
from telltime.datasets.generated_photos import generate_photos
from telltime.metrics.circular import distance

WRONG = {0: -7.0, 1: 12.0}
"""Hours that the clocks of the first two cameras are ahead."""


@pytest.fixture(scope="module")
def roll(tmp_path_factory):
    """Photos of three cameras, 40 each, two of whose clocks are wrong. Do not write to it."""
    return generate_photos(
        tmp_path_factory.mktemp("roll"), photos=120, seed=90210, days=10, places=3, size=(120, 160), wrong_clocks=WRONG
    )


@pytest.fixture(scope="module")
def truth(roll):
    """The true hour of each photo by file name."""
    rows = json.loads((roll / "metadata.json").read_text())
    return {row["ground_path"]: int(row["time"][11:13]) + int(row["time"][14:16]) / 60 for row in rows}


@pytest.fixture(scope="module")
def right(roll):
    """The photos of the camera whose clock is right."""
    names = json.loads((roll / "generated.json").read_text())["cameras"]
    return sorted((roll / "photos").glob(f"{names[2]}_*.jpg"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of the roll's features, filled by the first who asks for it."""
    return tmp_path_factory.mktemp("kept") / "store"


def told(capsys, *arguments):
    code = main(["when", *map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_photo_is_told_with_arcs_and_its_claim(right, capsys):
    assert main(["when", str(right[0])]) == 0
    shown = capsys.readouterr().out
    for words in ("about ", "50 %", "80 %", "the file claims", "the sun then", "12", "⠀"):
        assert words in shown
    assert right[0].name in shown


def test_times_are_near_the_truth(right, truth, capsys):
    code, found = told(capsys, *right)
    assert code == 0
    errors = [float(distance(one["hour"], truth[Path(one["path"]).name])) for one in found["photos"]]
    assert np.median(errors) < 3
    assert np.mean(errors) < 4.5


def test_the_head_that_ships_is_small_and_says_what_it_learnt_from():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 1_000_000
    clock = load_clock()
    assert "generated" in clock.meta["learnt_from"]
    assert clock.calibration is not None
    assert clock.meta["suns"]


def test_one_photo_is_told_the_same_alone_and_in_a_folder(right, roll, store, capsys):
    alone = told(capsys, right[1])[1]["photos"][0]["hour"]
    arguments = ["photos", "find", str(roll / "photos"), "--time", "12", "--within", "12h", "--store", str(store)]
    assert main([*arguments, "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)["hits"]
    [hour] = [hit["estimated_hour"] for hit in hits if Path(hit["path"]).name == right[1].name]
    assert float(distance(hour, alone)) < 0.02


def test_json_holds_everything(right, capsys):
    code, found = told(capsys, right[3])
    assert code == 0
    [one] = found["photos"]
    assert found["errors"] == []
    assert sum(one["density"]) == pytest.approx(1, abs=1e-3)
    assert len(one["density"]) == 96
    assert set(one["arcs"]) == {"50", "80"}
    assert 0 <= one["hour"] < 24
    assert one["claimed"]["source"] == "EXIF DateTimeOriginal"
    assert 0 < one["claimed"]["p_value"] <= 1
    assert len(one["time"]) == 5


def test_bad_files_are_named_and_the_rest_is_done(right, tmp_path, capsys):
    torn, text, bomb = tmp_path / "torn.jpg", tmp_path / "text.jpg", tmp_path / "empty.jpg"
    torn.write_bytes(right[0].read_bytes()[:1500])
    text.write_text("no picture")
    bomb.touch()
    (tmp_path / "nothing").mkdir()
    code, found = told(capsys, torn, right[0], text, tmp_path / "gone.jpg", bomb, tmp_path / "nothing")
    assert code == 1
    assert [Path(one["path"]).name for one in found["photos"]] == [right[0].name]
    named = {Path(one["path"]).name for one in found["errors"]}
    assert named == {"torn.jpg", "text.jpg", "gone.jpg", "empty.jpg", "nothing"}
    assert main(["when", str(tmp_path / "gone.jpg")]) == 1
    assert "gone.jpg: no such file" in capsys.readouterr().err


def test_a_folder_is_told_in_lines(right, tmp_path, capsys):
    for path in right[:9]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert main(["when", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 9
    assert all("80 %" in line for line in lines)


def test_clocks_are_drawn_without_writing_over_each_other(right, tmp_path, capsys):
    twin = tmp_path / "twin" / right[0].name
    twin.parent.mkdir()
    twin.write_bytes(right[0].read_bytes())
    assert main(["when", str(right[0]), str(twin), "--svg", str(tmp_path / "clocks")]) == 0
    drawn = sorted((tmp_path / "clocks").iterdir())
    assert len(drawn) == 2
    for path in drawn:
        ElementTree.fromstring(path.read_text())


def test_the_sun_can_be_asked_for_and_left(right, tmp_path, capsys):
    assert told(capsys, right[0], "--sun")[1]["photos"][0]["sun"]["zone"]
    assert told(capsys, right[0], "--no-sun")[1]["photos"][0]["sun"] is None
    bare = tmp_path / "bare.png"
    with Image.open(right[0]) as image:
        image.save(bare)
    [one] = told(capsys, bare, "--sun")[1]["photos"]
    assert one["sun"] is None
    assert one["claimed"] is None
    main(["when", str(bare)])
    assert "claims no time" in capsys.readouterr().out


def test_unknown_zones_and_models_are_told_at_once(right, capsys):
    assert main(["when", str(right[0]), "--zone", "Europe/Pariss"]) == 2
    assert "Europe/Paris?" in capsys.readouterr().err
    assert main(["when", str(right[0]), "--model", "no/such/model"]) == 1
    assert "no/such/model" in capsys.readouterr().err


def test_terminals_without_unicode_get_letters(right, capsys, monkeypatch):
    monkeypatch.setattr(when, "_unicode", lambda: False)
    assert main(["when", str(right[0])]) == 0
    assert capsys.readouterr().out.replace("°", "").isascii()


def test_the_audit_finds_the_wrong_clocks_and_changes_nothing(roll, store, tmp_path, capsys):
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in roll.rglob("*.jpg")}
    report, script = tmp_path / "audit.html", tmp_path / "mend.sh"
    options = ["--store", str(store), "--report", str(report), "--commands", str(script)]
    assert main(["photos", "audit", str(roll / "photos"), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["photos"] == 120
    cameras = json.loads((roll / "generated.json").read_text())["cameras"]
    offsets = {Path(p["photos"][0]).name.rpartition("_")[0]: p for p in found["periods"] if len(p["photos"]) > 20}
    for number, name in enumerate(cameras):
        ahead = WRONG.get(number, 0.0)
        assert offsets[name]["wrong"] == bool(ahead)
        if ahead:
            error = (offsets[name]["offset"]["minutes"] + 60 * ahead + 720) % 1440 - 720
            assert abs(error) <= 30
    assert "exiftool" in script.read_text()
    assert "<svg" in report.read_text()
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in roll.rglob("*.jpg")} == before
    assert main(["photos", "audit", str(roll / "photos"), "--store", str(store)]) == 0
    shown = capsys.readouterr().out
    assert "the clock seems wrong: add +7 h" in shown
    assert "the clock seems right" in shown
    assert "-globalTimeShift" in shown


def test_find_shows_photos_around_a_time_along_the_day(roll, store, tmp_path, capsys):
    report = tmp_path / "noon.html"
    arguments = ["photos", "find", str(roll / "photos"), "--time", "12:00", "--within", "2h", "--store", str(store)]
    assert main([*arguments, "--json", "--report", str(report)]) == 0
    found = json.loads(capsys.readouterr().out)
    hours = [hit["hour"] for hit in found["hits"]]
    assert hours
    assert hours == sorted(hours)
    assert all(10 <= hour <= 14 for hour in hours)
    assert report.read_text().count("<svg") == len(hours)
    assert main([*arguments, "--text", "a beach"]) == 1
    assert "CLIP" in capsys.readouterr().err


def test_a_folder_without_photos_is_told(tmp_path, capsys):
    for verb in (["audit"], ["find", "--time", "12"]):
        assert main(["photos", verb[0], str(tmp_path), *verb[1:]]) == 1
        assert "no picture found" in capsys.readouterr().err
        assert main(["photos", verb[0], str(tmp_path / "gone"), *verb[1:]]) == 1
        assert "gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "hour"),
    [("18:00", 18), ("6pm", 18), ("12am", 0), ("12 pm", 12), ("7", 7), ("6:30am", 6.5), ("18h15", 18.25), ("0", 0)],
)
def test_times_are_read_as_people_write_them(text, hour):
    assert _photos_find.time_of_day(text) == hour


@pytest.mark.parametrize("text", ["24:00", "noon", "13pm", "12:60", "", "-3"])
def test_what_is_no_time_is_refused(text, capsys):
    assert main(["photos", "find", ".", f"--time={text}"]) == 2


@pytest.mark.parametrize(("text", "hours"), [("1h", 1), ("90min", 1.5), ("1:30", 1.5), ("1h30", 1.5), ("0.5", 0.5)])
def test_spans_are_read_as_people_write_them(text, hours):
    assert _photos_find.span(text) == hours


@pytest.mark.parametrize("text", ["0", "13h", "soon", "-1h"])
def test_what_is_no_span_is_refused(text, capsys):
    assert main(["photos", "find", ".", "--time", "12", f"--within={text}"]) == 2


def test_no_model_is_loaded_where_no_file_can_be_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("telltime.checkpoints.clock.load_clock", None)
    (tmp_path / "words.jpg").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    assert main(["when", str(tmp_path), str(tmp_path / "words.jpg"), "--json"]) == 1
    shown = capsys.readouterr()
    assert [Path(row["path"]).name for row in json.loads(shown.out)["errors"]] == [
        "empty.png",
        "words.jpg",
        "words.jpg",
    ]
    assert shown.err.count("no format of picture") == 2
    assert "empty file" in shown.err
