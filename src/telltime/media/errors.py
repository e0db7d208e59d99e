"""What can go wrong with a file of media, as types a caller can tell apart."""

from pathlib import Path


class MediaError(Exception):
    """A media file cannot give what was asked of it.

    Attributes:
        path: the offending file.
        reason: one clause saying what is wrong, e.g. ``"empty file"``.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path = Path(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class MediaNotFound(MediaError):
    """There is no such file or folder."""


class Unreadable(MediaError):
    """The file is no media file, holds no picture stream, or is damaged so that nothing decodes."""


class TooShort(MediaError):
    """The file holds fewer frames than the clip needs."""


class LimitExceeded(MediaError):
    """The file is larger, in pixels or frames, than the limits allow."""


class DecodeTimeout(MediaError):
    """Decoding took longer than the time limit."""
