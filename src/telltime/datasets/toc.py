"""TOC and AMOS (Lin, Hu and Jiao, What Time Tells Us?, TMLR 2025): photos with the time of day they were taken at.

Layout::

    ROOT/train_metadata.json, test_metadata.json   or in ROOT/metadata, or named with --annotation (AMOS has no train)
    ROOT/**/<photo id>_<secret>.jpg                the photos, in any folders

Rows are those of :mod:`telltime.datasets.photo_rows`; photos are found by the names of their files. The splits
``query`` and ``database`` are for retrieval: the first two rows of every hour of the test file, and the rest of it.
"""

from dataclasses import replace
from pathlib import Path

from telltime.datasets._pictures import Pictures, table_of
from telltime.datasets.lists import check_root, check_split, look
from telltime.datasets.photo_rows import Row, query_rows, read_rows, write_rows
from telltime.datasets.record import DatasetError, Table
from telltime.datasets.scan import printable

__all__ = ["load", "read_rows", "write_rows"]

NAME = "toc"
KIND = "photo"
FOLDS = (None,)
SPLITS = ("train", "test")
PUBLISHED = {"train": 117_815, "test": 13_091, "query": 48, "database": 13_043, "all": 130_906}
_FILES = {
    "train": ("train_metadata.json",),
    "test": ("test_metadata.json", "amos_metadata.json", "metadata.json"),
    "query": ("query_toc.json",),
    "database": ("test_database.json",),
}


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split of TOC, or of any annotation in its form.

    Args:
        root: folder that holds the photos.
        split: ``"train"``, ``"test"``, ``"query"``, ``"database"``, or ``"all"``.
        fold: not used; there is one.
        annotation: folder of the published files; or one file, which then is every split, but for ``"query"`` and
            ``"database"``, which are drawn from it.

    Raises:
        DatasetError: no annotation is there, or it does not read.
    """
    check_split(NAME, split, (*PUBLISHED,))
    rows, official = _rows(check_root(NAME, Path(root)), split, annotation)
    table = table_of(NAME, split, Pictures(NAME, root), rows)
    return replace(table, published=PUBLISHED[split] if official else None)


def _rows(root: Path, split: str, annotation: str | Path | None) -> tuple[list[Row], bool]:
    """Rows of a split, and whether they come from files of the published names."""
    if annotation is not None:
        place = Path(annotation).expanduser()
        if not place.exists():
            raise DatasetError(
                f"{NAME}: there is no {printable(place)}; --annotation names the JSON of rows, or its folder"
            )
        if place.is_file():
            return _part(read_rows(place), split), False
        folder = place
    else:
        found = look(root, _holds, depth=1, beside=("metadata",))
        if found is None:
            raise DatasetError(
                f"{NAME}: found no train_metadata.json or test_metadata.json in {printable(root)};"
                " name the file with --annotation, or use --data photos for photos whose EXIF tells their times"
            )
        folder = found
    if split == "all":
        parts = [part for part in SPLITS if _file(folder, part)]
        return [row for part in parts for row in read_rows(_needed(folder, part))], len(parts) == len(SPLITS)
    if split in ("query", "database") and not _file(folder, split):
        return _part(read_rows(_needed(folder, "test")), split), _official(folder)
    return read_rows(_needed(folder, split)), _official(folder)


def _part(rows: list[Row], split: str) -> list[Row]:
    if split not in ("query", "database"):
        return rows
    queries, database = query_rows(rows)
    return [rows[i] for i in (queries if split == "query" else database)]


def _holds(folder: Path) -> bool:
    return any((folder / name).is_file() for names in _FILES.values() for name in names)


def _official(folder: Path) -> bool:
    return (folder / "test_metadata.json").is_file()


def _file(folder: Path, split: str) -> Path | None:
    return next((folder / name for name in _FILES[split] if (folder / name).is_file()), None)


def _needed(folder: Path, split: str) -> Path:
    file = _file(folder, split)
    if file is None:
        raise DatasetError(
            f"{NAME}: there is no {_FILES[split][0]} in {printable(folder)}; name the file with --annotation"
        )
    return file
