"""When photos were taken, by files as cameras, phones, programs and accidents leave them."""

import struct
import zlib
from datetime import UTC, datetime, timedelta

import pytest
from exif_files import CAMERA, NOON, VEGAS, packet, satellites, text, write
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from telltime.media.capture_time import Capture, read_capture


def test_what_a_camera_states(tmp_path):
    serial = {0x9291: "25", 0x9011: "+02:00", 0xA431: "0123"}
    capture = read_capture(write(tmp_path / "a.jpg", NOON, base=CAMERA, camera=serial))
    assert capture == Capture(
        local=NOON.replace(microsecond=250_000),
        offset=timedelta(hours=2),
        source="EXIF DateTimeOriginal",
        sure="stated",
        camera="Canon EOS 40D 0123",
    )
    assert capture.hour == 12
    assert capture.day == NOON.date()
    assert capture.utc == NOON.replace(hour=10, microsecond=250_000, tzinfo=UTC)


def test_without_any_zone_none_is_made_up(tmp_path):
    capture = read_capture(write(tmp_path / "a.jpg", NOON))
    assert (capture.local, capture.offset, capture.zone, capture.utc) == (NOON, None, None, None)
    capture = read_capture(tmp_path / "a.jpg", zone="Europe/Berlin")
    assert (capture.zone, capture.offset, capture.notes) == ("Europe/Berlin", timedelta(hours=2), ())


def test_the_zone_of_a_position(tmp_path):
    capture = read_capture(write(tmp_path / "a.jpg", NOON, satellites(VEGAS)), zone="Europe/Berlin")
    assert (capture.zone, capture.offset, capture.local) == ("America/Los_Angeles", timedelta(hours=-7), NOON)
    assert (capture.latitude, capture.longitude) == pytest.approx(VEGAS, abs=1e-4)
    assert capture.notes == ("the position is in America/Los_Angeles, not in Europe/Berlin",)


def test_satellites_alone(tmp_path):
    gps = satellites(VEGAS, NOON)
    capture = read_capture(write(tmp_path / "a.jpg", gps=gps))
    assert (capture.local, capture.sure) == (NOON - timedelta(hours=7), "derived")
    assert capture.utc == NOON.replace(tzinfo=UTC)
    write(tmp_path / "b.jpg", gps=satellites(None, NOON))
    nowhere = read_capture(tmp_path / "b.jpg")
    assert (nowhere.local, nowhere.hour, nowhere.sure) == (None, None, "none")
    assert nowhere.utc == NOON.replace(tzinfo=UTC)
    assert "the time zone is not known" in nowhere.notes[0]
    assert read_capture(tmp_path / "b.jpg", "Asia/Tokyo").hour == 21


@pytest.mark.parametrize(
    ("gps", "offset", "sure", "said"),
    [
        (satellites(VEGAS, NOON + timedelta(hours=7, minutes=3)), -7, "stated", ()),
        (satellites(VEGAS, NOON + timedelta(hours=31)), -7, "stated", ("1 day off",)),
        (satellites(VEGAS, NOON + timedelta(hours=4)), -7, "weak", ("3 h 00 min ahead of EXIF GPS time",)),
        (satellites(VEGAS, NOON + timedelta(days=3, hours=9)), -7, "weak", ("3 days 2 h 00 min behind",)),
        (satellites(None, NOON - timedelta(hours=5, minutes=44)), 5.75, "stated", ("+05:45 is that from EXIF GPS",)),
        (satellites(None, NOON - timedelta(hours=5, minutes=37)), None, "stated", ()),
        (satellites((0.0, 0.0)), None, "stated", ("0, 0 is taken for none",)),
        (satellites((95.0, 10.0)), None, "stated", ("nowhere on earth",)),
        (satellites(VEGAS, _9="V"), None, "stated", ("marked as void",)),
        (satellites(_2=(36.0, 6.0, 0.0)), None, "stated", ("position cannot be read",)),
        (satellites(VEGAS, _29="2023:13:45", _7=(1.0, 2.0, 3.0)), -7, "stated", ("are no date and time",)),
        (satellites(VEGAS, _29="2023:06:13", _7=(61.0, 2.0, 3.0)), -7, "stated", ("are no date and time",)),
        ({0: b"\2\2\0\0"}, None, "stated", ()),
    ],
)
def test_a_camera_and_its_satellites(tmp_path, gps, offset, sure, said):
    capture = read_capture(write(tmp_path / "a.jpg", NOON, gps))
    assert capture.local == NOON
    assert capture.offset == (None if offset is None else timedelta(hours=offset))
    assert capture.sure == sure
    assert len(capture.notes) == len(said)
    for note, words in zip(capture.notes, said, strict=True):
        assert words in note


