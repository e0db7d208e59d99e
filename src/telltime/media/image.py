"""Still pictures."""

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from telltime.media.errors import MediaError, MediaNotFound, Unreadable
from telltime.media.frames import Limits

if TYPE_CHECKING:
    from torch import Tensor

_KINDS = "avif bmp gif heic heif jfif jpe jpeg jpg mpo pgm png ppm tif tiff webp"
SUFFIXES = frozenset(f".{kind}" for kind in _KINDS.split())
"""File names that are taken for pictures, lower case."""

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))


def read_image(path: str | Path, limits: Limits | None = None, least: int | None = None) -> "Tensor":
    """A picture, upright.

    Args:
        path: the file.
        limits: how large it may be.
        least: pixels that the shorter side has to keep. A JPEG is then decoded at a half, a quarter or an eighth of its
            size where that is enough, which is several times faster; its shorter side is never below ``least`` unless
            it was so in the file.

    Returns:
        uint8 ``[3, H, W]``, RGB, channels last in memory; the orientation a camera noted is applied, transparency
        is dropped, 16 bits are brought to 8, of several pictures in a file the first counts.

    Raises:
        MediaNotFound: there is no such file.
        Unreadable: the file is no picture or is damaged.
        LimitExceeded: it is larger than ``limits.max_pixels``, counted as it is decoded.
    """
    import torch

    with open_upright(Path(path), limits or Limits(), least) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def check_image(path: str | Path, limits: Limits | None = None) -> None:
    """See by its first bytes whether a file may be a picture, without decoding it.

    Raises:
        MediaNotFound: there is no such file.
        Unreadable: the file is no picture, or its start is damaged.
        LimitExceeded: it is larger than ``limits.max_pixels``.
    """
    path = Path(path)
    with _translated(path), Image.open(path) as image:
        (limits or Limits()).check_size(path, *image.size)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of a picture as it stands upright, without decoding it.

    Raises:
        MediaNotFound: there is no such file.
        Unreadable: the file is no picture, or its start is damaged.
    """
    path = Path(path)
    with _translated(path), Image.open(path) as image:
        return (image.width, image.height) if _turn(image) in _SIDEWAYS else (image.height, image.width)


@contextmanager
def open_upright(path: Path, limits: Limits, least: int | None = None) -> Iterator[Any]:
    """An RGB ``PIL.Image`` that stands upright, at least ``least`` pixels wide and high if it was.

    Its size is checked before it is decoded.
    """
    if least is not None and least < 1:
        raise ValueError(f"least must be at least 1 pixel, not {least}")
    with _translated(path), Image.open(path) as image:
        if least is not None and not image.info.get("progressive"):
            image.draft(None, (least, least))  # progressive ones are held whole whatever is made of them
        limits.check_size(path, *image.size)
        turn = _turn(image)
        if least is not None:
            image.draft(None, (least, least))
        image.load()
        upright = _rgb(image)
    yield upright if turn is None else upright.transpose(turn)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Whatever Pillow says of a file, as errors of this package."""
    if not path.exists():
        raise MediaNotFound(path, "no such file")
    if not path.is_file():
        raise Unreadable(path, "not a regular file")
    if not path.stat().st_size:
        raise Unreadable(path, "empty file")
    heif = path.suffix.lower() in (".heic", ".heif") and not register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are checked, and damage to metadata does not matter here
            yield
    except MediaError:
        raise
    except UnidentifiedImageError:
        if heif:
            raise Unreadable(path, "HEIC pictures need pillow-heif: pip install 'telltime[heic]'") from None
        raise Unreadable(path, "no format of picture known here, or damaged at its start") from None
    except Image.DecompressionBombError as error:
        size = "".join(str(error).partition(")")[0].partition("(")[2:]) or "too many pixels"
        raise Unreadable(path, f"larger than any picture is accepted: {size}") from None
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, EOFError, struct.error) as error:
        raise Unreadable(path, f"damaged picture: {error}") from None


def register_heif() -> bool:
    """Teach Pillow to read HEIC pictures; ``False`` where the optional ``pillow-heif`` is not installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def _turn(image: Any) -> Any:
    """How to turn a picture upright; not at all where its EXIF cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # broken segments make Pillow raise errors of many types, and the picture may be whole
        return None


def _rgb(image: Any) -> Any:
    if image.mode.startswith("I") or image.mode == "F":
        wide = np.asarray(image, dtype=np.float64)
        if image.mode.startswith("I;16") or wide.max(initial=0) > 255:
            wide = wide / 257
        image = Image.fromarray(np.clip(np.round(wide), 0, 255).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
