"""Generated footage and pictures whose every pixel is known, in the layouts of DAVIS and Pascal VOC.

Footage: several objects, each a shape with a texture (a look), over a ground that a camera pans over. Objects cover
each other, leave, come back, and some come in after the first frame; those have the highest numbers, so that the
objects of the first frame are 1 to K as in DAVIS. ``meta.json`` names each object's look, as that of YouTube-VOS does.

Pictures: one or more objects on a ground; the label of a pixel is its object's look, 1 to 12.

Layout::

    ROOT/JPEGImages/480p/<sequence>/00000.jpg      ROOT/images/<picture>.jpg
    ROOT/Annotations/480p/<sequence>/00000.png     ROOT/SegmentationClass/<picture>.png, with edges void
    ROOT/ImageSets/2017/{train,val}.txt            ROOT/SegmentationClassAug/<picture>.png, without
    ROOT/meta.json                                 ROOT/sets/{train,trainaug,val}.txt

``telltime data generate-masks --out ROOT`` draws footage, to be read as ``davis`` or, by look, as ``youtube-vos``;
``telltime data generate-voc --out ROOT`` draws pictures, to be read as ``voc``.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from telltime.datasets._looks import LOOKS
from telltime.datasets._masked_scene import render
from telltime.datasets._scene import Style
from telltime.datasets.masks import VOID
from telltime.datasets.record import DatasetError
from telltime.media.files import whole
from telltime.media.mask import write_mask

_MARK = "telltime generated masks"
_STYLE = Style(clutter=0.6, light=0.3, size=0.32)
_QUALITY = 92


def generate_masked(
    root: str | Path,
    sequences: int = 12,
    frames: int = 24,
    size: tuple[int, int] = (120, 160),
    objects: int = 3,
    seed: int = 0,
    newcomers: int = 1,
    classes: int = len(LOOKS),
    style: Style | None = None,
    threads: int = 2,
) -> Path:
    """Write footage with masks in the layout of DAVIS-2017; the same arguments give the same pixels.

    A third of the sequences is the val split. A single one is in both splits.

    Args:
        root: where to; new, empty, or footage generated before, whose files are replaced.
        sequences, frames: how many, and how long each.
        size: height and width in pixels, at least 16 each.
        objects: of each sequence, seen in its first frame.
        seed: of everything.
        newcomers: further objects of each sequence that come in later; their labels follow those of the others.
        classes: looks that objects are drawn from, 1 to 12, different ones in a sequence where there are enough.
        style: how much clutter, light and size there is.
        threads: sequences drawn at a time.

    Returns:
        ``root``.

    Raises:
        DatasetError: ``root`` holds something else.
        ValueError: an argument is out of range.
    """
    _check(min(sequences, frames, objects), size, classes, threads)
    if not 0 <= newcomers <= 200 - objects:
        raise ValueError(f"newcomers must be 0 or more, and objects 200 at most in all, not {newcomers} and {objects}")
    root = _make_room(Path(root))
    names = [f"seq-{i:03d}" for i in range(sequences)]

    def draw(number: int) -> dict[str, Any]:
        rng = np.random.default_rng([seed, 23, number])
        looks = _choose(rng, objects + newcomers, classes)
        video, labels = render(rng, looks, newcomers, frames, *size, style or _STYLE)
        for at, (picture, mask) in enumerate(zip(video, labels, strict=True)):
            _save(root / f"JPEGImages/480p/{names[number]}/{at:05d}.jpg", picture)
            write_mask(root / f"Annotations/480p/{names[number]}/{at:05d}.png", mask)
        seen = {i + 1: np.flatnonzero((labels == i + 1).any(axis=(1, 2))) for i in range(len(looks))}
        told = {str(i + 1): {"category": LOOKS[k], "frames": [f"{t:05d}" for t in seen[i + 1]]}
                for i, k in enumerate(looks)}  # fmt: skip
        return {"objects": told}

    with ThreadPoolExecutor(threads) as pool:
        drawn = dict(zip(names, pool.map(draw, range(sequences)), strict=True))
    val = names[-max(1, sequences // 3) :]
    train = [name for name in names if name not in val] or val
    _write_lists(root / "ImageSets/2017", {"train": train, "val": val})
    _tell(root / "meta.json", {"made_by": _MARK, "seed": seed, "videos": drawn})
    return root


def generate_voc(
    root: str | Path,
    pictures: int = 60,
    size: tuple[int, int] = (120, 160),
    objects: int = 3,
    seed: int = 0,
    classes: int = 6,
    style: Style | None = None,
    threads: int = 2,
) -> Path:
    """Write pictures with semantic masks in the layout of Pascal VOC; the same arguments give the same pixels.

    A third of the pictures is the val split.

    Args:
        root: where to; new, empty, or pictures generated before, whose files are replaced.
        pictures: how many.
        size: height and width in pixels, at least 16 each.
        objects: at most this many in a picture, at least one.
        seed: of everything.
        classes: looks that objects are drawn from, 1 to 12; the label of look ``i`` is ``i + 1``.
        style: how much clutter, light and size there is.
        threads: pictures drawn at a time.

    Returns:
        ``root``.

    Raises:
        DatasetError: ``root`` holds something else.
        ValueError: an argument is out of range.
    """
    _check(min(pictures, objects), size, classes, threads)
    root = _make_room(Path(root))
    names = [f"2023_{i:06d}" for i in range(pictures)]
    ring = max(1, round(min(size) / 100))

    def draw(number: int) -> None:
        rng = np.random.default_rng([seed, 29, number])
        looks = _choose(rng, int(rng.integers(1, objects + 1)), classes)
        video, labels = render(rng, looks, 0, 1, *size, style or _STYLE)
        semantic = np.array([0, *(k + 1 for k in looks)], dtype=np.uint8)[labels[0]]
        _save(root / f"images/{names[number]}.jpg", video[0])
        write_mask(root / f"SegmentationClassAug/{names[number]}.png", semantic)
        write_mask(root / f"SegmentationClass/{names[number]}.png", np.where(_edges(labels[0], ring), VOID, semantic))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, range(pictures)))
    val = names[-max(1, pictures // 3) :]
    train = [name for name in names if name not in val] or val
    _write_lists(root / "sets", {"train": train, "trainaug": train, "val": val})
    _tell(root / "meta.json", {"made_by": _MARK, "seed": seed, "classes": list(LOOKS[:classes])})
    return root


def _check(least: int, size: tuple[int, int], classes: int, threads: int) -> None:
    if least < 1 or threads < 1 or min(size) < 16:
        raise ValueError("sequences, pictures, frames, objects and threads must be at least 1, and size 16 pixels")
    if not 1 <= classes <= len(LOOKS):
        raise ValueError(f"classes must be 1 to {len(LOOKS)}, not {classes}")


def _choose(rng: np.random.Generator, count: int, classes: int) -> Sequence[int]:
    rounds = -(-count // classes)
    return [int(k) for _ in range(rounds) for k in rng.permutation(classes)][:count]


def _edges(labels: np.ndarray, width: int) -> np.ndarray:
    """Pixels within ``width`` of one of another label, bool as ``labels``."""
    wide = np.pad(labels, width, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (2 * width + 1, 2 * width + 1))
    return np.asarray((windows != labels[..., None, None]).any(axis=(2, 3)))


def _save(path: Path, picture: np.ndarray) -> None:
    with whole(path) as beside:
        Image.fromarray(picture).save(beside, "JPEG", quality=_QUALITY)


def _write_lists(folder: Path, lists: dict[str, list[str]]) -> None:
    for name, rows in lists.items():
        with whole(folder / f"{name}.txt") as beside:
            beside.write_text("".join(f"{row}\n" for row in rows))


def _tell(path: Path, told: dict[str, Any]) -> None:
    with whole(path) as beside:
        beside.write_text(json.dumps(told, indent=1) + "\n")


def _make_room(root: Path) -> Path:
    if root.exists() and not root.is_dir():
        raise DatasetError(f"{root} is a file; generated masks want a folder")
    if root.is_dir() and any(root.iterdir()):
        try:
            mine = json.loads((root / "meta.json").read_text()).get("made_by") == _MARK
        except (OSError, ValueError, AttributeError):
            mine = False
        if not mine:
            raise DatasetError(f"{root} holds other files; generated masks want a new or empty folder")
    root.mkdir(parents=True, exist_ok=True)
    return root
