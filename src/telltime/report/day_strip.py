"""Pictures of a day side by side, each with its time above it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_GROUND, _INK = (250, 249, 246), (34, 39, 46)


def day_strip(pictures: "Tensor | np.ndarray", captions: Sequence[str], height: int = 512, gap: int = 6) -> Any:
    """A ``PIL.Image`` of pictures in one row.

    Args:
        pictures: uint8 ``[n, 3, H, W]``, RGB, n >= 1.
        captions: one for each.
        height: of a picture, in pixels; smaller ones are enlarged to a quarter of it at most, by whole numbers.
        gap: pixels between them.

    Raises:
        ValueError: another shape or dtype, or another number of captions.
    """
    from PIL import Image, ImageDraw, ImageFont

    pixels = np.asarray(pictures)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3 or len(pixels) != len(captions):
        raise ValueError(
            f"a strip needs uint8 pictures [n, 3, H, W] with a caption each, not {pixels.dtype} {list(pixels.shape)} "
            f"with {len(captions)}"
        )
    tall, wide = pixels.shape[2:]
    scale = min(1.0, height / tall) if tall > height / 4 else float(max(1, height // 4 // tall))
    tall, wide = max(1, round(tall * scale)), max(1, round(wide * scale))
    size = max(11, min(28, tall // 10))
    bar = size + 2 * gap
    font = ImageFont.load_default(size)
    strip = Image.new("RGB", (len(pixels) * (wide + gap) + gap, bar + tall + gap), _GROUND)
    draw = ImageDraw.Draw(strip)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    for place, (picture, caption) in enumerate(zip(pixels, captions, strict=True)):
        left = gap + place * (wide + gap)
        image = Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
        strip.paste(image.resize((wide, tall), how), (left, bar))
        draw.text((left + wide / 2, bar / 2), caption, fill=_INK, font=font, anchor="mm")
    return strip
