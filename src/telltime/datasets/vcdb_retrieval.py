"""VCDB as a retrieval benchmark: every core video asks for the videos that share a copied segment with it.

Annotation read: the pickle of the TCA code (``video_pairs``, ``index``), or pairs from the official text files.

Source: Jiang, Jiang, Wang, "VCDB: A large-scale database for partial copy detection in videos", ECCV 2014.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from telltime.datasets.lists import lines
from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import RetrievalSet
from telltime.datasets.scan import printable

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


def read_text(folder: str | Path) -> list[tuple[str, str]]:
    """Pairs of video names (without ending) of the official annotation: ``a.flv,b.mp4,start,end,start,end`` lines.

    Raises:
        DatasetError: no such file, or no line of that kind.
    """
    folder = Path(folder).expanduser()
    files = sorted(folder.rglob("*.txt")) if folder.is_dir() else [folder]
    pairs = []
    for path in files:
        for line in lines(path):
            cells = [cell.strip() for cell in line.split(",")]
            if len(cells) == 6:
                pairs.append((Path(cells[0]).stem, Path(cells[1]).stem))
    if not pairs:
        raise DatasetError(f"vcdb: no line 'video,video,start,end,start,end' in {printable(folder)}")
    return pairs
