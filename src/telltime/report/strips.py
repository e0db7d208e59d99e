"""Film strips: a few frames of a video side by side, as one small picture inside the page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    Frames = Tensor | np.ndarray


@dataclass(frozen=True)
class Strip:
    """A film strip with its words.

    Attributes:
        image: data URI, or ``""`` where there are no frames to show.
        caption: what it shows, e.g. the class.
        detail: a second, quieter line, e.g. the file or the similarity.
        correct: ``True`` right, ``False`` wrong, ``None`` neither.
    """

    image: str
    caption: str
    detail: str = ""
    correct: bool | None = None


@dataclass(frozen=True)
class Row:
    """A query and what was found for it, best first."""

    query: Strip
    hits: Sequence[Strip] = ()


def strip(
    frames: "Frames | None",
    caption: str,
    detail: str = "",
    correct: bool | None = None,
    *,
    most: int = 4,
    height: int = 80,
) -> Strip:
    """A :class:`Strip` of ``frames`` (see :func:`encode`); ``None`` gives one without a picture."""
    return Strip(encode(frames, most=most, height=height) if frames is not None else "", caption, detail, correct)


def encode(frames: "Frames", *, most: int = 4, height: int = 80, gap: int = 2, quality: int = 72) -> str:
    """Frames to the data URI of one WebP picture.

    Args:
        frames: uint8 ``[n, 3, H, W]``, RGB, n >= 1.
        most: how many frames are shown, evenly spread from the first to the last.
        height: of the picture in pixels; twice this is stored for sharp screens when the frames have it.
        gap: transparent pixels between frames.
        quality: of the WebP compression, 0 to 100.

    Raises:
        ValueError: another shape or dtype, or no frame.
    """
    from PIL import Image

    pixels = np.asarray(frames)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3 or not pixels.size:
        raise ValueError(f"a strip needs uint8 frames [n, 3, H, W], not {pixels.dtype} {list(pixels.shape)}")
    count = min(most, len(pixels))
    chosen = np.linspace(0, len(pixels) - 1, count).round().astype(int) if count > 1 else [len(pixels) // 2]
    tall = max(1, min(2 * height, pixels.shape[2]))
    wide = max(1, round(pixels.shape[3] * tall / pixels.shape[2]))
    picture = Image.new("RGBA", (count * wide + (count - 1) * gap, tall), (0, 0, 0, 0))
    for place, index in enumerate(chosen):
        frame = Image.fromarray(np.ascontiguousarray(pixels[index].transpose(1, 2, 0)))
        picture.paste(frame.resize((wide, tall), Image.Resampling.LANCZOS), (place * (wide + gap), 0))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
