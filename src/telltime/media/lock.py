"""One writer at a time: a lock the operating system takes back when its holder dies, however it dies."""

import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

_PAUSE = 0.2


class Held(Exception):
    """Somebody else has the lock; ``holder`` says who, as far as the file tells."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(f"{path} is held by {holder}")
        self.holder = holder


class FileLock:
    """Held inside a ``with`` block by one thread of one process; the file stays, and names its last holder.

    Args:
        path: of the lock file, in a folder that is there.
        wait: seconds to wait for another holder; ``None`` waits for as long as it takes.

    Raises:
        Held: on entering, when another still holds it after ``wait`` seconds.
        OSError: on entering, when the file cannot be written.
    """

    def __init__(self, path: Path, wait: float | None = None) -> None:
        self.path, self.wait = path, wait
        self._file: IO[str] | None = None

    def __enter__(self) -> "FileLock":
        file = self.path.open("a+", encoding="utf-8")
        try:
            self._take(file)
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
        except BaseException:
            file.close()
            raise
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _take(self, file: IO[str]) -> None:
        deadline = None if self.wait is None else time.monotonic() + self.wait
        while not _took(file, blocking=deadline is None):
            left = _PAUSE if deadline is None else deadline - time.monotonic()
            if left <= 0:
                file.seek(0)
                raise Held(self.path, file.read(200).strip() or "another process")
            time.sleep(min(_PAUSE, left))


if sys.platform == "win32":
    import msvcrt

    def _took(file: IO[str], blocking: bool) -> bool:
        try:
            file.seek(1 << 20)  # past the text, which others may then still read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _took(file: IO[str], blocking: bool) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if blocking else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
