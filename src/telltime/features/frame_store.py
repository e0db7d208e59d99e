"""Frame descriptors of many videos on disk: one flat matrix of rows, appended to and mapped into memory.

A store is a folder:

- ``store.json``: what made the rows, their type, and which generation of the other files is in force;
- ``rows-G.bin`` (rows one after the other) and ``times-G.bin`` (float64 seconds, one a row);
- ``videos-G.jsonl``: a line for every video, written after its rows: id, mark, first row, number of rows, row size.

What no whole line tells of does not exist. So a store can be read at every moment, a writer that is killed loses the
video at hand only, and the next one writes over its remains. Several writers may append: each addition is made alone.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from telltime.clips.ragged import Ragged, offsets_of
from telltime.features.store import StoreError
from telltime.media.files import whole
from telltime.media.lock import FileLock

__all__ = ["FrameStore", "StoreError"]

FORMAT = 1
_TYPES: dict[str, np.dtype[Any]] = {"float16": np.dtype("<f2"), "float32": np.dtype("<f4")}
_TIME = np.dtype("<f8")


class Entry(NamedTuple):
    """Where a video's rows are: their first, how many, what they were made from."""

    first: int
    length: int
    mark: str


class FrameStore:
    """Rows of frames under the ids of their videos.

    >>> store = FrameStore.open("features")
    >>> store.ragged(["a.mp4", "b.mp4"]).rows      # float32 [n_a + n_b, D]
    >>> store.times("a.mp4")                       # float64 [n_a], seconds

    Made by :meth:`create` and :meth:`open`.
    """

    def __init__(self, folder: Path, described: Mapping[str, Any]) -> None:
        self.folder = folder
        self.settings: dict[str, Any] = dict(described["settings"])
        self.dtype: str = described["dtype"]
        self.dim: int | None = None
        """Numbers of a row; ``None`` before the first."""
        self._temporary: Any = None
        self._lock = FileLock(folder / "lock")
        self._mapped: Tensor | None = None
        self._begin(described["generation"])
        self._catch_up()

    @classmethod
    def create(cls, folder: str | Path | None, settings: Mapping[str, Any], dtype: str = "float16") -> "FrameStore":
        """The store in a folder, begun when there is none; ``None`` is a temporary one that goes with the object.

        Args:
            settings: what all rows are made with, as JSON has it.
            dtype: ``"float16"`` or ``"float32"``; a store that is there keeps its own.

        Raises:
            StoreError: the folder holds a store with other settings, a damaged one, or other things.
        """
        settings = json.loads(json.dumps(dict(settings)))
        if dtype not in _TYPES:
            raise ValueError(f"dtype is one of {', '.join(_TYPES)}, not {dtype!r}")
        temporary = tempfile.TemporaryDirectory(prefix="telltime-") if folder is None else None
        folder = Path(temporary.name if temporary else folder or "")
        if (folder / "store.json").is_file():
            return cls.open(folder, settings)
        if folder.exists() and (not folder.is_dir() or any(f.name != "lock" for f in folder.iterdir())):
            raise StoreError(f"{folder} exists and is no store of frame descriptors; give an empty or a new folder")
        described = {"format": FORMAT, "kind": "frames", "settings": settings, "dtype": dtype, "generation": 0}
        _write_description(folder, described)
        store = cls(folder, described)
        store._temporary = temporary
        return store

    @classmethod
    def open(cls, folder: str | Path, settings: Mapping[str, Any] | None = None) -> "FrameStore":
        """The store in a folder; with ``settings`` only if it was made with them.

        Raises:
            StoreError: there is none, it is damaged, or was made with other settings: the message names which.
        """
        folder = Path(folder)
        described = _description(folder)
        if settings is not None:
            settings = json.loads(json.dumps(dict(settings)))
            for key in {**described["settings"], **settings}:
                there, asked = described["settings"].get(key), settings.get(key)
                if there != asked:
                    raise StoreError(
                        f"{folder} holds descriptors made with {key} {there!r}, not {asked!r}; give another folder"
                    )
        return cls(folder, described)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, video_id: str) -> bool:
        return video_id in self._entries

    @property
    def ids(self) -> list[str]:
        """Ids in the order they were first added."""
        return list(self._entries)

    @property
    def lengths(self) -> Tensor:
        """int64 ``[len(self)]``: rows of each video, in the order of :attr:`ids`."""
        return torch.tensor([entry.length for entry in self._entries.values()], dtype=torch.int64)

    def mark(self, video_id: str) -> str | None:
        """What a video's rows were made from; ``None`` when it has none."""
        entry = self._entries.get(video_id)
        return entry.mark if entry else None

    def add(self, video_id: str, mark: str, rows: Tensor, times: np.ndarray | Sequence[float]) -> None:
        """Add a video; one that is there under this id is replaced.

        Args:
            mark: what the rows are made from, see :mod:`telltime.features.marks`.
            rows: ``[n, D]``.
            times: seconds, ``[n]``.

        Raises:
            ValueError: the rows are no matrix, as wide as the others, with a time each.
            StoreError: they cannot be written; the store is as it was.
        """
        held = rows.detach().cpu().float().numpy().astype(_TYPES[self.dtype])
        seconds = np.asarray(times, dtype=_TIME)
        if held.ndim != 2 or seconds.shape != held.shape[:1]:
            raise ValueError(f"rows are [n, D] with n times, not {list(held.shape)} with {list(seconds.shape)}")
        with self._writing():
            if self.dim not in (None, held.shape[1]):
                raise ValueError(f"rows of {self.folder} have {self.dim} numbers, not {held.shape[1]}")
            _write_at(self._rows_path, self._end * held.shape[1] * held.itemsize, held.tobytes())
            _write_at(self._times_path, self._end * _TIME.itemsize, seconds.tobytes())
            self._tell({"id": video_id, "mark": mark, "first": self._end, "count": len(held), "dim": held.shape[1]})

    def remove(self, ids: Iterable[str]) -> None:
        """Forget videos; those not there are no error. Their room is used again after :meth:`compact`."""
        with self._writing():
            gone = [video_id for video_id in dict.fromkeys(ids) if video_id in self._entries]
            if gone:
                self._tell({"remove": gone})

    def compact(self) -> None:
        """Write the files anew without what was removed or replaced; readers keep what they have open."""
        with self._writing():
            old, new = self._generation, self._generation + 1
            data, ids = self.ragged(dtype=None), self.ids
            names = [f"rows-{new}.bin", f"times-{new}.bin", f"videos-{new}.jsonl"]
            firsts = data.offsets.tolist()
            lines = [
                _line({"id": i, "mark": self._entries[i].mark, "first": f, "count": e - f, "dim": self.dim})
                for i, f, e in zip(ids, firsts, firsts[1:], strict=False)
            ]
            times = np.concatenate([self.times(i) for i in ids]) if ids else np.empty(0, _TIME)
            for name, content in zip(names, (data.rows.numpy(), times, b"".join(lines)), strict=True):
                with whole(self.folder / name) as beside:
                    beside.write_bytes(content if isinstance(content, bytes) else content.tobytes())
            described = _description(self.folder) | {"generation": new}
            _write_description(self.folder, described)
            self._begin(new)
            self._catch_up()
            for path in self.folder.glob(f"*-{old}.*"):
                with contextlib.suppress(OSError):
                    path.unlink()

    def ragged(self, ids: Sequence[str] | None = None, dtype: torch.dtype | None = torch.float32) -> Ragged:
        """The rows of some videos in the order asked; by default of all in the order of :attr:`ids`.

        Args:
            ids: which videos.
            dtype: to convert to; ``None`` keeps the store's own, and rows that lie together on disk until touched.

        Raises:
            KeyError: an id that the store does not have.
        """
        entries = list(self._entries.values()) if ids is None else [self._entries[i] for i in ids]
        offsets = offsets_of(torch.tensor([entry.length for entry in entries], dtype=torch.int64))
        ends = [entry.first + entry.length for entry in entries]
        together = all(entry.first == end for entry, end in zip(entries[1:], ends, strict=False))
        if not entries or together:
            first = entries[0].first if entries else 0
            rows = self._all()[first : first + int(offsets[-1])]
        else:
            shifts = torch.tensor([entry.first for entry in entries]) - offsets[:-1]
            rows = self._all()[torch.repeat_interleave(shifts, offsets.diff()) + torch.arange(int(offsets[-1]))]
        return Ragged(rows if dtype is None else rows.to(dtype), offsets)

    def rows(self, video_id: str) -> Tensor:
        """float32 ``[n, D]``: one video's rows; a ``KeyError`` when it has none."""
        entry = self._entries[video_id]
        return self._all()[entry.first : entry.first + entry.length].float()

    def times(self, video_id: str) -> np.ndarray:
        """float64 ``[n]``: seconds of one video's rows; a ``KeyError`` when it has none."""
        entry = self._entries[video_id]
        return np.fromfile(self._times_path, _TIME, entry.length, offset=entry.first * _TIME.itemsize)

    def refresh(self) -> None:
        """See what other processes have added or removed since."""
        generation = _description(self.folder)["generation"]
        if generation != self._generation:
            self._begin(generation)
        self._catch_up()

    def _all(self) -> Tensor:
        """Every row there is, ``[end, D]``, mapped into memory."""
        if self._mapped is None or len(self._mapped) != self._end:
            kind, shape = _TYPES[self.dtype], (self._end, self.dim or 0)
            found = np.memmap(self._rows_path, kind, "c", shape=shape) if all(shape) else np.empty(shape, kind)
            self._mapped = torch.from_numpy(found)
        return self._mapped

    def _begin(self, generation: int) -> None:
        self._generation = generation
        self._rows_path = self.folder / f"rows-{generation}.bin"
        self._times_path = self.folder / f"times-{generation}.bin"
        self._lines_path = self.folder / f"videos-{generation}.jsonl"
        self._entries: dict[str, Entry] = {}
        self._lost: list[str] = []
        self._mapped = None
        self._read = self._end = 0

    def _catch_up(self) -> None:
        """Read the lines that came since the last time; a last one that is not whole does not count."""
        try:
            with self._lines_path.open("rb") as file:
                file.seek(self._read)
                *lines, _torn = file.read().split(b"\n")
            room = self._rows_path.stat().st_size if lines else 0
        except FileNotFoundError:
            return
        for line in lines:
            try:
                self._take(json.loads(line), room)
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{self._lines_path} is damaged; remove {self.folder} and describe again") from error
            self._read += len(line) + 1

    def _take(self, told: dict[str, Any], room: int) -> None:
        if "remove" in told:
            for video_id in told["remove"]:
                self._entries.pop(video_id, None)
            return
        first, count, dim = int(told["first"]), int(told["count"]), int(told["dim"])
        self.dim = dim
        if (first + count) * dim * _TYPES[self.dtype].itemsize > room:
            self._lost.append(told["id"])
            return
        self._end = max(self._end, first + count)
        self._entries[told["id"]] = Entry(first, count, told["mark"])

    def _tell(self, what: dict[str, Any]) -> None:
        line = _line(what)
        _write_at(self._lines_path, self._read, line)
        self._catch_up()

    @contextlib.contextmanager
    def _writing(self) -> Any:
        """Alone with the files, knowing all that is in them."""
        try:
            with self._lock:
                self.refresh()
                if self._lost:  # told of, but their rows never came to the disk
                    self._tell({"remove": self._lost})
                    self._lost = []
                yield
        except OSError as error:
            raise StoreError(
                f"{self.folder} cannot be written to ({error.strerror or error}); what it held is still there"
            ) from error


