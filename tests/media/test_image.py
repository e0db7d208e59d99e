"""Pictures and folders of pictures."""

import importlib.util
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
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


def test_other_kinds_of_pixel(tmp_path):
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 256, (20, 30), dtype=np.uint16)  # 16 bits of which the upper eight are 0
    Image.fromarray(dark).save(tmp_path / "dark.png")
    assert read_image(tmp_path / "dark.png").max() == 1
    Image.fromarray(dark.astype(np.float32)).save(tmp_path / "float.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "float.tif")[0].numpy(), dark)
    palette = Image.fromarray(picture()).quantize(16)
    palette.save(tmp_path / "palette.png", transparency=bytes(range(0, 256, 16)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = read_image(tmp_path / "palette.png").permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(shown, np.asarray(palette.convert("RGB")))
    flat = Image.new("RGB", (30, 20), (200, 120, 40))
    flat.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    assert (read_image(tmp_path / "cmyk.jpg")[:, 5, 5].int() - torch.tensor([200, 120, 40])).abs().max() < 6
    pages = [Image.fromarray(picture(seed=seed)) for seed in (1, 2, 3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_image(tmp_path / "pages.tif").permute(1, 2, 0).numpy(), picture(seed=1))


@given(
    st.integers(8, 300),
    st.integers(8, 300),
    st.integers(1, 300),
    st.sampled_from([1, 5, 6, 8]),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_jpeg_is_decoded_no_larger_than_needed_and_never_smaller(
    tmp_path_factory, height, width, least, orientation, progressive
):
    path, exif = tmp_path_factory.getbasetemp() / "draft.jpg", Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(height, width)).save(path, exif=exif, progressive=progressive)
    _, tall, wide = read_image(path, least=least).shape
    if orientation > 4:
        tall, wide = wide, tall
    assert min(tall, wide) >= min(least, height, width)
    scale = next((s for s in (8, 4, 2) if min(height, width) // s >= least), 1)
    assert (tall, wide) == (-(-height // scale), -(-width // scale))


def test_a_large_jpeg_counts_as_it_is_decoded(tmp_path):
    Image.fromarray(picture(200, 300)).save(tmp_path / "a.jpg")
    Image.fromarray(picture(200, 300)).save(tmp_path / "b.jpg", progressive=True)
    small = Limits(max_pixels=10_000)
    assert read_image(tmp_path / "a.jpg", small, least=50).shape == (3, 50, 75)
    with pytest.raises(LimitExceeded, match="300x200"):
        read_image(tmp_path / "a.jpg", small)
    with pytest.raises(LimitExceeded, match="300x200"):  # its decoder holds the whole picture
        read_image(tmp_path / "b.jpg", small, least=50)
    with pytest.raises(ValueError, match="at least 1 pixel"):
        read_image(tmp_path / "a.jpg", least=0)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_broken_metadata_does_not_stop_a_picture(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    options = {"exif": b"Exif\0\0II*\0\xff\xff\xff\xff" + bytes(20)} if suffix != "tif" else {}
    Image.fromarray(picture()).save(path, **options)
    assert read_image(path).shape == (3, 20, 30)


def test_mirrored_pictures(tmp_path):
    for orientation, turned in {2: np.fliplr, 4: np.flipud, 5: lambda p: p.transpose(1, 0, 2)}.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(picture()).save(tmp_path / "a.png", exif=exif)
        np.testing.assert_array_equal(read_image(tmp_path / "a.png").permute(1, 2, 0).numpy(), turned(picture()))


@pytest.mark.parametrize("least", [None, 20])
def test_a_jpeg_that_was_cut(tmp_path, least):
    Image.fromarray(picture(300, 400)).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    for share in (0.3, 0.8):
        (tmp_path / "b.jpg").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(Unreadable, match=r"b\.jpg: damaged picture: .*truncated"):
            read_image(tmp_path / "b.jpg", least=least)


def test_heic(tmp_path):
    head = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
    (tmp_path / "a.heic").write_bytes(head + bytes(100))
    if importlib.util.find_spec("pillow_heif") is None:
        with pytest.raises(Unreadable, match=r"need pillow-heif: pip install 'telltime\[heic\]'"):
            read_image(tmp_path / "a.heic")
    else:
        with pytest.raises(Unreadable):
            read_image(tmp_path / "a.heic")
        Image.fromarray(picture(64, 64)).save(tmp_path / "b.heic")
        assert read_image(tmp_path / "b.heic").shape == (3, 64, 64)


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
    for side in (20_000, 60_000):
        with pytest.raises(Unreadable, match=rf"bomb\.png: larger than any picture is accepted: {side**2} pixels"):
            read_image(claims(tmp_path / "bomb.png", side))
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
