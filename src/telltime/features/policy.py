"""The share of a table that may be unreadable, also when only some of its rows are read."""

from pathlib import Path

from telltime.clips.policy import BadMedia, TooManyDropped
from telltime.datasets.record import Record
from telltime.media.errors import MediaError


class TablePolicy(BadMedia):
    """A policy for one table of several, or for those of its rows that are not cached.

    What it hears of goes to the user's policy; the share that user accepts is taken of the whole table.

    Args:
        user: decides, and keeps the account.
        total: records of the whole table.
        things: what the records are, in the plural.
    """

    def __init__(self, user: BadMedia, total: int, things: str = "videos") -> None:
        super().__init__(user.mode, None, user.max_share)
        self.user, self.total, self.things = user, total, things
        self.lost: set[str] = set()

    def handle(self, record: Record, error: MediaError) -> None:
        """Raise ``error`` or note it, as the user wants it."""
        self.user.handle(record, error)
        self.lost.add(record.id)

    @property
    def dropped(self) -> int:
        """How many records of the table were left out."""
        return len(self.lost)

    def report(self, record_id: str, path: str | Path, reason: str, kind: str = "MediaError") -> None:
        """Note that a record is left out."""
        self.user.report(record_id, path, reason, kind)
        self.lost.add(record_id)

    def check(self, total: int) -> None:
        """Raise :class:`TooManyDropped` when too large a share of the table was left out; ``total`` is not used."""
        if self.dropped > self.max_share * self.total:
            where = f"; {self.user.log} names each" if self.user.log else ""
            share = self.dropped / max(1, self.total)
            raise TooManyDropped(
                f"{self.dropped} of {self.total} {self.things} ({share:.1%}) cannot be read, "
                f"more than the {self.max_share:.1%} accepted{where}"
            )