def _line(what: dict[str, Any]) -> bytes:
    return json.dumps(what).encode() + b"\n"


def _write_at(path: Path, place: int, content: bytes) -> None:
    """Write at ``place`` and end the file there: what a killed writer left behind it goes."""
    path.touch()
    with path.open("r+b") as file:
        file.truncate(place)
        file.seek(place)
        file.write(content)


def _write_description(folder: Path, described: Mapping[str, Any]) -> None:
    try:
        with whole(folder / "store.json") as beside:
            beside.write_text(json.dumps(described, indent=2) + "\n")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written to ({error.strerror or error})") from error


def _description(folder: Path) -> dict[str, Any]:
    path = folder / "store.json"
    if not path.is_file():
        raise StoreError(f"{folder} holds no store of frame descriptors: there is no store.json in it")
    try:
        described = json.loads(path.read_text())
        form, kind, _ = described["format"], described.get("kind"), described["settings"]
        if kind == "frames" and form == FORMAT and (described["dtype"] not in _TYPES or described["generation"] < 0):
            raise ValueError("unknown type or generation")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged; remove the folder and describe again") from error
    if kind != "frames":
        raise StoreError(f"{folder} holds features of another kind, no frame descriptors")
    if form != FORMAT:
        raise StoreError(f"{path} has format {form!r}; this telltime reads format {FORMAT}")
    return described
