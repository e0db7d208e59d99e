"""Pictures whose pixels are labels: palette, grey or black-and-white files."""

from pathlib import Path

import numpy as np
from PIL import Image

from telltime.media.errors import Unreadable
from telltime.media.frames import Limits
from telltime.media.image import _translated


def read_mask(path: str | Path, limits: Limits | None = None) -> np.ndarray:
    """The numbers in a mask file, uint8 ``[H, W]``: of a palette file its indices, of a grey one its values.

    Raises:
        MediaNotFound, Unreadable, LimitExceeded: see :mod:`telltime.media.errors`; also when the file has colours.
    """
    path = Path(path)
    with _translated(path), Image.open(path) as image:
        (limits or Limits()).check_size(path, *image.size)
        if image.mode == "1":
            image = image.convert("L")
        if image.mode not in ("P", "L"):
            raise Unreadable(path, f"a mask has a palette or is grey, this one is {image.mode}")
        return np.array(image, dtype=np.uint8)
