"""What a feature was made from: marks of media files, cheap enough to take on every run."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from telltime.datasets.record import Record, Table

_ENDS = 16 * 1024


def mark(record: Record) -> str:
    """A hash of the file's size, time of change and both ends, and of the span that belongs to the record.

    A frame folder is marked by the names, sizes and times of its files. What cannot be read at all is marked as such,
    so that it is tried again.
    """
    state = hashlib.blake2b(f"{record.id}\0{record.span}".encode(), digest_size=16)
    try:
        if record.path.is_dir():
            for entry in sorted(os.scandir(record.path), key=lambda e: e.name):
                found = entry.stat()
                state.update(f"{entry.name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode(errors="surrogateescape"))
        else:
            _file(record.path, state)
    except OSError:
        return "unreadable"
    return state.hexdigest()


def digest(tables: Iterable[Table]) -> str:
    """One hash for all media and labels of tables, whatever their roots are called."""
    state = hashlib.blake2b(digest_size=16)
    for table in tables:
        state.update(f"{table.split}\0{table.classes}\0".encode())
        for record in table.records:
            state.update(f"{record.id}\0{record.label}\0{mark(record)}\0".encode())
    return state.hexdigest()


def _file(path: Path, state: "hashlib.blake2b") -> None:
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        state.update(f"{found.st_size}\0{found.st_mtime_ns}\0".encode())
        state.update(file.read(_ENDS))
        if found.st_size > _ENDS:
            file.seek(max(found.st_size - _ENDS, _ENDS))
            state.update(file.read(_ENDS))
