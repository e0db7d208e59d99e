"""Reading the small text files that data sets come with, and finding them."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from telltime.datasets.record import DatasetError
from telltime.datasets.scan import folders, printable

SPLITS = ("train", "test", "all")


def check_split(name: str, split: str, allowed: Iterable[str] = SPLITS) -> None:
    """Raise ``DatasetError`` unless ``split`` is one of ``allowed``."""
    allowed = tuple(allowed)
    if split not in allowed:
        raise DatasetError(f"{name} has no split {split!r}; choose one of {', '.join(allowed)}")


def check_fold(name: str, fold: int, folds: int = 3) -> None:
    """Raise ``DatasetError`` unless ``fold`` counts from 1 to ``folds``."""
    if fold not in range(1, folds + 1):
        raise DatasetError(f"{name} has no fold {fold}; choose one of 1 to {folds}")


def check_root(name: str, root: Path) -> Path:
    """``root`` as a folder that exists, or ``DatasetError``."""
    root = Path(root).expanduser()
    if not root.exists():
        raise DatasetError(f"{name}: there is no folder {printable(root)}; give the folder of the data set with --root")
    if not root.is_dir():
        raise DatasetError(f"{name}: {printable(root)} is a file; give the folder of the data set with --root")
    return root


def lines(path: Path) -> list[str]:
    """The lines of a text file, stripped, without empty ones; any line end, a byte-order mark and odd bytes allowed.

    Bytes that are not UTF-8 are kept as surrogates, as file names are, so that they still name their file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise DatasetError(f"cannot read {printable(path)}: {error.strerror}") from None
    return [line for line in (raw.strip() for raw in re.split("[\r\n]+", text)) if line]


def look(root: Path, wanted: Callable[[Path], bool], depth: int = 2, beside: Iterable[str] = ()) -> Path | None:
    """The nearest folder at or below ``root``, or next to it under one of the names ``beside``, that is ``wanted``."""
    for place in folders(root, depth):
        if wanted(place):
            return place
    siblings = [root.resolve().parent / name for name in beside]
    return next((place for place in siblings if place.is_dir() and wanted(place)), None)


def annotation_folder(name: str, annotation: Path) -> Path:
    """The folder meant by ``--annotation``, which may name the folder or one list in it."""
    annotation = Path(annotation).expanduser()
    if not annotation.exists():
        raise DatasetError(
            f"{name}: there is no {printable(annotation)}; --annotation names the file or folder of lists"
        )
    return annotation if annotation.is_dir() else annotation.parent
