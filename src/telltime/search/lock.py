"""One writer at a time: a lock the operating system takes back when its holder dies, however it dies."""

import hashlib
import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

from telltime.search.errors import Busy

_PAUSE = 0.2


class WriterLock:
    """Held by whoever writes to an index; used in a ``with`` block.

    An index in a local folder has the lock file in it. For one that lies elsewhere the file is in this machine's
    folder for temporary files, so that it keeps writers of one machine apart, not those of several.

    Args:
        where: the index, a folder or URI.
        wait: seconds to wait for another writer.

    Raises:
        Busy: on entering, when another writer still holds it after ``wait`` seconds.
    """

    def __init__(self, where: str, wait: float = 0.0) -> None:
        self.where, self.wait = where, wait
        self._file: IO[str] | None = None

    @property
    def path(self) -> Path:
        """The lock file."""
        if "://" not in self.where:
            return Path(self.where) / ".writing"
        name = hashlib.blake2b(self.where.encode(), digest_size=12).hexdigest()
        return Path(tempfile.gettempdir()) / f"telltime-{name}.writing"

    def __enter__(self) -> "WriterLock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self.path.open("a+", encoding="utf-8")
        deadline = time.monotonic() + self.wait
        while not _take(file):
            if time.monotonic() >= deadline:
                file.seek(0)
                holder = file.read(200).strip() or "another process"
                file.close()
                raise Busy(
                    f"{self.where} is being written to by {holder}; let it finish, or wait for it with --wait SECONDS"
                )
            time.sleep(min(_PAUSE, max(0.0, deadline - time.monotonic())))
        self._file = file
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[str]) -> bool:
        try:
            file.seek(1 << 20)  # past the text, which others may then still read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _take(file: IO[str]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
