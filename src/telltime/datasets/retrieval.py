"""Which videos answer which query: one shape for every video retrieval benchmark, kept as JSON.

The file (``--data retrieval --annotation FILE``) is an object with these keys; the last five may be left out:

``format``
    ``"telltime-retrieval"``; ``version``: 1.
``name``
    what the set is called in results.
``queries``, ``gallery``
    lists of video ids, each once. The order of the gallery is the order of equal scores. An id is a file's path below
    the root, with or without its ending, or its bare name: what the file of features, or the folder of videos, has.
``related``
    for each query the ids of related videos by label: ``{"query": {"ND": ["id", ...], "DS": [...]}}``. Any labels do;
    FIVR's are ND near duplicate, DS duplicate scene, CS complementary scene, IS same incident. Ids that the gallery
    lacks are lost positives or left out, as the protocol has it.
``tasks``
    name to the labels that count as right: ``{"dsvr": ["ND", "DS"], ...}``. By default FIVR's where all labels are
    FIVR's, else one task, ``related``, of all labels.
``excluded``
    for each query the ids that a cleaned ranking leaves out.
``groups``
    for each query its group (EVVE's event), whose mean is reported too.
``protocol``
    ``"ranking"`` (the default), or ``"fivr"``, ``"cc_web"``, ``"evve"``, ``"vcdb"`` for published numbers beside.
``source``
    where the annotation comes from.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telltime.datasets.record import DatasetError
from telltime.datasets.scan import printable
from telltime.media.files import whole

FORMAT, VERSION = "telltime-retrieval", 1
PROTOCOLS = ("ranking", "fivr", "cc_web", "evve", "vcdb")
FIVR_TASKS = {"dsvr": ("ND", "DS"), "csvr": ("ND", "DS", "CS"), "isvr": ("ND", "DS", "CS", "IS"), "davr": ("DA",)}
_KEYS = (
    "format",
    "version",
    "name",
    "queries",
    "gallery",
    "related",
    "tasks",
    "excluded",
    "groups",
    "protocol",
    "source",
)

Related = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class RetrievalSet:
    """Queries, the videos they are looked for in, and which of those are related; see the module for each."""

    name: str
    queries: tuple[str, ...]
    gallery: tuple[str, ...]
    related: Related
    tasks: Mapping[str, tuple[str, ...]]
    excluded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "ranking"
    source: str = ""

    def positives(self, query: str, task: str) -> frozenset[str]:
        """Ids that are right for a query: the union of the task's labels."""
        labels = self.related.get(query, {})
        return frozenset(video for label in self.tasks[task] for video in labels.get(label, ()))

    def labelled(self, query: str) -> tuple[str, ...]:
        """Ids that any label of a query names, negative ones too, each once."""
        return tuple(dict.fromkeys(video for ids in self.related.get(query, {}).values() for video in ids))

    @property
    def ids(self) -> tuple[str, ...]:
        """Queries and gallery, each once."""
        return tuple(dict.fromkeys((*self.queries, *self.gallery)))

    def to_json(self) -> dict[str, Any]:
        """The object the file holds."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "protocol": self.protocol,
            "source": self.source,
            "tasks": {task: list(labels) for task, labels in self.tasks.items()},
            "queries": list(self.queries),
            "gallery": list(self.gallery),
            "related": {q: {label: list(ids) for label, ids in by.items()} for q, by in self.related.items()},
            "excluded": {query: list(ids) for query, ids in self.excluded.items()},
            "groups": dict(self.groups),
        }

    def write(self, path: str | Path) -> Path:
        """Write the file, whole or not at all."""
        path = Path(path)
        with whole(path) as beside:
            beside.write_text(json.dumps(self.to_json(), ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def read(path: str | Path) -> RetrievalSet:
    """The set a file in this package's JSON schema holds.

    Raises:
        DatasetError: it cannot be read, or does not keep to the schema; the message names the key.
    """
    path = Path(path).expanduser()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DatasetError(f"{printable(path)}: {error.strerror}") from None
    except ValueError as error:
        raise DatasetError(f"{printable(path)} is not JSON ({error})") from None
    try:
        return from_json(content)
    except DatasetError as error:
        raise DatasetError(f"{printable(path)}: {error}") from None


def from_json(content: Any) -> RetrievalSet:
    """The set of an object in the schema.

    Raises:
        DatasetError: see :func:`read`.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DatasetError(f'expected an object with "format": "{FORMAT}"; docstring of telltime.datasets.retrieval')
    if content.get("version", VERSION) != VERSION:
        raise DatasetError(f"version {content['version']!r} is not known; this package reads version {VERSION}")
    for key in content:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, n=1)
            raise DatasetError(f"unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    queries, gallery = (_ids(content.get(key), key) for key in ("queries", "gallery"))
    related = {
        query: {str(label): _ids(ids, f"related[{query!r}][{label!r}]", False) for label, ids in labels.items()}
        for query, labels in _object(content.get("related"), "related", dict).items()
    }
    labels = {label for by in related.values() for label in by}
    given = content.get("tasks") or _tasks(labels)
    tasks = {str(task): _ids(kept, f"tasks[{task!r}]") for task, kept in _object(given, "tasks", list).items()}
    excluded = _object(content.get("excluded", {}), "excluded", list)
    groups = _object(content.get("groups", {}), "groups", str)
    for key, table in (("related", related), ("excluded", excluded), ("groups", groups)):
        if strange := [query for query in table if query not in set(queries)]:
            raise DatasetError(f"{key} names {strange[0]!r}, which is not among the queries")
    for task, wanted in tasks.items():
        if labels and not labels & set(wanted):
            raise DatasetError(
                f"task {task!r} counts {', '.join(wanted)}, but the labels are {', '.join(sorted(labels))}"
            )
    protocol = content.get("protocol", "ranking")
    if protocol not in PROTOCOLS:
        raise DatasetError(f"protocol {protocol!r} is none of {', '.join(PROTOCOLS)}")
    return RetrievalSet(
        str(content.get("name", "retrieval")),
        queries,
        gallery,
        related,
        tasks,
        {query: _ids(ids, f"excluded[{query!r}]", False) for query, ids in excluded.items()},
        groups,
        protocol,
        str(content.get("source", "")),
    )


def _tasks(labels: set[str]) -> dict[str, list[str]]:
    """FIVR's tasks where the labels are FIVR's, else one of everything."""
    if labels <= {"ND", "DS", "CS", "IS", "DA"}:
        return {task: list(kept) for task, kept in FIVR_TASKS.items() if labels & set(kept)}
    return {"related": sorted(labels)}


def _ids(value: Any, key: str, once: bool = True) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise DatasetError(f"{key} must be a list of ids (text), not {type(value).__name__}")
    if once and len(set(value)) < len(value):
        twice = next(one for at, one in enumerate(value) if one in set(value[:at]))
        raise DatasetError(f"{key} names {twice!r} twice")
    return tuple(dict.fromkeys(value))


def _object(value: Any, key: str, of: type) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(one, of) for one in value.values()):
        raise DatasetError(f"{key} must be an object of {of.__name__} by id, not {type(value).__name__}")
    return value
