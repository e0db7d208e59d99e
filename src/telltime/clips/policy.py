"""What happens to media that cannot be read: the run stops, or goes on without it and says so."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from telltime.datasets.record import Record
from telltime.media.errors import MediaError

MODES = ("raise", "skip")


class LoadingError(Exception):
    """Items can no longer be loaded; the message is one sentence."""


class TooManyDropped(LoadingError):
    """A larger share of the data is unreadable than the user accepts."""


class WorkerDied(LoadingError):
    """A loading process was killed or no longer answers."""


class BadMedia:
    """The user's choice about unreadable media, and the account of what it cost.

    Args:
        mode: ``"raise"`` stops at the first bad file; ``"skip"`` leaves it out, never putting another in its place.
        log: JSON Lines file that gets one line for every record left out: id, path, kind, reason. An existing one
            is continued, so that a resumed run names each record once.
        max_share: share of the records, 0 to 1, above which a skipping run fails all the same.
    """

    def __init__(self, mode: str = "raise", log: str | Path | None = None, max_share: float = 0.1) -> None:
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        if not 0 <= max_share <= 1:
            raise ValueError(f"max_share is a share from 0 to 1, not {max_share}")
        self.mode, self.max_share = mode, max_share
        self.log = None if log is None else Path(log)
        self._kinds: dict[str, str] = {}
        self._read = 0

    @property
    def dropped(self) -> int:
        """How many records were left out so far, each counted once; listed files that do not exist are not in it."""
        return sum(kind != "missing" for kind in self._known().values())

    def handle(self, record: Record, error: MediaError) -> None:
        """Raise ``error``, or note that ``record`` is left out because of it."""
        if self.mode == "raise":
            raise error
        self.report(record.id, error.path, error.reason, type(error).__name__)

    def report(self, record_id: str, path: str | Path, reason: str, kind: str = "MediaError") -> None:
        """Note that a record is left out; only the first time says anything."""
        if record_id in self._kinds or record_id in self._known():
            return
        self._write([(record_id, path, reason, kind)])

    def missing(self, ids: Sequence[str], root: str | Path) -> None:
        """Note listed files that are not on disk; they are no records, so they do not count towards the share."""
        known = self._known()
        reason, root = "listed but not on disk", Path(root)
        self._write([(name, root / name, reason, "missing") for name in ids if name not in known])

    def _write(self, entries: Sequence[tuple[str, str | Path, str, str]]) -> None:
        """Add records (id, path, reason, kind) to the log, in one write."""
        self._kinds |= {name: kind for name, _, _, kind in entries}
        if self.log is None or not entries:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            json.dumps({"id": name, "path": str(path), "kind": kind, "reason": reason}, ensure_ascii=False) + "\n"
            for name, path, reason, kind in entries
        ]
        with self.log.open("a+b") as file:
            torn = file.tell() > 0 and not _ends_line(file)
            file.write(b"\n" * torn + "".join(lines).encode(errors="backslashreplace"))

    def check(self, total: int) -> None:
        """Raise :class:`TooManyDropped` once more than :attr:`max_share` of ``total`` records were left out."""
        dropped = self.dropped
        if dropped > self.max_share * total:
            where = f"; {self.log} names each" if self.log else ""
            raise TooManyDropped(
                f"{dropped} of {total} videos ({dropped / max(1, total):.1%}) cannot be read, "
                f"more than the {self.max_share:.1%} accepted{where}"
            )

    def summary(self, total: int) -> str:
        """One line for the console; empty while nothing was left out."""
        kinds = Counter(kind for kind in self._known().values() if kind != "missing")
        if not kinds:
            return ""
        parts = ", ".join(f"{count} {_WORDS.get(kind, kind)}" for kind, count in kinds.most_common())
        return f"{kinds.total()} of {total} videos left out ({parts})" + (f", see {self.log}" if self.log else "")

    def _known(self) -> dict[str, str]:
        """Kind of every record left out, also by earlier runs or other processes that write to the same log.

        Only what has come to the log since the last time is read.
        """
        if self.log is None or not self.log.exists():
            return self._kinds
        with self.log.open("rb") as file:
            file.seek(self._read)
            *lines, _unfinished = file.read().split(b"\n")
        for line in lines:
            self._read += len(line) + 1
            try:
                entry = json.loads(line.decode(errors="replace"))
                self._kinds.setdefault(entry["id"], entry["kind"])
            except (ValueError, KeyError, TypeError):
                continue
        return self._kinds


_WORDS = {
    "MediaNotFound": "not found",
    "Unreadable": "unreadable",
    "TooShort": "too short",
    "LimitExceeded": "too large",
    "DecodeTimeout": "too slow",
}


def _ends_line(file: IO[bytes]) -> bool:
    file.seek(-1, 2)
    return file.read(1) == b"\n"
