"""Capture times from file names and videos, and of files that are damaged or none."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from exif_files import CAMERA, NOON, VEGAS, packet, satellites, text, write
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from telltime.media import _file_names
from telltime.media._timestamps import implausible, parse_offset, parse_time
from telltime.media.capture_time import Capture, read_capture
from telltime.media.errors import MediaNotFound
from telltime.media.write import write_video
from telltime.media.zones import UnknownZone


@pytest.mark.parametrize(
    ("name", "local", "note"),
    [
        ("IMG_20230613_120030.jpg", NOON, ""),
        ("IMG_20230613_120030_BURST001_COVER.jpg", NOON, ""),
        ("IMG20230613120030.jpg", NOON, ""),
        ("20230613_120030(1).jpg", NOON, ""),
        ("VID_20230613_120030.jpg", NOON, ""),
        ("2023-06-13 12.00.30.jpg", NOON, ""),
        ("2023-06-13T12-00-30.jpg", NOON, ""),
        ("Screenshot_20230613-120030_Chrome.jpg", NOON, "screenshot"),
        ("Screenshot 2023-06-13 at 12.00.30 PM.jpg", NOON, "screenshot"),
        ("signal-2023-06-13-12-00-30-123.jpg", NOON.replace(microsecond=123_000), "sending"),
        ("WhatsApp Image 2023-06-13 at 12.00.30.jpeg", NOON, "sending"),
        ("photo_2023-06-13_12-00-30.jpg", NOON, "sending"),
        ("garden_20230613T120030+0200.jpg", NOON, ""),
        ("IMG-20230613-WA0001.jpg", None, "date 2023-06-13 and no time"),
        ("PXL_20230613_120030250.jpg", None, "the time zone is not known"),
        ("vegas_20230613T120030Z.jpg", None, "the time zone is not known"),
        ("FB_IMG_1686657630000.jpg", None, "the time zone is not known"),
        ("IMG_20231313_120030.jpg", None, ""),
        ("IMG_20230613_990030.jpg", None, "and no time"),
        ("IMG_2041.jpg", None, ""),
        ("20230613120030123456789.jpg", None, ""),
        ("DSC01990.jpg", None, ""),
    ],
)
def test_file_names(tmp_path, name, local, note):
    capture = read_capture(write(tmp_path / name))
    assert capture.local == local
    assert capture.sure == ("weak" if local else "none")
    assert note in " ".join(capture.notes)
    assert bool(note) == bool(capture.notes)


def test_file_names_in_utc(tmp_path):
    for name, camera in {"PXL_20230613_120030250.jpg": None, "old-town_20230613T120030Z.jpg": "old-town"}.items():
        capture = read_capture(write(tmp_path / name), "America/Los_Angeles")
        assert capture.local.replace(microsecond=0) == NOON - timedelta(hours=7)
        assert (capture.sure, capture.camera, capture.zone) == ("derived", camera, "America/Los_Angeles")
    apart = write(tmp_path / "PXL_20230613_120030250.jpg", NOON, satellites(VEGAS))
    assert any("file name (UTC) says 2023-06-13 05:00:30" in note for note in read_capture(apart).notes)


def test_videos(tmp_path):
    import av

    path = tmp_path / "clip.mp4"
    write_video(tmp_path / "raw.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(3)))

    def tagged(**tags: str) -> Path:
        with (
            av.open(str(tmp_path / "raw.mp4")) as source,
            av.open(str(path), "w", format="mov", options={"movflags": "use_metadata_tags"}) as sink,
        ):
            sink.metadata.update({key.replace("__", "."): value for key, value in tags.items()})
            stream = sink.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    sink.mux(packet)
        return path

    plain = read_capture(tagged(creation_time="2023-06-13T12:00:30.000000Z"))
    assert (plain.local, plain.utc) == (None, NOON.replace(tzinfo=UTC))
    zoned = read_capture(path, "Asia/Tokyo")
    assert (zoned.hour, zoned.sure, zoned.source) == (21, "derived", "video creation time")
    apple = read_capture(
        tagged(
            creation_time="2023-06-13T12:00:30Z",
            com__apple__quicktime__creationdate="2023-06-13T05:00:30-0700",
            com__apple__quicktime__location__ISO6709="+36.1100-115.1650+610.0/",
            com__apple__quicktime__make="Apple",
            com__apple__quicktime__model="iPhone 12",
        )
    )
    assert (apple.hour, apple.sure, apple.zone) == (5, "stated", "America/Los_Angeles")
    assert (apple.camera, apple.notes) == ("Apple iPhone 12", ())
    assert read_capture(tagged(creation_time="1904-01-01T00:00:00Z")).local is None
    (tmp_path / "VID_20230613_120030.mp4").write_bytes(b"none")
    broken = read_capture(tmp_path / "VID_20230613_120030.mp4")
    assert broken.local == NOON
    assert "no video known here" in broken.notes[0]


def test_files_that_are_none(tmp_path):
    with pytest.raises(MediaNotFound, match="no such file"):
        read_capture(tmp_path / "none.jpg")
    with pytest.raises(MediaNotFound, match="not a regular file"):
        read_capture(tmp_path)
    with pytest.raises(UnknownZone, match="did you mean Europe/Berlin"):
        read_capture(write(tmp_path / "a.jpg"), "Europe/Berlinn")
    for data in (b"", b"words", b"\xff\xd8\xff\xe1", b"II*\0" + bytes(9)):
        (tmp_path / "b.jpg").write_bytes(data)
        capture = read_capture(tmp_path / "b.jpg")
        assert capture.local is None
        assert capture.sure == "none"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    xmp = packet(exif_DateTimeOriginal="2023-06-13T12:00:30")
    path = write(folder / "a.jpg", NOON, satellites(VEGAS, NOON), CAMERA, {0x9011: "-07:00"}, xmp)
    return path.read_bytes()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damage_anywhere_raises_nothing(whole, tmp_path_factory, data):
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)) | st.just(len(whole)))])
    for _ in range(data.draw(st.integers(0, 12))):
        if broken:
            broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "broken.jpg"
    path.write_bytes(broken)
    capture = read_capture(path)
    assert (capture.local is None) == (capture.sure == "none")
    assert capture.hour is None or 0 <= capture.hour < 24
    assert all("\n" not in note and note for note in capture.notes)


@given(st.text(max_size=40) | st.binary(max_size=40))
@example("+99:00")
@example("2023:06:13 24:00:60")
@example("٢٠٢٣:06:13 12:00:00")
@settings(max_examples=150, deadline=None)
def test_fields_of_any_content(value):
    for parse in (parse_time, parse_offset):
        with contextlib.suppress(ValueError):
            parse(value)
    if isinstance(value, str):
        _file_names.name_stamp(value)


@given(st.datetimes(datetime(1990, 1, 2), datetime(2025, 1, 1)))
@settings(max_examples=60, deadline=None)
def test_times_come_back_as_written(time):
    time = time.replace(microsecond=0)
    assert parse_time(text(time)) == (time, None)
    assert parse_time(time.isoformat() + "+0930") == (time, timedelta(hours=9, minutes=30))
    stamp, _ = _file_names.name_stamp(f"IMG_{time:%Y%m%d_%H%M%S}")
    assert stamp.time == time
    if (time.month, time.day) != (1, 1):
        assert implausible(time, now=datetime(2025, 1, 1)) is None


def test_hours_go_up_to_24():
    assert parse_time("2023:06:13 24:00:00") == (datetime(2023, 6, 14), None)
    assert parse_time("2023:06:13 23:59:60")[0] == datetime(2023, 6, 13, 23, 59, 59)
    assert Capture(datetime(2023, 6, 13, 23, 59, 59)).hour == 23 + 59 / 60


def test_a_segment_whose_header_is_lost_is_told(tmp_path):
    exif = Image.Exif()
    exif[0x0132] = "2020:01:02 03:04:05"
    exif[0x010F] = "A maker of cameras"
    Image.new("RGB", (8, 8)).save(tmp_path / "whole.jpg", exif=exif)
    data = (tmp_path / "whole.jpg").read_bytes()
    at = data.index(b"Exif\0\0") + 8
    (tmp_path / "broken.jpg").write_bytes(data[:at] + b"\xff" * 30 + data[at + 30 :])
    found = read_capture(tmp_path / "broken.jpg")
    assert found.hour is None
    assert found.notes[0].startswith("EXIF is damaged")
    assert not any("damaged" in note for note in read_capture(tmp_path / "whole.jpg").notes)
