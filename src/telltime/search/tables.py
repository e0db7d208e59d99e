"""The tables of an index, kept by LanceDB: every change is one commit, and what goes wrong is said in one sentence.

LanceDB writes new files and then commits them as a new version in one step. So readers see a whole version at every
moment, and a writer that is killed, or runs out of room, leaves the version before.
"""

import errno
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.search.errors import NoRoom, SearchError, damaged

if TYPE_CHECKING:
    import pyarrow as pa

_FULL = re.compile(r"no space left|disk quota|file too large|os error (27|28|122)\b", re.IGNORECASE)
_FORBIDDEN = re.compile(r"permission denied|read-only file system|os error (13|30)\b", re.IGNORECASE)
_SOURCE = re.compile(r",? ?(/root)?/[\w./-]*\.rs:\d+(:\d+)?|lance error: |LanceError\(\w+\): ")
_IN_ONE = 2000
_KEPT = timedelta(hours=1)


class Tables:
    """Tables by name in one place.

    Args:
        where: a folder, or a URI of a storage LanceDB knows (``s3://``, ``gs://``, ``az://``, ...), whose credentials
            it takes from the environment.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._open: dict[str, Any] = {}

    @property
    def local(self) -> Path | None:
        """The folder; ``None`` when the tables lie elsewhere."""
        return None if "://" in self.where else Path(self.where)

    @cached_property
    def _database(self) -> Any:
        os.environ.setdefault("LANCEDB_LOG", "error")  # it would tell of every table that is new
        import lancedb

        with self._said(""):
            return lancedb.connect(self.where, read_consistency_interval=timedelta(0))

    def names(self) -> list[str]:
        """The tables there are; none where there is no database."""
        if self.local is not None:
            return sorted(path.stem for path in self.local.glob("*.lance")) if self.local.is_dir() else []
        with self._said(""):
            found: list[str] = []
            token = None
            while True:
                page = self._database.list_tables(page_token=token, limit=100)
                found += page.tables
                token = page.page_token
                if not token:
                    return sorted(found)

    def create(self, name: str, schema: "pa.Schema") -> None:
        """An empty table, in place of one of that name."""
        with self._said(name):
            self._open[name] = self._database.create_table(name, schema=schema, mode="overwrite")

    def replace(self, name: str, rows: "pa.Table") -> None:
        """A table of just these rows, in place of one of that name, in one commit."""
        with self._said(name):
            self._open[name] = self._database.create_table(name, rows, mode="overwrite")

    def drop(self, name: str) -> None:
        """Remove a table."""
        self._open.pop(name, None)
        with self._said(name):
            self._database.drop_table(name, ignore_missing=True)

    def version(self, name: str) -> int:
        """Number of the last commit."""
        with self._said(name):
            return int(self.table(name).version)

    def count(self, name: str) -> int:
        """Rows of a table."""
        with self._said(name):
            return int(self.table(name).count_rows())

    def add(self, name: str, rows: "pa.Table") -> None:
        """Append rows, all or none."""
        if rows.num_rows:
            with self._said(name):
                self.table(name).add(rows)

    def delete(self, name: str, numbers: Iterable[int]) -> None:
        """Remove the rows with these numbers."""
        for part in _parts(sorted(numbers)):
            with self._said(name):
                self.table(name).delete(_among(part))

    def update(self, name: str, rows: "pa.Table") -> None:
        """Give rows that are there, found by their ``number``, other values in some columns."""
        if rows.num_rows:
            with self._said(name):
                self.table(name).merge_insert("number").when_matched_update_all().execute(rows)

    def commits(self, name: str) -> int:
        """Files the table's rows lie in, one for each commit since it was tidied."""
        with self._said(name):
            return int(self.table(name).stats()["fragment_stats"]["num_fragments"])

    def read(self, name: str, columns: Sequence[str], numbers: Sequence[int] | None = None) -> "pa.Table":
        """Columns of all rows, or of those with these numbers, in no order to rely on."""
        import pyarrow as pa

        with self._said(name):
            table = self.table(name)
            if numbers is None:
                return table.search().select(list(columns)).limit(None).to_arrow()
            parts = [
                table.search().where(_among(part)).select(list(columns)).limit(len(part)).to_arrow()
                for part in _parts(list(numbers))
            ]
            if not parts:
                return table.search().select(list(columns)).limit(1).to_arrow().slice(0, 0)
            return pa.concat_tables(parts)

    def passing(self, name: str, columns: Sequence[str], rows: int) -> Iterator["pa.RecordBatch"]:
        """Columns of all rows, ``rows`` at a time."""
        with self._said(name):
            yield from self.table(name).search().select(list(columns)).limit(None).to_batches(rows)

    def tidy(self, name: str) -> None:
        """Merge small files, bring search structures up to date, and forget versions older than an hour."""
        with self._said(name):
            self.table(name).optimize(cleanup_older_than=_KEPT)

    def table(self, name: str) -> Any:
        """LanceDB's own table."""
        if name not in self._open:
            self._open[name] = self._database.open_table(name)
        return self._open[name]

    def forget(self) -> None:
        """Open everything anew at the next call."""
        self._open.clear()

    @contextmanager
    def _said(self, name: str) -> Iterator[None]:
        """Turn LanceDB's errors into sentences."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                yield
        except SearchError:
            raise
        except (OSError, RuntimeError, ValueError) as error:
            raise self._sentence(name, error) from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # what Rust throws is no Exception
                raise
            raise self._sentence(name, error) from error

    def _sentence(self, name: str, error: BaseException) -> SearchError:
        words = str(error)
        number = getattr(error, "errno", None)
        table = f"{self.where.rstrip('/')}/{name}.lance" if name else self.where
        if _FULL.search(words) or number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return NoRoom(
                f"there is no room left for {self.where}; it still holds all that was added before, so make room and "
                "run the same command again"
            )
        if _FORBIDDEN.search(words) or number in (errno.EACCES, errno.EROFS):
            return SearchError(f"{self.where} may not be written to, or not be read; see who owns it")
        reason = " ".join(_SOURCE.sub("", words).split())[:200]
        if self.local is None:
            return SearchError(f"{self.where} does not answer as an index should: {reason}")
        if name and not os.path.isdir(table):
            return damaged(self.where, f"{table} is gone")
        return damaged(self.where, f"{table} is damaged")


def _among(numbers: Sequence[int]) -> str:
    return f"number IN ({', '.join(map(str, numbers))})"


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), _IN_ONE):
        yield numbers[start : start + _IN_ONE]
