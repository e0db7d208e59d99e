"""FIVR-5K and FIVR-200K: fine-grained incident video retrieval.

Annotations read: the pickle of the ViSiL and DnS code (``annotation``, and queries and database of ``5k`` and
``200k``), or the official ``annotation.json`` with ``youtube_ids.txt`` beside it. The two differ in some labels, so a
result names the one it was made with.

Source: Kordopatis-Zilos et al., "FIVR: Fine-grained Incident Video Retrieval", IEEE Transactions on Multimedia 2019.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import FIVR_TASKS, RetrievalSet

SUBSETS = ("5k", "200k")


def convert(content: Any, subset: str = "200k", ids: Iterable[str] = (), source: str = "") -> RetrievalSet:
    """The set of an annotation's content.

    Args:
        content: what the pickle or ``annotation.json`` holds.
        subset: ``"5k"`` or ``"200k"``.
        ids: the collection, which ``annotation.json`` does not name; the labelled videos where nobody names it.

    Raises:
        DatasetError: it is another file.
    """
    if not isinstance(content, Mapping):
        raise DatasetError("fivr: expected an object of annotations by query")
    labels = content.get("annotation", content)
    if not isinstance(labels, Mapping) or not all(isinstance(by, Mapping) for by in labels.values()):
        raise DatasetError("fivr: expected labels ND, DS, CS, IS by query; is this the annotation of FIVR?")
    if subset in content:
        queries, gallery = list(content[subset]["queries"]), sorted(content[subset]["database"])
    elif subset == "5k":
        raise DatasetError("fivr: this file does not say which videos FIVR-5K has; give the pickle of ViSiL or DnS")
    else:
        queries = list(labels)
        named = {video for by in labels.values() for videos in by.values() for video in videos}
        gallery = sorted({*ids} or named | set(queries))
    related = {
        query: {label: tuple(dict.fromkeys(videos)) for label, videos in labels[query].items()}
        for query in queries
        if query in labels
    }
    seen = {label for by in related.values() for label in by}
    tasks = {task: kept for task, kept in FIVR_TASKS.items() if seen & set(kept)}
    return RetrievalSet(
        f"fivr-{subset}", tuple(queries), tuple(gallery), related, tasks, protocol="fivr", source=source
    )
