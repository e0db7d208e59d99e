"""One writer to an index at a time."""

import hashlib
import tempfile
from pathlib import Path

from telltime.media.lock import FileLock, Held
from telltime.search.errors import Busy


class WriterLock(FileLock):
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
        self.where = where
        super().__init__(_place(where), wait)

    def __enter__(self) -> "WriterLock":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            super().__enter__()
        except Held as held:
            raise Busy(
                f"{self.where} is being written to by {held.holder}; let it finish, or wait for it with --wait SECONDS"
            ) from None
        return self


def _place(where: str) -> Path:
    if "://" not in where:
        return Path(where) / ".writing"
    name = hashlib.blake2b(where.encode(), digest_size=12).hexdigest()
    return Path(tempfile.gettempdir()) / f"telltime-{name}.writing"
