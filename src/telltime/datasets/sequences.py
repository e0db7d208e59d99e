"""Frame folders and their masks: what layouts such as those of DAVIS, YouTube-VOS and MOSE have in common."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from telltime.datasets.masks import AS_STORED, BINARY, VOID, Masks
from telltime.datasets.record import Record
from telltime.datasets.scan import IMAGE_SUFFIXES, printable
from telltime.media._folder import natural
from telltime.media.errors import MediaError
from telltime.media.image import SUFFIXES
from telltime.media.mask import read_mask

MASK_SUFFIXES = frozenset({".bmp", ".gif", ".pgm", ".png", ".tif", ".tiff"})
"""Names of mask files: pictures that keep every pixel as it was."""

LOOKED_AT = 3
"""Mask files of a video that are opened to tell 0 and 255 from numbers of objects."""

RESOLUTIONS = ("480p", "Full-Resolution", "1080p")
"""Folders of DAVIS in which sequences lie."""

_NUMBER = re.compile(r"(\d+)\D*$")


@dataclass(frozen=True)
class Sequences:
    """Videos of one split, and what is not as it should be.

    Attributes:
        records: one for each frame folder that is there, with its masks, if any.
        missing: names that have no folder of frames, or an empty one.
        notes: sentences.
    """

    records: tuple[Record, ...]
    missing: tuple[str, ...]
    notes: tuple[str, ...]


def read_sequences(
    frames: Path,
    masks: Path | None,
    names: Iterable[str],
    meaning: Mapping[str, tuple[int, ...]] | tuple[int, ...] | None = AS_STORED,
    objects: str = "instances",
) -> Sequences:
    """The videos ``names``, folders below ``frames``, with the masks in folders of the same names below ``masks``.

    Args:
        meaning: of the numbers in all files, or by name; ``None`` to look into the files, see :func:`told_by_files`.
        objects: see :class:`~telltime.datasets.masks.Masks`.
    """
    records: list[Record] = []
    missing, bare, strays, lossy = [], [], [], []
    for name in names:
        pictures = listed(frames / name, SUFFIXES)
        if not pictures:
            missing.append(printable(name))
            continue
        found: dict[int, Path] = {}
        if masks is not None:
            files = listed(masks / name, MASK_SUFFIXES)
            matched, left = match(pictures, files)
            strays += [printable(f"{name}/{file}") for file in left]
            if not files and listed(masks / name, IMAGE_SUFFIXES):
                lossy.append(printable(name))
            elif not matched:
                bare.append(printable(name))
            found = {at: masks / name / file for at, file in matched.items()}
        said = told_by_files(found) if meaning is None else meaning
        means = said if isinstance(said, tuple) else said.get(name, AS_STORED)
        records.append(Record(printable(name), frames / name, masks=Masks(found, means, objects) if found else None))
    notes = []
    if masks is None:
        notes.append(f"no folder of masks beside {printable(frames)}: there is nothing to measure by")
    if bare:
        notes.append(f"{_videos(len(bare))} without a mask, e.g. {bare[0]}")
    if lossy:
        notes.append(f"{_videos(len(lossy))} whose masks are JPEG files, which keep no labels, e.g. {lossy[0]}")
    if strays:
        notes.append(f"{len(strays)} mask{'s' * (len(strays) != 1)} of no frame not used, e.g. {strays[0]}")
    return Sequences(tuple(records), tuple(missing), tuple(notes))


def listed(folder: Path, suffixes: frozenset[str]) -> list[str]:
    """Names of the files in ``folder`` with one of ``suffixes``, in natural order, as a video counts its frames."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if os.path.splitext(e.name)[1].lower() in suffixes]
    except OSError:
        return []
    return sorted((n for n in names if not n.startswith(".")), key=lambda n: natural(Path(n)))


def match(pictures: list[str], masks: list[str]) -> tuple[dict[int, str], list[str]]:
    """Masks by the number of their frame, and masks of no frame.

    A mask belongs to the frame of its stem. Where no stem is a frame's, as with ``img_00001.jpg`` and ``00001.png``,
    the last number in the name counts, if that names every frame once.
    """
    place: dict[str | int, int] = {os.path.splitext(name)[0]: at for at, name in enumerate(pictures)}
    keys: dict[str, str | int] = {name: os.path.splitext(name)[0] for name in masks}
    if masks and not any(key in place for key in keys.values()):
        numbers = [number(str(stem)) for stem in place]
        if None not in numbers and len(set(numbers)) == len(numbers):
            place = {n: at for at, n in enumerate(numbers) if n is not None}
            keys = {name: -1 if (n := number(str(stem))) is None else n for name, stem in keys.items()}
    found: dict[int, str] = {}
    left = []
    for name, key in keys.items():
        if (at := place.get(key)) is None or at in found:
            left.append(name)
        else:
            found[at] = name
    return dict(sorted(found.items())), left


def number(stem: str) -> int | None:
    """The last number in a file name."""
    found = _NUMBER.search(stem)
    return int(found[1]) if found else None


def told_by_files(files: Mapping[int, Path]) -> tuple[int, ...]:
    """What numbers mean, by what the first, middle and last masks that are not empty hold: 0 and 255 alone are binary.

    Otherwise 255 is void. A file that cannot be read says nothing here; it will when it is asked for.
    """
    seen: set[int] = set()
    order = [*dict.fromkeys(np.linspace(0, len(files) - 1, min(len(files), 2 * LOOKED_AT)).astype(int).tolist())]
    paths, told = list(files.values()), 0
    for at in order:
        try:
            values = set(np.unique(read_mask(paths[at])).tolist()) - {0}
        except MediaError:
            continue
        seen |= values
        told += bool(values)
        if seen - {VOID} or told == LOOKED_AT:
            break
    return BINARY if seen == {VOID} else AS_STORED


def resolution(pictures: Path) -> Path:
    """The folder of sequences: that of the smallest resolution as DAVIS has them, or ``pictures`` itself."""
    return next((pictures / name for name in RESOLUTIONS if (pictures / name).is_dir()), pictures)


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in ``folder``, sorted, without hidden ones."""
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_dir())
    except OSError:
        return []


def _videos(count: int) -> str:
    return f"{count} video{'s' * (count != 1)}"
