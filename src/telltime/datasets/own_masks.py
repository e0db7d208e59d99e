"""The masks that belong to one video, where it lies in a layout such as DAVIS's."""

import re
from pathlib import Path

from telltime.datasets.masks import Masks
from telltime.datasets.sequences import MASK_SUFFIXES, listed, match, number, told_by_files
from telltime.media.image import SUFFIXES

_ROOT = re.compile(r"(?:annotations?|masks?|labels?|gt|ground[ _-]?truth|segmentations?)(?:[ _-].*)?", re.IGNORECASE)
_UP = 3


def masks_of(video: Path) -> Masks | None:
    """The masks of a video file or frame folder; ``None`` where none are found.

    They lie in a folder of the video's name below one called ``Annotations``, ``masks`` or alike, which is beside the
    video or beside one of the three folders it lies in: ``Annotations/480p/camel`` of ``JPEGImages/480p/camel``.
    """
    video = video.absolute()
    for base in video.parents[: _UP + 1]:
        below = video.relative_to(base).parts
        inner = Path(*below[:-1], video.name if video.is_dir() else video.stem)
        try:
            shelves = sorted(each for each in base.iterdir() if _ROOT.fullmatch(each.name) and each.is_dir())
        except OSError:
            continue
        for shelf in shelves:
            for folder in {shelf / inner, shelf / Path(*inner.parts[1:])} - {shelf, video}:
                if files := _files(video, folder):
                    return Masks(files, told_by_files(files))
    return None


def _files(video: Path, folder: Path) -> dict[int, Path]:
    names = listed(folder, MASK_SUFFIXES)
    if video.is_dir():
        found, _ = match(listed(video, SUFFIXES), names)
    else:
        found = {}
        for name in names:
            if (at := number(Path(name).stem)) is not None:
                found.setdefault(at, name)
    return {at: folder / name for at, name in sorted(found.items())}
