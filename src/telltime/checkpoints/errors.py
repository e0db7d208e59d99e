"""What can go wrong with a saved model, apart from torch so that an error comes at once."""


class CheckpointError(Exception):
    """A model cannot be found, read or trusted; the message names it, what was expected and the next step."""


class UnsafePickle(CheckpointError):
    """A file's pickle asks for something that could run code; nothing was run."""


def listed(keys: list[str], most: int = 4) -> str:
    """The first few of ``keys`` and how many more there are."""
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(map(str, keys[:most])) + more
