"""What can go wrong with an index, apart from everything heavy so that an error comes at once."""


class SearchError(Exception):
    """An index cannot be read, written or used as asked; the message is one sentence with the next step."""


class NoIndex(SearchError):
    """There is no index where one was looked for."""


class Busy(SearchError):
    """Another process is writing to the index."""


class OtherEncoder(SearchError):
    """The index was made by another network than the one given."""


class Damaged(SearchError):
    """A file of the index is not what was written."""


class NoRoom(SearchError):
    """The disk of the index is full."""


def damaged(where: str, what: str = "") -> Damaged:
    """The sentence for an index at ``where`` of which ``what`` is said."""
    return Damaged(f"{what or where + ' is damaged'}; remove {where} and index again, your videos are not touched")
