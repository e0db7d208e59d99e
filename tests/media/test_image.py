"""Pictures and folders of pictures."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from telltime.media.errors import LimitExceeded, MediaNotFound, TooShort, Unreadable
from telltime.media.image import read_image
from telltime.media.video import Limits, Video


def picture(height: int = 20, width: int = 30, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pixels(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 20, 30)
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), picture())


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, 3), (8, 1)])
def test_orientation_is_applied(tmp_path, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").permute(1, 2, 0).numpy(), np.rot90(picture(), turn))


def test_every_kind_of_pixel_becomes_rgb(tmp_path):
    grey = picture()[..., 0]
    for name, image in {
        "grey": Image.fromarray(grey),
        "deep": Image.fromarray(grey.astype(np.uint16) * 257),
        "alpha": Image.fromarray(np.dstack([grey, grey, grey, 255 - grey])),
    }.items():
        image.save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.png").numpy(), np.stack([grey] * 3))


def test_refusals(tmp_path):
    with pytest.raises(MediaNotFound):
        read_image(tmp_path / "none.png")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("words")
    Image.fromarray(picture(200, 200)).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:4000])
    for name, reason in {"empty": "empty file", "text": "no format of picture", "cut": "damaged picture"}.items():
        with pytest.raises(Unreadable, match=reason):
            read_image(tmp_path / f"{name}.png")


def claims(path: Path, side: int) -> Path:
    """The head of a PNG that says it has ``side`` pixels each way."""
    body = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(head + struct.pack(">I", 99) + b"IDAT")
    return path


def test_bombs_are_refused_before_they_are_unpacked(tmp_path):
    with pytest.raises(Unreadable, match="larger than any picture"):
        read_image(claims(tmp_path / "bomb.png", 60_000))
    with pytest.raises(LimitExceeded, match="10000x10000 pixels"):
        read_image(claims(tmp_path / "bomb.png", 10_000))
    with pytest.raises(LimitExceeded, match="more than the limit of 100"):
        read_image(claims(tmp_path / "bomb.png", 11), Limits(max_pixels=100))


@pytest.fixture
def folder(tmp_path):
    for number in (1, 2, 10, 9, 100):
        Image.fromarray(picture(seed=number)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_a_folder_is_a_video_in_natural_order(folder):
    video = Video(folder)
    probe = video.probe()
    assert (probe.frames, probe.width, probe.height, probe.codec) == (5, 30, 20, "images")
    frames = video.frames([4, 2, 3, 4])
    expected = np.stack([picture(seed=seed) for seed in (100, 9, 10, 100)])
    np.testing.assert_array_equal(frames.pixels.permute(0, 2, 3, 1).numpy(), expected)
    assert video.frames([0], short_side=10).pixels.shape == (1, 3, 10, 15)
    with pytest.raises(TooShort, match="holds 5 frames"):
        video.frames([5])
    assert Video(folder, span=(1, 3)).probe().frames == 2


def test_a_folder_with_bad_pictures(folder):
    (folder / "frame2.png").write_text("words")
    Image.fromarray(picture(21, 30)).save(folder / "frame9.png")
    with pytest.raises(Unreadable, match=r"picture frame2\.png: no format"):
        Video(folder).frames([1])
    with pytest.raises(Unreadable, match=r"picture frame9\.png: 30x21, where the first is 30x20"):
        Video(folder).frames([2])
    np.testing.assert_array_equal(Video(folder).frames(range(5), partial=True).indices, [0, 3, 4])


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(Unreadable, match="no pictures in this folder"):
        Video(tmp_path).probe()


def test_a_folder_past_its_limits(folder):
    with pytest.raises(LimitExceeded, match="more than the limit of 4 frames"):
        Video(folder, limits=Limits(max_frames=4)).probe()
