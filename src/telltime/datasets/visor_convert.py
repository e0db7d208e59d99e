"""VISOR's official files into the layout of DAVIS, once and for all; what is read stays as it is.

Read, at any depth below the folder given::

    annotations/{train,val}/P01_01.json         polygons by frame, in pixels of 1920 x 1080
    rgb_frames/{train,val}/P01/P01_01.zip       with P01_01_frame_0000000140.jpg and so on; or the frames unpacked

Written below ``out``, see :mod:`telltime.datasets.visor`, and ``objects.json`` with the name of each object. As in
VISOR's own benchmark, a train sequence keeps every object and needs 3 frames, a val sequence keeps the objects of its
first frame and needs 2, and frames are brought to 854 x 480. Files that are there already are not made again, so that a
conversion that broke off goes on where it was, and one that is done changes nothing.
"""

import io
import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, UnidentifiedImageError

from telltime.datasets.record import DatasetError
from telltime.datasets.scan import printable, walk
from telltime.media.files import whole
from telltime.media.mask import write_mask

SPACE = (1080, 1920)
"""Height and width that polygons are given in."""

SIZE = (480, 854)
LEAST = {"train": 3, "val": 2}
"""Frames that a sequence must have."""

_LARGEST = 2**26
_QUALITY = 95


@dataclass
class Converted:
    """What a conversion did.

    Attributes:
        sequences: of each split, how many are in its list.
        written, kept: frames made now, and frames that were there.
        missing: frames that are annotated and not there, or do not read.
    """

    sequences: dict[str, int] = field(default_factory=dict)
    written: int = 0
    kept: int = 0
    missing: list[str] = field(default_factory=list)


def convert_visor(source: str | Path, out: str | Path, progress: Callable[[int, int], None] | None = None) -> Converted:
    """Convert; only ``out`` is written to.

    Args:
        source: folder of the official files.
        out: where to; may hold an earlier conversion.
        progress: called with videos done and videos in all.

    Raises:
        DatasetError: there are no annotations below ``source``, one does not read, or ``out`` lies in ``source``.
    """
    source, out = Path(source).expanduser(), Path(out).expanduser()
    if not source.is_dir():
        raise DatasetError(f"visor: there is no folder {printable(source)}")
    if out.resolve() == source.resolve() or source.resolve() in out.resolve().parents:
        raise DatasetError(f"visor: {printable(out)} lies in the folder that is read; choose another one to write to")
    annotations, frames = _find(source)
    if not annotations:
        raise DatasetError(
            f"visor: there are no annotations such as annotations/train/P01_01.json in {printable(source)}"
        )
    done = Converted()
    lists: dict[str, list[str]] = defaultdict(list)
    objects: dict[str, dict[str, str]] = {}
    for number, (path, split) in enumerate(annotations):
        for name, rows in sorted(_sequences(path).items()):
            names = _object_names(rows, first_only=split == "val")
            there = [row for row in rows if _convert(row, name, names, frames, out, done)]
            if len(there) >= LEAST[split] and names:
                lists[split].append(name)
                objects[name] = {str(label): title for title, label in names.items()}
        if progress:
            progress(number + 1, len(annotations))
    for split, listed in lists.items():
        _write(out / f"ImageSets/2022/{split}.txt", "".join(f"{name}\n" for name in sorted(listed)))
        done.sequences[split] = len(listed)
    _write(out / "objects.json", json.dumps(objects, indent=1, sort_keys=True) + "\n")
    return done


class _Frames:
    """Frames by their name, loose or in archives that are named after their video."""

    def __init__(self, loose: Mapping[str, Path], archives: Mapping[str, Path]) -> None:
        self.loose, self.archives = loose, archives
        self._open: tuple[str, zipfile.ZipFile, dict[str, str]] | None = None

    def read(self, video: str, name: str) -> Image.Image | None:
        """The picture, RGB; ``None`` where it is not there or does not read."""
        try:
            if name in self.loose:
                data = self.loose[name].read_bytes()
            else:
                archive, members = self._archive(video)
                if name not in members or archive.getinfo(members[name]).file_size > _LARGEST:
                    return None
                data = archive.read(members[name])
            return Image.open(io.BytesIO(data)).convert("RGB")
        except (
            OSError,
            KeyError,
            ValueError,
            zipfile.BadZipFile,
            UnidentifiedImageError,
            Image.DecompressionBombError,
        ):
            return None

    def _archive(self, video: str) -> tuple[zipfile.ZipFile, dict[str, str]]:
        if self._open is None or self._open[0] != video:
            archive = zipfile.ZipFile(self.archives[video])
            members = {name.rpartition("/")[2]: name for name in archive.namelist()}
            self._open = (video, archive, members)
        return self._open[1:]