def test_an_offset_against_the_place(tmp_path):
    capture = read_capture(write(tmp_path / "a.jpg", NOON, satellites(VEGAS), camera={0x9011: "+01:00"}))
    assert (capture.sure, capture.offset, capture.zone) == ("weak", timedelta(hours=1), "America/Los_Angeles")
    assert "has the offset +01:00, America/Los_Angeles keeps -07:00" in capture.notes[0]


def test_the_offset_of_the_last_change_is_not_that_of_the_capture(tmp_path):
    offset = {0x9010: "+02:00"}
    assert read_capture(write(tmp_path / "a.jpg", NOON, base={0x0132: text(NOON)}, camera=offset)).offset is not None
    later = {0x0132: text(NOON + timedelta(days=1))}
    assert read_capture(write(tmp_path / "b.jpg", NOON, base=later, camera=offset)).offset is None


def test_a_time_that_came_twice(tmp_path):
    twice = datetime(2023, 10, 29, 2, 30)
    berlin = (52.52, 13.4)
    assert read_capture(write(tmp_path / "a.jpg", twice, satellites(berlin))).offset == timedelta(hours=2)
    assert "twice that day" in read_capture(tmp_path / "a.jpg").notes[0]
    second = read_capture(write(tmp_path / "b.jpg", twice, satellites(berlin, twice - timedelta(hours=1))))
    assert (second.offset, second.local.fold, second.notes) == (timedelta(hours=1), 1, ())
    assert second.utc == datetime(2023, 10, 29, 1, 30, tzinfo=UTC)
    stated = read_capture(write(tmp_path / "c.jpg", twice, satellites(berlin), camera={0x9011: "+01:00"}))
    assert (stated.local.fold, stated.sure) == (1, "stated")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("0000:00:00 00:00:00", "date of zeros"),
        ("    :  :     :  :  ", None),
        ("2023:06:13", "a date without a time"),
        ("2023:02:30 10:00:00", "on no calendar"),
        ("2023:06:13 25:00:00", "on no calendar"),
        ("yesterday", "is no date and time"),
        ("1904:01:01 00:00:00", "before 1990"),
        ("1970:01:01 00:00:00", "before 1990"),
        ("2554:07:16 12:00:00", "in the future"),
        ("2012:01:01 00:00:00", "never set"),
        (b"\xff\xfe\x00", None),
    ],
)
def test_impossible_times_are_passed_over(tmp_path, value, said):
    path = write(tmp_path / "IMG_20230613_120030.jpg", value, camera={0x9004: "0000:00:00 00:00:00"})
    capture = read_capture(path)
    assert (capture.local, capture.source, capture.sure) == (NOON, "file name", "weak")
    if said:
        assert any(said in note for note in capture.notes)
    alone = read_capture(write(tmp_path / "a.jpg", value))
    assert alone.sure == ("none" if alone.local is None else "weak")


@pytest.mark.parametrize(
    "value", ["2023-06-13T12:00:30", "2023/06/13 12:00:30", "2023:06:13 12:00:30 PM", "2023:6:13 12:0:30"]
)
def test_other_spellings(tmp_path, value):
    assert read_capture(write(tmp_path / "a.jpg", value)).local == NOON


