"""Labels painted over the frames they are of."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from telltime.media.files import whole
from telltime.media.footage import Footage
from telltime.media.mask import palette

if TYPE_CHECKING:
    from torch import Tensor

_GIF_SIDE, _GIF_FRAMES = 240, 60
_TINT = 0.55


def painted(frame: np.ndarray, those: np.ndarray) -> np.ndarray:
    """A frame uint8 ``[H, W, 3]`` with its labels ``[H, W]`` over it in DAVIS's colours, their outlines white."""
    colours = palette()[those]
    over = ((1 - _TINT) * frame + _TINT * colours).round().astype(np.uint8)
    picture = np.where((those > 0)[..., None], over, frame)
    edge = np.zeros(those.shape, dtype=bool)
    edge[1:] |= those[1:] != those[:-1]
    edge[:, 1:] |= those[:, 1:] != those[:, :-1]
    picture[edge] = 255
    return picture


class Overlays:
    """Painted frames; a few of them, small, become a GIF."""

    def __init__(self, path: Path, footage: Footage) -> None:
        self._path, self._rate = path, footage.rate
        self._step = -(-len(footage) // _GIF_FRAMES)
        self._kept: list[Any] = []

    def add(self, at: int, frame: "Tensor", those: np.ndarray) -> np.ndarray:
        """The painted frame uint8 ``[H, W, 3]``, of even sides as 4:2:0 needs them."""
        picture = painted(frame.permute(1, 2, 0).numpy(), those)
        if at % self._step == 0:
            scale = min(1.0, _GIF_SIDE / min(those.shape))
            size = [max(1, round(side * scale)) for side in those.shape[::-1]]
            small = Image.fromarray(picture).resize((size[0], size[1]), Image.Resampling.BILINEAR)
            self._kept.append(small.quantize(128, dither=Image.Dither.NONE))
        odd = [(0, side % 2) for side in those.shape]
        return np.pad(picture, (*odd, (0, 0)), mode="edge")

    def write(self) -> None:
        pause = max(20, round(1000 * self._step / self._rate)) if self._rate > 0 else 40
        with whole(self._path) as beside:
            self._kept[0].save(beside, "GIF", save_all=True, append_images=self._kept[1:], duration=pause, loop=0)
