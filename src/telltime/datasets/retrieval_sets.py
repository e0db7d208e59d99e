"""Retrieval benchmarks by name, read from the annotation files their authors publish; none come with the package."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from telltime.datasets import cc_web, evve, fivr, retrieval, vcdb, vcdb_retrieval
from telltime.datasets._pickled import read_pickled
from telltime.datasets.lists import lines
from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import RetrievalSet
from telltime.datasets.scan import printable

FILES = {
    "fivr-5k": ("fivr*.pickle",),
    "fivr-200k": ("fivr*.pickle", "annotation.json"),
    "cc-web": ("cc_web*.pickle",),
    "evve": ("evve*.pickle",),
    "vcdb": ("vcdb*.pickle", "annotation", "annotations"),
    "retrieval": ("retrieval.json", "annotation.json"),
}
NAMES = tuple(FILES)
_YOUTUBE_IDS = "youtube_ids.txt"


def load_set(name: str, annotation: str | Path | None = None, root: str | Path | None = None) -> RetrievalSet:
    """A benchmark by name.

    Args:
        name: one of :data:`NAMES`; ``"retrieval"`` is any set in the schema of :mod:`telltime.datasets.retrieval`, and
            a file in that schema may stand for the others too.
        annotation: the file, or a folder that holds it; by default it is looked for in ``root`` and beside it.

    Raises:
        DatasetError: no such benchmark, no annotation, or one of another benchmark.
    """
    if name not in FILES:
        raise DatasetError(f"there is no retrieval set {name!r}; choose one of {', '.join(NAMES)}")
    path = _find(name, annotation, root)
    if path.is_dir() or path.suffix.lower() == ".txt":
        if name != "vcdb":
            raise DatasetError(f"{name}: {printable(path)} holds no {' or '.join(FILES[name])}")
        listed = vcdb.read(path)
        return replace(
            vcdb_retrieval.of_pairs(listed.pairs, (*listed.core, *(listed.background or ()))), source=_source(path)
        )
    content = _json(path) if path.suffix.lower() == ".json" else read_pickled(path)
    try:
        made = _convert(name, content, path)
    except DatasetError as error:
        raise DatasetError(f"{printable(path)}: {error}") from None
    return replace(made, source=made.source or _source(path))


def _convert(name: str, content: Any, path: Path) -> RetrievalSet:
    if name == "retrieval" or (isinstance(content, dict) and content.get("format") == retrieval.FORMAT):
        return retrieval.from_json(content)
    if name.startswith("fivr"):
        ids = path.parent / _YOUTUBE_IDS
        return fivr.convert(content, name.partition("-")[2], lines(ids) if ids.is_file() else ())
    ways = {"cc-web": cc_web.convert, "evve": evve.convert, "vcdb": vcdb_retrieval.convert}
    return ways[name](content)


def _find(name: str, annotation: str | Path | None, root: str | Path | None) -> Path:
    """The annotation's place, given or usual."""
    given = Path(annotation).expanduser() if annotation is not None else None
    if given is not None and not given.exists():
        raise DatasetError(f"{name}: there is no annotation {printable(given)}")
    if given is not None and not given.is_dir():
        return given
    base = Path(root).expanduser() if root is not None else Path()
    places = [given] if given is not None else [base if base.is_dir() else base.parent, base.parent]
    for place in places:
        for pattern in FILES[name]:
            if found := sorted(place.glob(pattern)):
                return found[0]
    if given is not None:
        return given
    wanted = " or ".join(FILES[name])
    raise DatasetError(f"{name}: the annotation ({wanted}) is neither in nor beside the root; give --annotation FILE")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{printable(path)} is not JSON ({error})") from None


def _source(path: Path) -> str:
    """The annotation's name, and for a file a hash of it: annotations of one name differ."""
    if path.is_dir():
        return path.name
    return f"{path.name} {hashlib.blake2b(path.read_bytes(), digest_size=6).hexdigest()}"
