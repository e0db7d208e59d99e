"""Pictures of coloured squares, half of them darker, with masks, and an encoder whose features are colours."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from telltime.datasets.masks import Masks
from telltime.datasets.record import Record, Table

SIDE = 64
COLOURS = {1: (230, 30, 30), 2: (30, 230, 30)}
CLASSES = ("background", "red", "green")


def picture(rng, void=False):
    """A picture in greys uint8 ``[H, W, 3]`` with a red and a green square, and its labels; void is a line, if any."""
    pixels = rng.integers(40, 220, (SIDE // 8, SIDE // 8, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8)
    labels = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for at, (label, colour) in enumerate(COLOURS.items()):
        top, left = 8 * rng.integers(0, 5), 32 * at + 8 * rng.integers(0, 2)
        pixels[top : top + 24, left : left + 24] = colour
        pixels[top : top + 8, left : left + 24] //= 2
        labels[top : top + 24, left : left + 24] = label
    if void:
        labels[:, 31] = 255
    return pixels, labels


def table(root: Path, split: str, count: int, seed: int, void=False, objects="classes", classes=CLASSES) -> Table:
    """Pictures written below ``root`` as a split."""
    rng = np.random.default_rng(seed)
    records = []
    root.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels, labels = picture(rng, void)
        path, mask = root / f"{split}{i}.png", root / f"{split}{i}_mask.png"
        Image.fromarray(pixels).save(path)
        Image.fromarray(labels).save(mask)
        records.append(Record(path.name, path, masks=Masks({0: mask}, objects=objects)))
    return Table("squares", split, root, classes, tuple(records))


class Colours(nn.Module):
    """Mean colours of cells of ``stride`` pixels; it attends to what is colourful."""

    stride, channels, name, position = 8, 3, "colours", "size"

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5))
        self.register_buffer("std", torch.full((3, 1, 1), 0.25))
        self.passes = 0

    def prepare(self, frames):
        return (frames / 255 - self.mean) / self.std

    def forward(self, images):
        self.passes += len(images)
        return F.avg_pool2d(images, self.stride) * self.scale

    def attention(self, images):
        cells = F.avg_pool2d(images, self.stride)
        colourful = cells.amax(1) - cells.amin(1) + 1e-3
        return (colourful / colourful.sum((1, 2), keepdim=True))[:, None]
