"""When photos were taken, by files as cameras, phones, programs and accidents leave them."""

import contextlib
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from telltime.media import _file_names
from telltime.media._timestamps import implausible, parse_offset, parse_time
from telltime.media.capture_time import Capture, read_capture
from telltime.media.errors import MediaNotFound
from telltime.media.write import write_video
from telltime.media.zones import UnknownZone

NOON = datetime(2023, 6, 13, 12, 0, 30)
VEGAS = (36.11, -115.165)
CAMERA = {0x010F: "Canon\0", 0x0110: "Canon EOS 40D"}


def text(time: datetime) -> str:
    return f"{time:%Y:%m:%d %H:%M:%S}"


def satellites(place: tuple[float, float] | None = None, utc: datetime | None = None, **more: Any) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if place:
        degrees = [(float(int(abs(x))), (abs(x) % 1) * 60, 0.0) for x in place]
        found |= {1: "SN"[place[0] >= 0], 2: degrees[0], 3: "WE"[place[1] >= 0], 4: degrees[1]}
    if utc:
        found |= {7: (float(utc.hour), float(utc.minute), float(utc.second)), 29: f"{utc:%Y:%m:%d}"}
    return found | {int(key[1:]): value for key, value in more.items()}


def write(
    path: Path,
    taken: Any = None,
    gps: dict | None = None,
    base: dict | None = None,
    camera: dict | None = None,
    xmp: str | None = None,
    **save: Any,
) -> Path:
    exif = Image.Exif()
    for key, value in ({0x0131: "a program"} | (base or {})).items():
        exif[key] = value
    fields = (camera or {}) | ({0x9003: text(taken) if isinstance(taken, datetime) else taken} if taken else {})
    for number, part in ((0x8769, fields), (0x8825, gps or {})):
        exif.get_ifd(number).update(part)
    picture = Image.fromarray(np.zeros((8, 12, 3), np.uint8))
    picture.save(path, exif=exif, **(save | ({"xmp": xmp.encode()} if xmp else {})))
    return path


def packet(**fields: str) -> str:
    spaces = {"exif": "exif/1.0", "photoshop": "photoshop/1.0", "xmp": "xap/1.0"}
    said = " ".join(f'{key.replace("_", ":")}="{value}"' for key, value in fields.items())
    names = " ".join(f'xmlns:{key}="http://ns.adobe.com/{value}/"' for key, value in spaces.items())
    return (
        f'<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF '
        f'xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><r:Description {names} {said}/></r:RDF></x:xmpmeta>'
    )


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
