"""Pictures whose pixels are labels: palette, grey or black-and-white files."""

from pathlib import Path

import numpy as np
from PIL import Image

from telltime.media.errors import Unreadable
from telltime.media.files import whole
from telltime.media.frames import Limits
from telltime.media.image import _translated


class NotAMask(Unreadable):
    """The file is a picture, and what it shows are no labels."""


def read_mask(path: str | Path, limits: Limits | None = None) -> np.ndarray:
    """The numbers in a mask file, uint8 ``[H, W]``: of a palette file its indices, of a grey one its values.

    A file of colours is read too where every colour is one of :func:`palette`, as tools that drop palettes write; it
    then gives the indices. A 1-bit file gives 0 and 255.

    Raises:
        NotAMask: a colour is no label's, or a number is above 255.
        MediaNotFound, Unreadable, LimitExceeded: see :mod:`telltime.media.errors`.
    """
    path = Path(path)
    with _translated(path), Image.open(path) as image:
        (limits or Limits()).check_size(path, *image.size)
        if image.mode in ("P", "L"):
            return np.array(image, dtype=np.uint8)
        if image.mode == "1":
            return np.array(image.convert("L"), dtype=np.uint8)
        if image.mode in ("RGB", "RGBA"):
            return _numbered(path, np.array(image.convert("RGB")))
        if image.mode.startswith("I"):
            wide = np.array(image)
            if wide.min(initial=0) < 0 or wide.max(initial=0) > 255:
                raise NotAMask(path, f"labels are 0 to 255, this mask holds {wide.max():g}")
            return wide.astype(np.uint8)
        raise NotAMask(path, f"a mask has a palette or is grey, this one is {image.mode}")


def mask_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a mask file, from its first bytes.

    Raises:
        MediaNotFound, Unreadable: see :mod:`telltime.media.errors`.
    """
    path = Path(path)
    with _translated(path), Image.open(path) as image:
        return image.height, image.width


def write_mask(path: str | Path, labels: np.ndarray) -> None:
    """Labels, uint8 ``[H, W]``, as a palette PNG in the colours of DAVIS and Pascal VOC; it appears whole."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels are uint8 [H, W], not {labels.dtype} {list(labels.shape)}")
    image = Image.fromarray(labels)
    image.putpalette(palette().tobytes())
    with whole(path) as beside:
        image.save(beside, "PNG")


def palette() -> np.ndarray:
    """Colours of the labels 0 to 255 in DAVIS and Pascal VOC, uint8 ``[256, 3]`` RGB.

    Bits 0, 3, 6 of a label are the high bits of red, from the top; bits 1, 4, 7 those of green; 2 and 5 of blue.
    """
    labels = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for channel in range(3):
        for place, bit in enumerate(range(channel, 8, 3)):
            colours[:, channel] |= ((labels >> bit & 1) << (7 - place)).astype(np.uint8)
    return colours


def _numbered(path: Path, pixels: np.ndarray) -> np.ndarray:
    """Indices of colours ``[H, W, 3]`` in the palette; white, which is no colour of it, is 255."""
    code = pixels.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    known = palette().astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])
    number = dict(zip(known.tolist(), range(256), strict=True)) | {0xFFFFFF: 255}
    found, place = np.unique(code, return_inverse=True)
    if strange := [value for value in found.tolist() if value not in number]:
        red, green, blue = strange[0] >> 16, strange[0] >> 8 & 255, strange[0] & 255
        raise NotAMask(
            path,
            f"a mask has a palette or is grey; this one is of colours, and {red},{green},{blue} is no label of"
            " DAVIS's or VOC's palette",
        )
    return np.array([number[value] for value in found.tolist()], dtype=np.uint8)[place].reshape(code.shape)
