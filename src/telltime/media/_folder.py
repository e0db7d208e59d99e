"""A folder of pictures, read as a video."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from telltime.media.errors import MediaError, Unreadable
from telltime.media.frames import FOLDER_RATE, Deadline, Limits, Probe
from telltime.media.image import SUFFIXES, open_upright


class FolderSource:
    """The pictures of one folder in the natural order of their names: ``2.jpg`` before ``10.jpg``."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.fault: str | None = None
        self._path, self._limits = path, limits
        self._files = sorted((f for f in path.iterdir() if f.suffix.lower() in SUFFIXES), key=natural)
        self._probe: Probe | None = None
        if not self._files:
            raise Unreadable(path, "no pictures in this folder")
        limits.check_frames(path, len(self._files))

    def probe(self, deadline: Deadline) -> Probe:
        """Count the files and open the first."""
        if self._probe is None:
            with open_upright(self._files[0], self._limits) as first:
                width, height = first.size
            frames = len(self._files)
            self._probe = Probe(frames, FOLDER_RATE, width, height, 0, "images", frames / FOLDER_RATE)
        return self._probe

    def read(self, wanted: list[int], deadline: Deadline) -> Iterator["FilePicture"]:
        """The pictures ``wanted`` that can be read and have the size of the first."""
        probe = self.probe(deadline)
        self.fault = None
        for index in wanted:
            deadline.check()
            file = self._files[index]
            try:
                with open_upright(file, self._limits) as image:
                    if image.size != (probe.width, probe.height):
                        raise Unreadable(
                            file, f"{image.width}x{image.height}, where the first is {probe.width}x{probe.height}"
                        )
                    picture = FilePicture(index, np.asarray(image))
            except MediaError as error:
                self.fault = self.fault or f"picture {file.name}: {error.reason}"
                continue
            yield picture

    def close(self) -> None:
        """Nothing is held open."""


class FilePicture:
    """One picture of the folder."""

    def __init__(self, index: int, pixels: np.ndarray) -> None:
        self.index, self.seconds = index, index / FOLDER_RATE
        self._pixels = pixels

    def pixels(self, order: str = "rgb") -> np.ndarray:
        """See :class:`telltime.media.frames.Picture`."""
        return self._pixels if order == "rgb" else np.ascontiguousarray(self._pixels[..., ::-1])

    def write(self, rows: np.ndarray) -> None:
        """Copy, or scale if ``rows`` is smaller."""
        if rows.shape == self._pixels.shape:
            rows[...] = self._pixels
        else:
            from PIL import Image

            size = (rows.shape[1], rows.shape[0])
            rows[...] = np.asarray(Image.fromarray(self._pixels).resize(size, Image.Resampling.BILINEAR))


def natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key under which runs of digits in a file name count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p]
