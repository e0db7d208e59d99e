"""Where an index is kept: in its folder, or elsewhere, with a file in the folder that says where."""

import json
import os
from pathlib import Path

from telltime.media.files import whole
from telltime.search.errors import Damaged, NoIndex, SearchError

_FILE = "where.json"
_OURS = frozenset({_FILE, ".writing", "dropped.jsonl"})


def place(where: str) -> str:
    """The folder or URI of the tables of the index at ``where``.

    Raises:
        Damaged: the folder's pointer cannot be read.
    """
    path = Path(where, _FILE)
    if "://" in where or not path.is_file():
        return where
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["tables"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(f'{path} is damaged; it should say where the tables are, as {{"tables": URI}}') from error


def point(where: str, storage: str | None) -> None:
    """Make room for an index at ``where``, with its tables at ``storage`` if that is given.

    Raises:
        SearchError: there is something else in the folder, or an index kept elsewhere.
    """
    if "://" in where:
        if storage is not None and storage != where:
            raise SearchError(f"an index at {where} keeps its tables there, not at {storage}")
        return
    folder = Path(where)
    if folder.exists() and not folder.is_dir():
        raise SearchError(f"{where} is a file; an index wants a folder of its own")
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    new = not any(name.endswith(".lance") for name in there) and _FILE not in there
    if new and there - _OURS:
        raise SearchError(f"{where} exists and is no index; give an empty or a new folder")
    if storage is not None:
        storage = storage if "://" in storage else os.path.abspath(os.path.expanduser(storage))
        if not new and place(where) != storage:
            raise SearchError(f"the index in {where} is kept at {place(where)}, not at {storage}")
        if new and storage != where:
            with whole(folder / _FILE) as beside:
                beside.write_text(json.dumps({"tables": storage}) + "\n", encoding="utf-8")
            return
    folder.mkdir(parents=True, exist_ok=True)


def must_exist(where: str) -> None:
    """Say at once, before anything heavy is imported, that there is no index in a local folder.

    Raises:
        NoIndex: there is none.
    """
    where = where if "://" in where else os.path.abspath(os.path.expanduser(where))
    kept = place(where)
    if "://" not in kept and not Path(kept, "about.lance").is_dir():
        raise NoIndex(f"there is no index in {where}; make one with telltime index FOLDER --index {where}")
