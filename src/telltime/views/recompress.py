"""Frames through a lossy video encoder and back."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from telltime.media.video import Video
from telltime.media.write import write_video

_BEST, _WORST = 2, 31
"""Quantisers of MPEG-4 part 2."""


def recompress(frames: Tensor, quality: float) -> Tensor:
    """What is left of frames after MPEG-4 part 2.

    Args:
        frames: uint8 ``[T, 3, H, W]``.
        quality: 0 (quantiser 31, blocks all over) to 1 (quantiser 2, hardly to be seen).

    Returns:
        uint8 ``[T, 3, H, W]``.
    """
    if not 0 <= quality <= 1:
        raise ValueError(f"quality is 0 to 1, not {quality}")
    if not len(frames):
        return frames
    quantiser = round(_WORST - quality * (_WORST - _BEST))
    rows, columns = frames.shape[-2:]
    pad = (0, columns % 2, 0, rows % 2)
    even = torch.nn.functional.pad(frames.float(), pad, mode="replicate").to(torch.uint8) if any(pad) else frames
    pictures = np.ascontiguousarray(even.movedim(-3, -1).numpy())
    with tempfile.TemporaryDirectory(prefix="telltime-") as folder:
        path = Path(folder) / "frames.avi"
        write_video(path, pictures, codec="mpeg4", qmin=quantiser, qmax=quantiser, b=10**9)
        with Video(path) as video:
            read = video.frames(range(len(frames))).pixels
    return read[..., :rows, :columns]
