"""VCDB as a retrieval benchmark: every core video asks for the videos that share a copied segment with it.

Annotation read: the pickle of the TCA code (``video_pairs``, ``index``), or the official text by
:func:`telltime.datasets.vcdb.read`.

Source: Jiang, Jiang, Wang, "VCDB: A large-scale database for partial copy detection in videos", ECCV 2014.
"""

from collections.abc import Iterable
from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import RetrievalSet

COPY = "copy"


def convert(content: Any, source: str = "") -> RetrievalSet:
    """The set of the pickle's content: the videos that are in a pair ask, in the order of the index.

    Raises:
        DatasetError: it is another file.
    """
    try:
        pairs = [tuple(pair["videos"]) for pair in content["video_pairs"]]
        return of_pairs(pairs, content["index"], source)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DatasetError(f"vcdb: this is not the annotation of VCDB ({error!r})") from None


def of_pairs(pairs: Iterable[tuple[str, str]], index: Iterable[str] = (), source: str = "") -> RetrievalSet:
    """The set of pairs of videos that share a segment, and a collection (the videos in pairs if not given)."""
    copies: dict[str, set[str]] = {}
    for one, other in pairs:
        if one != other:
            copies.setdefault(one, set()).add(other)
            copies.setdefault(other, set()).add(one)
    gallery = tuple(dict.fromkeys(index)) or tuple(sorted(copies))
    queries = tuple(video for video in gallery if video in copies)
    related = {query: {COPY: tuple(sorted(copies[query]))} for query in queries}
    return RetrievalSet("vcdb", queries, gallery, related, {"vcdb": (COPY,)}, protocol="vcdb", source=source)
