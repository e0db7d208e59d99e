"""Small videos and masks on disk, for the tests of data sets that have masks."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from telltime.media.mask import write_mask


def frames(folder: Path, count: int = 3, size: tuple[int, int] = (12, 16), names: Iterable[str] = ()) -> None:
    """Pictures ``00000.jpg`` and so on, or under ``names``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names or [f"{i:05d}.jpg" for i in range(count)]:
        Image.new("RGB", size[::-1], (90, 120, 60)).save(folder / name)


def mask(path: Path, objects: Iterable[int] = (1,), size: tuple[int, int] = (12, 16), grey: bool = False) -> None:
    """A mask with a column of 2 pixels for each of ``objects``."""
    labels = np.zeros(size, dtype=np.uint8)
    for place, number in enumerate(objects):
        labels[:, 2 * place + 1 : 2 * place + 3] = number
    if grey:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(labels).save(path)
    else:
        write_mask(path, labels)


def fingerprint(root: Path) -> dict[str, tuple[str, int]]:
    """Every file below ``root`` with its content's hash, and every entry with the time it was changed."""
    return {
        str(path.relative_to(root)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.stat().st_mtime_ns,
        )
        for path in [root, *sorted(root.rglob("*"))]
    }