def _find(source: Path) -> tuple[list[tuple[Path, str]], _Frames]:
    """Files of annotations with their split, and the frames."""
    annotations: list[tuple[Path, str]] = []
    loose: dict[str, Path] = {}
    archives: dict[str, Path] = {}
    for _, files in walk(source, []):
        for file in files:
            path = source / file
            kind = path.suffix.lower()
            if kind == ".json":
                folders = {part.casefold() for part in Path(file).parts[:-1]}
                if split := next((s for s in ("train", "val") if s in folders), None):
                    annotations.append((path, split))
            elif kind in (".jpg", ".jpeg"):
                loose.setdefault(path.name, path)
            elif kind == ".zip":
                archives.setdefault(path.stem, path)
    return sorted(annotations), _Frames(loose, archives)


def _sequences(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The annotated frames of a file by sequence, in order."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))["video_annotations"]
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: str(row["image"]["image_path"])):
            image = row["image"]
            segments = [(str(a["name"]), a["segments"]) for a in row["annotations"] if any(a["segments"])]
            told = {"name": str(image["name"]), "video": str(image["video"]), "objects": segments}
            if "/" in told["name"] or "/" in str(image["subsequence"]):
                raise ValueError(f"a name with a slash, {told['name']!r}")
            found[str(image["subsequence"])].append(told)
    except (OSError, ValueError) as error:
        raise DatasetError(f"visor: {printable(path)} does not read: {error}") from None
    except (KeyError, TypeError) as error:
        raise DatasetError(f"visor: {printable(path)} has no {error} where VISOR's annotations have it") from None
    return found


def _object_names(rows: list[dict[str, Any]], first_only: bool) -> dict[str, int]:
    """Labels of a sequence's objects, from 1 in alphabetical order."""
    names = {name for row in (rows[:1] if first_only else rows) for name, _ in row["objects"]}
    return {name: label for label, name in enumerate(sorted(names)[:254], 1)}


def _convert(
    row: dict[str, Any], sequence: str, names: dict[str, int], frames: _Frames, out: Path, done: Converted
) -> bool:
    """Write a frame and its mask unless both are there; whether they are there now."""
    stem = Path(row["name"]).stem
    picture = out / f"JPEGImages/480p/{sequence}/{stem}.jpg"
    mask = out / f"Annotations/480p/{sequence}/{stem}.png"
    if picture.is_file() and mask.is_file():
        done.kept += 1
        return True
    image = frames.read(row["video"], row["name"])
    if image is None:
        done.missing.append(f"{row['video']}/{row['name']}")
        return False
    write_mask(mask, drawn(row["objects"], names))
    with whole(picture) as beside:
        image.resize(SIZE[::-1], Image.Resampling.BILINEAR).save(beside, "JPEG", quality=_QUALITY)
    done.written += 1
    return True


def drawn(objects: list[tuple[str, list[Any]]], names: Mapping[str, int]) -> np.ndarray:
    """Polygons as labels, uint8 of :data:`SIZE`; those drawn later cover the others.

    Where polygons of one object overlap an even number of times there is a hole, as in VISOR's own masks.
    """
    mask = np.zeros(SPACE, dtype=np.uint8)
    for name, polygons in objects:
        if name not in names:
            continue
        inside = np.zeros(SPACE, dtype=bool)
        for polygon in polygons:
            if len(polygon) < 3:
                continue
            corners = np.asarray(polygon, dtype=np.float64)[:, :2].astype(int)
            left, top = np.clip(corners.min(0), 0, None)
            right, bottom = np.minimum(corners.max(0) + 1, SPACE[::-1])
            if left >= right or top >= bottom:
                continue
            part = Image.new("1", (int(right - left), int(bottom - top)))
            ImageDraw.Draw(part).polygon([(x - left, y - top) for x, y in corners.tolist()], fill=1, outline=1)
            inside[top:bottom, left:right] ^= np.array(part)
        mask[inside] = names[name]
    return np.array(Image.fromarray(mask).resize(SIZE[::-1], Image.Resampling.NEAREST))


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text() == text:
        return
    with whole(path) as beside:
        beside.write_text(text)
