"""Still pictures."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from telltime.media.errors import MediaError, MediaNotFound, Unreadable
from telltime.media.frames import Limits

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".gif"})
"""File names that are taken for pictures in a folder of frames, lower case."""


def read_image(path: str | Path, limits: Limits | None = None) -> "Tensor":
    """A picture, upright.

    Returns:
        uint8 ``[3, H, W]``, RGB, channels last in memory; the orientation a camera noted is applied, transparency
        is dropped, of several pictures in a file the first counts.

    Raises:
        MediaNotFound: there is no such file.
        Unreadable: the file is no picture or is damaged.
        LimitExceeded: it is larger than ``limits.max_pixels``.
    """
    import torch

    with open_upright(Path(path), limits or Limits()) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


@contextmanager
def open_upright(path: Path, limits: Limits) -> Iterator[Any]:
    """An RGB ``PIL.Image`` that stands upright; its size is checked before it is decoded."""
    if not path.exists():
        raise MediaNotFound(path, "no such file")
    if not path.is_file():
        raise Unreadable(path, "not a regular file")
    if not path.stat().st_size:
        raise Unreadable(path, "empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                limits.check_size(path, *image.size)
                upright = _rgb(ImageOps.exif_transpose(image))
    except MediaError:
        raise
    except UnidentifiedImageError:
        raise Unreadable(path, "no format of picture known here, or damaged at its start") from None
    except Image.DecompressionBombError:
        raise Unreadable(path, "larger than any picture is accepted") from None
    except (OSError, ValueError, SyntaxError, IndexError, KeyError, TypeError, EOFError) as error:
        raise Unreadable(path, f"damaged picture: {error}") from None
    yield upright


def _rgb(image: Any) -> Any:
    if image.mode.startswith("I") or image.mode == "F":
        wide = np.asarray(image, dtype=np.float64)
        if wide.max(initial=0) > 255:
            wide = wide / 257
        image = Image.fromarray(np.clip(np.round(wide), 0, 255).astype(np.uint8))
    return image.convert("RGB")
