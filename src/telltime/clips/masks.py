"""Labels of pixels, read for frames: whatever size masks have on disk, they come out in that of their frames."""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from telltime.datasets.masks import VOID, Masks
from telltime.datasets.record import DatasetError, Record
from telltime.media.mask import read_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

_told: set[tuple[str, str]] = set()


def annotated(record: Record) -> list[int]:
    """Frames of the record that have a mask, ascending; of a picture ``[0]``; empty without masks."""
    return [] if record.masks is None else sorted(record.masks.files)


def read_labels(
    record: Record, indices: "Sequence[int] | np.ndarray", size: tuple[int, int] | None = None
) -> np.ndarray:
    """The labels of frames that are annotated.

    A mask of another size than its frame, be it by one pixel, is brought to that of the frame, and a warning names
    both once for each record. Sizes are changed by the nearest pixel's centre, as Pillow does.

    Args:
        record: with masks.
        indices: frame numbers among :func:`annotated`; of a picture 0.
        size: height and width wanted; those of the frame by default.

    Returns:
        uint8 ``[n, H, W]``: 0 background, 255 void; see :class:`~telltime.datasets.masks.Masks` for the rest.

    Raises:
        DatasetError: a frame has no mask.
        MediaError: a mask or the frame cannot be read.
    """
    masks = record.masks or Masks()
    if lacking := [i for i in map(int, indices) if i not in masks.files]:
        raise DatasetError(f"{record.id}: frame {lacking[0]} has no mask; {_which(annotated(record))}")
    frame = frame_size(str(record.path))
    labels = np.empty((len(indices), *(size or frame)), dtype=np.uint8)
    for row, index in enumerate(map(int, indices)):
        stored = read_mask(masks.files[index])
        if stored.shape != frame:
            _warn(record, index, stored.shape, frame)
        labels[row] = masks.translate(nearest(stored, labels.shape[1:]))
    return labels


def labels_at_first(record: Record, size: tuple[int, int] | None = None) -> np.ndarray:
    """The labels of the first frame that is annotated, uint8 ``[H, W]``; see :func:`read_labels`.

    Raises:
        DatasetError: the record has no masks.
    """
    if not (frames := annotated(record)):
        raise DatasetError(f"{record.id}: no frame has a mask")
    return np.asarray(read_labels(record, frames[:1], size)[0])


def labels_present(labels: np.ndarray) -> list[int]:
    """The labels of objects in ``labels``, uint8 of any shape, ascending, without background and void."""
    return [n for n in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist() if n not in (0, VOID)]


def first_appearances(record: Record) -> dict[int, int]:
    """The first annotated frame of each object, by its label: where an object comes in later, its mask begins there.

    All masks of the record are read.
    """
    seen: dict[int, int] = {}
    masks = record.masks or Masks()
    for index in annotated(record):
        for label in labels_present(masks.translate(read_mask(masks.files[index]))):
            seen.setdefault(label, index)
    return dict(sorted(seen.items()))


def nearest(labels: np.ndarray, size: "tuple[int, ...]") -> np.ndarray:
    """uint8 ``[H, W]`` brought to ``size`` by the pixel whose centre is nearest; ties go as they go in Pillow."""
    from PIL import Image

    if labels.shape == tuple(size):
        return labels
    return np.array(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))


@lru_cache(maxsize=4096)
def frame_size(path: str) -> tuple[int, int]:
    """Height and width of a video's frames or of a picture, from its first bytes.

    Raises:
        MediaError: it cannot be read.
    """
    from telltime.media.image import SUFFIXES, image_size
    from telltime.media.video import Video

    if Path(path).suffix.lower() in SUFFIXES and Path(path).is_file():
        return image_size(path)
    with Video(path) as video:
        probe = video.probe()
    return probe.height, probe.width


def _warn(record: Record, index: int, mask: "tuple[int, ...]", frame: tuple[int, int]) -> None:
    if (key := (record.id, str(record.path))) in _told:
        return
    _told.add(key)
    warnings.warn(
        f"{record.id}: the mask of frame {index} is {mask[1]}x{mask[0]} where the frame is {frame[1]}x{frame[0]};"
        " such masks are brought to the size of their frames",
        stacklevel=3,
    )


def _which(frames: list[int]) -> str:
    if not frames:
        return "none of its frames has one"
    few = ", ".join(map(str, frames[:8]))
    return f"those with one are {few}" + (f" and {len(frames) - 8} more" if len(frames) > 8 else "")
