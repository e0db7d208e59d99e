"""Arrays set aside until all have been seen: in memory while they are few, in a nameless file when they are not."""

import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import numpy as np

_MEMORY = 256 << 20


class Spool:
    """Blocks of rows, written once and read in the same order as often as wanted.

    The file lies where :mod:`tempfile` puts such files (``TMPDIR``) and goes with the last use.

    Args:
        memory: bytes that are kept out of the file.
    """

    def __init__(self, memory: int = _MEMORY) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=memory)  # noqa: SIM115, closed by close
        self._blocks: list[tuple[tuple[int, ...], np.dtype]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        """Rows there are."""
        return sum(shape[0] for shape, _ in self._blocks)

    def append(self, rows: np.ndarray) -> None:
        """Add a block of rows ``[n, ...]`` at the end."""
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(rows).tobytes())
        self._blocks.append((rows.shape, rows.dtype))

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks as they were added; nothing else may be done with the spool until the last one came."""
        self._file.seek(0)
        for shape, dtype in self._blocks:
            read = self._file.read(int(np.prod(shape)) * dtype.itemsize)
            yield np.frombuffer(bytearray(read), dtype).reshape(shape)

    def close(self) -> None:
        """Let go of everything."""
        self._file.close()
        self._blocks = []