def test_xmp(tmp_path):
    xmp = packet(exif_DateTimeOriginal="2023-06-13T12:00:30.5+05:45", xmp_CreateDate="2024-01-02T03:04:05")
    capture = read_capture(write(tmp_path / "a.jpg", xmp=xmp))
    assert (capture.source, capture.sure) == ("XMP exif:DateTimeOriginal", "stated")
    assert (capture.local.microsecond, capture.offset) == (500_000, timedelta(hours=5, minutes=45))
    created = read_capture(write(tmp_path / "b.webp", xmp=packet(photoshop_DateCreated="2023-06-13T12:00:30")))
    assert (created.local, created.source) == (NOON, "XMP photoshop:DateCreated")
    weak = read_capture(write(tmp_path / "c.jpg", xmp=packet(xmp_CreateDate="2023-06-13T12:00:30")))
    assert (weak.local, weak.sure) == (NOON, "weak")
    both = read_capture(write(tmp_path / "d.jpg", NOON - timedelta(hours=3), xmp=xmp))
    assert both.source == "EXIF DateTimeOriginal"
    assert any("XMP exif:DateTimeOriginal says 2023-06-13 12:00:30" in note for note in both.notes)
    scan = packet(photoshop_DateCreated="2003-08-31", xmp_CreateDate="2005-12-17T22:03:32Z")
    assert read_capture(write(tmp_path / "e.jpg", xmp=scan)).local is None
    for bad in ("<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "<x:xmpmeta", "\0\0"):
        assert read_capture(write(tmp_path / "f.jpg", NOON, xmp=bad)).local == NOON


def test_digitized_is_weaker(tmp_path):
    capture = read_capture(write(tmp_path / "a.jpg", camera={0x9004: text(NOON), 0x9292: "5"}))
    assert (capture.source, capture.sure, capture.local.microsecond) == ("EXIF DateTimeDigitized", "weak", 500_000)
    changed = read_capture(write(tmp_path / "b.jpg", base={0x0132: text(NOON)}))
    assert changed.local is None
    assert "is the last change" in changed.notes[0]


def test_tiff(tmp_path):
    fields = ImageFileDirectory_v2()
    fields[0x0110] = "a scanner"
    fields[0x8769] = {0x9003: text(NOON)}
    fields[0x8825] = satellites(VEGAS)
    Image.new("RGB", (3, 3)).save(tmp_path / "a.tif", tiffinfo=fields)
    capture = read_capture(tmp_path / "a.tif")
    assert (capture.local, capture.zone, capture.camera) == (NOON, "America/Los_Angeles", "a scanner")
    fields = ImageFileDirectory_v2()
    fields[0x02BC] = packet(exif_DateTimeOriginal="2023-06-13T12:00:30").encode()
    Image.new("RGB", (3, 3)).save(tmp_path / "b.tif", tiffinfo=fields)
    assert read_capture(tmp_path / "b.tif").local == NOON


def test_png(tmp_path):
    assert read_capture(write(tmp_path / "a.png", NOON)).local == NOON
    for when in ("Tue, 13 Jun 2023 12:00:30 +0200", "2023-06-13T12:00:30+02:00", "2023:06:13 12:00:30"):
        info = PngImagePlugin.PngInfo()
        info.add_text("Creation Time", when)
        info.add_itxt("XML:com.adobe.xmp", packet(xmp_CreateDate="2023-06-13T12:00:31"))
        Image.new("RGB", (3, 3)).save(tmp_path / "b.png", pnginfo=info)
        capture = read_capture(tmp_path / "b.png")
        assert (capture.local.replace(second=30), capture.sure) == (NOON, "weak")
    # A picture far too large to decode, and metadata behind its pixels.
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = text(NOON)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", b"x" * 99)]
    chunks += [(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n"
    data += b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    (tmp_path / "c.png").write_bytes(data)
    assert read_capture(tmp_path / "c.png").local == NOON


def test_metadata_in_containers_that_are_not_known(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = text(NOON)
    head = b"\0\0\0\x18ftypheic" + bytes(30) + b"infe\2\0\0\0\0\1\0\0Exif\0" + bytes(300)
    for block in (b"\0\0\0\6" + exif.tobytes(), b"\0\0\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")):
        (tmp_path / "a.heic").write_bytes(head + block + bytes(50))
        assert read_capture(tmp_path / "a.heic").local == NOON
    (tmp_path / "b.heic").write_bytes(
        b"\0\0\0\x18ftypheic" + packet(exif_DateTimeOriginal="2023-06-13T12:00:30").encode()
    )
    assert read_capture(tmp_path / "b.heic").local == NOON
