"""Footage whose every frame shows its own number, and damaged files made of it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from telltime.media.write import write_video

sys.path.insert(0, str(Path(__file__).parent))

BITS, BLOCK = 7, 10


def numbered(count: int, height: int = 48, width: int = 80) -> Iterator[np.ndarray]:
    """Frames that carry their number as white and black blocks along the top, over a drifting ramp."""
    ramp = np.add.outer(np.arange(height), np.arange(width))
    for number in range(count):
        frame = np.repeat(((ramp * 2 + number * 3) % 200)[..., None], 3, axis=2).astype(np.uint8)
        for bit in range(BITS):
            frame[:16, bit * BLOCK : (bit + 1) * BLOCK] = 235 if number >> bit & 1 else 16
        yield frame


def read_numbers(pixels: object) -> list[int]:
    """The numbers shown by frames ``[n, 3, H, W]``."""
    blocks = np.asarray(pixels)[:, 1, 4:12, : BITS * BLOCK].reshape(len(pixels), 8, BITS, BLOCK)[..., 3:7]  # type: ignore[arg-type]
    return [(int((row > 127) @ (1 << np.arange(BITS)))) for row in blocks.mean((1, 3))]


@pytest.fixture(scope="session")
def footage() -> Callable[..., Iterator[np.ndarray]]:
    return numbered


@pytest.fixture(scope="session")
def numbers() -> Callable[[object], list[int]]:
    return read_numbers


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 frames, 80x48, a keyframe every 12, the way UCF101 is stored."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    write_video(path, numbered(60), codec="mpeg4", g=12)
    return path
