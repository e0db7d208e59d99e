"""EVVE: videos of the same event, 13 events.

Annotation read: the pickle of the ViSiL, DnS and TCA code.

Source: Revaud, Douze, Schmid, Jégou, "Event retrieval in large video collections with circulant temporal encoding",
CVPR 2013.
"""

from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import RetrievalSet

POSITIVE, NULL = "positive", "null"


def convert(content: Any, source: str = "") -> RetrievalSet:
    """The set of the pickle's content.

    Raises:
        DatasetError: it is another file.
    """
    try:
        events = content["annotation"]
        group = {query: event for event, (queries, _, _) in events.items() for query in queries}
        queries = tuple(dict.fromkeys(query for query in content["queries"] if query in group))
        related = {}
        for query in queries:
            _, positives, null = events[group[query]]
            related[query] = {POSITIVE: tuple(sorted(positives))} | ({NULL: tuple(sorted(null))} if null else {})
        gallery = tuple(dict.fromkeys(content["database"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DatasetError(f"evve: this is not the annotation of EVVE ({error!r})") from None
    groups = {query: group[query] for query in queries}
    return RetrievalSet(
        "evve", queries, gallery, related, {"evve": (POSITIVE,)}, groups=groups, protocol="evve", source=source
    )
