"""CC_WEB_VIDEO: near duplicates of 24 popular web videos.

Annotation read: the pickle of the ViSiL, DnS and TCA code. Labels E exactly duplicate, S similar, V similar version,
M major change, L long version count as near duplicates; X does not.

Source: Wu, Hauptmann, Ngo, "Practical elimination of near-duplicates from web video search", ACM MM 2007.
"""

from collections.abc import Mapping
from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import RetrievalSet

POSITIVE = ("E", "L", "M", "S", "V")


def convert(content: Any, source: str = "") -> RetrievalSet:
    """The set of the pickle's content.

    A labelled number that stands for no video keeps a name of its own, ``"#number"``: published scores count it as
    a positive that is never found.

    Raises:
        DatasetError: it is another file.
    """
    try:
        names = _names(content)
        queries = [_bare(query) for query in content["queries"]]
        related, excluded = {}, {}
        for query, labels, out in zip(queries, content["ground_truth"], content["excluded"], strict=True):
            by: dict[str, list[str]] = {}
            for number, label in labels.items():
                by.setdefault(str(label).upper(), []).append(names.get(number, f"#{number}"))
            related[query] = {label: tuple(ids) for label, ids in sorted(by.items())}
            excluded[query] = tuple(names[number] for number in sorted(out) if number in names)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DatasetError(f"cc-web: this is not the annotation of CC_WEB_VIDEO ({error!r})") from None
    tasks = {"cc_web": POSITIVE}
    gallery = tuple(dict.fromkeys(names.values()))
    return RetrievalSet("cc-web", tuple(queries), gallery, related, tasks, excluded, protocol="cc_web", source=source)


def _names(content: Any) -> dict[int, str]:
    """Number to id, in the collection's order: of ``vid2index``, or of an ``index`` that maps either way."""
    table = content.get("vid2index") or content["index"]
    pairs = table.items() if isinstance(table, Mapping) else enumerate(table)
    named = (pair if isinstance(pair[0], int) else (pair[1], pair[0]) for pair in pairs)
    return {int(number): _bare(name) for number, name in named if name}


def _bare(name: str) -> str:
    """``"1/1_1_Y"``, as some copies have it, is ``"1_1_Y"``."""
    return str(name).rpartition("/")[2]
