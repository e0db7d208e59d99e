"""360+x (Chen et al., 2024): scenes seen by a panoramic and by a third-person camera, by TICL's index files.

Layout::

    ROOT/{train,test}.json    [{"video_name": "abc", "category": "Urban", ...}, ...]
    ROOT/index.json           {"Urban": {"label": 0}, ...}
    ROOT/third_person/abc.mp4, ROOT/panoramic/abc.mp4

The third-person view is read where both are there; name ``ROOT/panoramic`` to have the other. There is no ``val`` split
unless a ``val.json`` is given: the published program validates on the test videos.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telltime.datasets.record import DatasetError, Table
from telltime.datasets.scan import printable
from telltime.datasets.scenes import Entry, load_index, read_json, text

NAME = "360x"
SPLITS = ("train", "test")
VIEWS = ("third_person", "panoramic")


def load(root: str | Path, split: str = "train", fold: int = 1, annotation: str | Path | None = None) -> Table:
    """One split: ``"train"``, ``"test"``, ``"all"``, or ``"val"`` where a ``val.json`` is there.

    Raises:
        DatasetError: an index is absent or does not read.
    """
    root = Path(root).expanduser()
    view = next((view for view in VIEWS if (root / view).is_dir()), None)

    def entry(row: Mapping[str, Any]) -> Entry:
        name = text(row, "video_name")
        return Entry(f"{view}/{name}.mp4" if view else f"{name}.mp4", text(row, "category"))

    return load_index(NAME, root, split, annotation, entry, ("360x",), _classes)


def _classes(folder: Path) -> tuple[str, ...]:
    """Names in the order of the labels that ``index.json`` gives them."""
    path = folder / "index.json"
    if not path.is_file():
        raise DatasetError(f"{NAME}: there is no {printable(path)}, which numbers the classes")
    content = read_json(NAME, path)
    try:
        numbers = {str(name): int(told["label"]) for name, told in content.items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        raise DatasetError(f"{printable(path)}: expected an object of classes, each with its 'label'") from None
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise DatasetError(f"{printable(path)}: the labels must run from 0 without a gap")
    return tuple(sorted(numbers, key=lambda name: numbers[name]))
