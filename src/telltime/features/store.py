"""Features on disk: safetensors shards beside one JSON file, readable at every moment of being written.

A store is a folder with ``store.json`` (what made the features) and shards that appear whole, one after the other. A
shard holds its rows' ids, so there is no list of shards to fall out of step: a writer that is killed loses its last
rows, never the store, and goes on from there.
"""

import copy
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from telltime.media.files import whole

FORMAT = 1


class StoreError(Exception):
    """The folder holds no store, a damaged one, or features of something else; the message says what to do."""


class Store:
    """Rows of named tensors under ids, in a folder, or in memory when there is none.

    Every row has a mark: what it was made from. A row added again under its id takes the older one's place.

    >>> store = Store.open("features")
    >>> store.read("slices", store.ids)     # float32 [len(store), P, C, T']
    """

    def __init__(self, folder: Path | None, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.settings = dict(settings)
        self._shards: list[Path | dict[str, Tensor]] = []
        self._rows: dict[str, tuple[int, int, str]] = {}
        for path in sorted(_shards(folder)) if folder else []:
            ids, marks = _header(path)
            self._append(path, ids, marks)

    @classmethod
    def open(cls, folder: str | Path) -> "Store":
        """The store in a folder.

        Raises:
            StoreError: there is none, or it is damaged.
        """
        folder = Path(folder)
        path = folder / "store.json"
        if not path.is_file():
            raise StoreError(f"{folder} holds no feature store: there is no store.json in it")
        try:
            described = json.loads(path.read_text())
            made_by, settings = described["format"], described["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged; remove the folder and embed again") from error
        if made_by != FORMAT:
            raise StoreError(f"{path} has format {made_by!r}; this telltime reads format {FORMAT}")
        return cls(folder, settings)

    @classmethod
    def create(cls, folder: str | Path | None, settings: Mapping[str, Any]) -> "Store":
        """The store in a folder, begun when there is none; ``None`` keeps it in memory.

        Args:
            settings: what all rows are made with, as JSON has it.

        Raises:
            StoreError: the folder holds a store with other settings, or other things.
        """
        settings = json.loads(json.dumps(dict(settings)))
        if folder is None:
            return cls(None, settings)
        folder = Path(folder)
        if (folder / "store.json").is_file():
            store = cls.open(folder)
            for key in {**store.settings, **settings}:
                there, asked = store.settings.get(key), settings.get(key)
                if there != asked:
                    raise StoreError(
                        f"{folder} holds features made with {key} {there!r}, not {asked!r}; give another folder"
                    )
            return store
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"{folder} exists and is no feature store; give an empty or a new folder")
        with whole(folder / "store.json") as beside:
            beside.write_text(json.dumps({"format": FORMAT, "settings": settings}, indent=2) + "\n")
        return cls(folder, settings)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def ids(self) -> list[str]:
        """Ids in the order they were first added."""
        return list(self._rows)

    def mark(self, row_id: str) -> str | None:
        """What the row was made from; ``None`` when there is no such row."""
        row = self._rows.get(row_id)
        return row[2] if row else None

    def marks(self) -> dict[str, str]:
        """Each mark there is, and an id that has it."""
        return {mark: row_id for row_id, (_, _, mark) in self._rows.items()}

    def snapshot(self) -> "Store":
        """The store as it is now, to read from whatever becomes of this one."""
        found = copy.copy(self)
        found._shards, found._rows = list(self._shards), dict(self._rows)
        return found

    def forget(self, ids: Sequence[str]) -> None:
        """Know nothing of rows any more, in this object; on disk they stay."""
        for row_id in ids:
            self._rows.pop(row_id, None)

    def add(self, ids: Sequence[str], marks: Sequence[str], values: Mapping[str, Tensor]) -> None:
        """Add rows as one shard.

        Args:
            values: tensors ``[len(ids), ...]`` by name.
        """
        for name, value in values.items():
            if len(value) != len(ids):
                raise ValueError(f"{name} has {len(value)} rows for {len(ids)} ids")
        held = {name: value.detach().cpu().contiguous() for name, value in values.items()}
        if self.folder is None:
            self._append(held, ids, marks)
            return
        path = self.folder / f"{len(self._shards):06d}-{secrets.token_hex(4)}.safetensors"
        with whole(path) as beside:
            save_file(held, beside, {"ids": json.dumps(list(ids)), "marks": json.dumps(list(marks))})
        self._append(path, ids, marks)

    def shards(self, ids: Sequence[str]) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """The rows of ``ids`` shard by shard: positions in ``ids``, and tensors with those rows.

        Raises:
            KeyError: an id that the store does not have.
            StoreError: a shard cannot be read.
        """
        wanted: dict[int, tuple[list[int], list[int]]] = {}
        for position, row_id in enumerate(ids):
            shard, row, _ = self._rows[row_id]
            positions, rows = wanted.setdefault(shard, ([], []))
            positions.append(position)
            rows.append(row)
        for shard, (positions, rows) in sorted(wanted.items()):
            values = self._load(shard)
            yield positions, {name: value[rows] for name, value in values.items()}

    def read(self, name: str, ids: Sequence[str]) -> Tensor:
        """One tensor ``[len(ids), ...]`` in the order of ``ids``; see :meth:`shards` for what it raises."""
        whole_value: Tensor | None = None
        for positions, values in self.shards(ids):
            if name not in values:
                raise StoreError(f"{self.folder} holds {', '.join(sorted(values))}, not {name!r}")
            if whole_value is None:
                whole_value = values[name].new_zeros(len(ids), *values[name].shape[1:])
            whole_value[positions] = values[name]
        return torch.zeros(0) if whole_value is None else whole_value

    def _append(self, shard: Path | dict[str, Tensor], ids: Sequence[str], marks: Sequence[str]) -> None:
        number = len(self._shards)
        self._shards.append(shard)
        for row, (row_id, mark) in enumerate(zip(ids, marks, strict=True)):
            self._rows[row_id] = (number, row, mark)

    def _load(self, number: int) -> dict[str, Tensor]:
        shard = self._shards[number]
        if isinstance(shard, dict):
            return shard
        try:
            return load_file(shard)
        except (SafetensorError, OSError) as error:
            raise _damaged(shard) from error


def _shards(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.safetensors") if not path.name.startswith(".")]


def _header(path: Path) -> tuple[list[str], list[str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        return json.loads(metadata["ids"]), json.loads(metadata["marks"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> StoreError:
    return StoreError(f"{path} is damaged; remove it, and the rows it held are made again")
