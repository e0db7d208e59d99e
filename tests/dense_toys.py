"""Pictures and videos whose labels are their colours, and an encoder that sees just that."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from telltime.datasets.masks import Masks
from telltime.datasets.record import Record, Table

COLOURS = np.array([(20, 20, 20), (220, 30, 30), (30, 220, 30), (30, 30, 220)], dtype=np.uint8)


class ColourEncoder(nn.Module):
    """Cells of 8 pixels, whose features are their mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.stride, self.channels = "colours", 8, 3
        self.register_buffer("mean", torch.zeros(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.ones(3, 1, 1), persistent=False)
        self.seen: list[int] = []

    def prepare(self, frames: Tensor) -> Tensor:
        assert frames.dtype == torch.uint8
        return frames / 255

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return F.avg_pool2d(images, self.stride)

    def attention(self, images: Tensor) -> Tensor:
        return F.avg_pool2d(images, self.stride).mean(1, keepdim=True).repeat(1, 2, 1, 1)


def painted(root: Path, name: str, labels: np.ndarray) -> tuple[Path, Path]:
    """A picture of labels uint8 ``[H, W]``, void as dark as the background, and its mask, as files."""
    for folder in ("pictures", "masks"):
        (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
    picture, mask = root / "pictures" / f"{name}.png", root / "masks" / f"{name}.png"
    Image.fromarray(COLOURS[np.where(labels == 255, 0, labels)]).save(picture)
    Image.fromarray(labels).save(mask)
    return picture, mask


def blocks(shift: int, objects: int = 2, void: bool = False) -> np.ndarray:
    """Labels uint8 ``[64, 64]``: squares of 32 pixels that lie elsewhere with another shift, 0 around them."""
    labels = np.zeros((64, 64), dtype=np.uint8)
    for one in range(objects):
        at = (shift + one) % 4
        labels[at // 2 * 32 : at // 2 * 32 + 32, at % 2 * 32 : at % 2 * 32 + 32] = one + 1
    if void:
        labels[:, :8] = 255
    return labels


def videos(root: Path, count: int = 3, frames: int = 5, **how: bool) -> Table:
    """Videos of frames, every one with its mask; objects are those of the video."""
    records = []
    for number in range(count):
        files = {}
        for t in range(frames):
            files[t] = painted(root, f"v{number}/{t:05d}", blocks(number + t, **how))[1]
        records.append(Record(f"v{number}", root / "pictures" / f"v{number}", masks=Masks(files)))
    return Table("masked", "test", root, (), tuple(records))


def pictures(root: Path, count: int = 6, **how: bool) -> Table:
    """Single pictures with masks of classes."""
    records = []
    for number in range(count):
        picture, mask = painted(root, f"p{number}", blocks(number, **how))
        records.append(Record(f"p{number}", picture, masks=Masks({0: mask}, objects="classes")))
    return Table("voc", "test", root, ("red", "green"), tuple(records))
