"""Where the lock of an index lies, and what a second writer is told."""

import os
import tempfile
from pathlib import Path

import pytest

from telltime.search.errors import Busy
from telltime.search.lock import WriterLock


def test_a_second_writer_is_refused_in_one_sentence(tmp_path: Path) -> None:
    where = str(tmp_path / "new" / "index")
    with WriterLock(where), pytest.raises(Busy) as refused:
        WriterLock(where).__enter__()
    assert str(refused.value).startswith(f"{where} is being written to by process {os.getpid()} on ")
    assert str(refused.value).endswith("; let it finish, or wait for it with --wait SECONDS")
    with WriterLock(where) as lock:
        assert lock.path == Path(where) / ".writing"


def test_an_index_elsewhere_is_locked_on_this_machine() -> None:
    lock, other = WriterLock("s3://bucket/index"), WriterLock("s3://bucket/other")
    assert lock.path.parent == Path(tempfile.gettempdir())
    assert lock.path != other.path
    with lock, other, pytest.raises(Busy, match="s3://bucket/index is being written to"):
        WriterLock("s3://bucket/index").__enter__()
    for each in (lock, other):
        each.path.unlink()
