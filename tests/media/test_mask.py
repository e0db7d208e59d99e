"""Mask files as people have them: palette, grey, two-valued, in colours, and what is none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from telltime.media.errors import MediaNotFound, Unreadable
from telltime.media.image import image_size
from telltime.media.mask import mask_size, palette, read_mask, write_mask

LABELS = np.array([[0, 1, 2, 255], [3, 21, 200, 0]], dtype=np.uint8)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_every_label_comes_back(tmp_path_factory: pytest.TempPathFactory, h: int, w: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, (h, w), dtype=np.uint8)
    path = tmp_path_factory.mktemp("mask") / "00000.png"
    write_mask(path, labels)
    assert (read_mask(path) == labels).all()
    assert mask_size(path) == (h, w)


def test_the_palette_is_that_of_davis_and_voc() -> None:
    colours = palette().tolist()
    assert colours[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    assert colours[15] == [192, 128, 128]
    assert colours[255] == [224, 224, 192]
    assert len({tuple(c) for c in colours}) == 256


def test_kinds_of_files(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "grey.png")
    Image.fromarray(palette()[LABELS]).save(tmp_path / "colours.png")
    Image.fromarray(LABELS.astype(np.uint16)).save(tmp_path / "wide.png")
    for name in ("grey", "colours", "wide"):
        assert (read_mask(tmp_path / f"{name}.png") == LABELS).all()
    Image.fromarray(LABELS > 1).save(tmp_path / "bits.png")
    assert (read_mask(tmp_path / "bits.png") == 255 * (LABELS > 1)).all()


def test_what_is_no_mask_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4, 3), 77, np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(Unreadable, match=r"77,77,77 is no label"):
        read_mask(tmp_path / "photo.png")
    Image.fromarray(LABELS.astype(np.uint16) * 300).save(tmp_path / "wide.png")
    with pytest.raises(Unreadable, match="0 to 255"):
        read_mask(tmp_path / "wide.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "photo.png").read_bytes()[:40])
    with pytest.raises(Unreadable):
        read_mask(tmp_path / "torn.png")
    with pytest.raises(MediaNotFound):
        read_mask(tmp_path / "none.png")
    with pytest.raises(ValueError, match="uint8"):
        write_mask(tmp_path / "new.png", LABELS.astype(np.int64))


def test_the_size_of_a_picture_that_lies_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "plain.jpg")
    assert image_size(tmp_path / "turned.jpg") == (40, 30)
    assert image_size(tmp_path / "plain.jpg") == (30, 40)
