"""The protocols of video retrieval benchmarks: scores of queries and a gallery to average precision for each query.

Every protocol comes as published and corrected. Published scores keep what their scripts do: positives that a query
can never reach, its own copy as a free hit, videos without features left out or counted as lost. Corrected, a query
is never part of its own ranking nor of its positives, positives without features are left out, a query without any
positive has no score (NaN), and ranks of equal scores are averaged over their orders.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from telltime.datasets.retrieval import RetrievalSet
from telltime.metrics.ranking import (
    Places,
    average_precision,
    interpolated_precision,
    micro_average_precision,
    places,
    trapezoid_average_precision,
)

Missing = Literal["ignore", "count"]
PerQuery = dict[str, float]


@dataclass(frozen=True)
class Scores:
    """How alike queries and gallery videos are, of those that have features.

    Attributes:
        queries: ids of the rows, in the set's order.
        gallery: ids of the columns; equal scores keep this order.
        values: float32 ``[Q, G]``.
        known: ids that have features, where more than queries and gallery are known to.
    """

    queries: tuple[str, ...]
    gallery: tuple[str, ...]
    values: np.ndarray
    known: frozenset[str] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.queries), len(self.gallery)):
            raise ValueError(
                f"scores of {len(self.queries)} queries and {len(self.gallery)} videos cannot be {self.values.shape}"
            )

    @cached_property
    def column(self) -> dict[str, int]:
        """Id to column."""
        return {video: at for at, video in enumerate(self.gallery)}

    @cached_property
    def described(self) -> frozenset[str]:
        """Ids that have features."""
        return self.known | set(self.queries) | set(self.gallery)

    def columns(self, ids: Iterable[str]) -> list[int]:
        """Columns of those ids that have one."""
        return [self.column[video] for video in ids if video in self.column]

    def rank(self, row: int, positives: Iterable[str], out: Iterable[str] = ()) -> Places:
        """Places of positives in a row, without the videos ``out`` of the ranking."""
        return places(self.values[row], self.columns(positives), self.columns(out))


def fivr(scores: Scores, given: RetrievalSet, missing: Missing = "ignore") -> dict[str, PerQuery]:
    """Average precision of every task (dsvr, csvr, isvr, davr) and query, as published.

    The query is not part of its ranking, but counts among the positives where its own list names it. A query without
    positives scores NaN.

    Args:
        missing: positives without features are left out, as in the code of TCA and ViSiL, or counted as never found,
            as in the official script.
    """
    known = scores.described if missing == "ignore" else frozenset(given.ids)
    found: dict[str, PerQuery] = {task: {} for task in given.tasks}
    for row, query in enumerate(scores.queries):
        for task in given.tasks:
            wanted = given.positives(query, task)
            found[task][query] = average_precision(scores.rank(row, wanted, [query]), len(wanted & known))
    return found


def cc_web(scores: Scores, given: RetrievalSet) -> dict[str, PerQuery]:
    """CC_WEB_VIDEO's four numbers as published, by query.

    ``cc_web`` ranks the videos a query has labels for, ``cc_web*`` all; ``_c`` leaves the excluded ones out. The query
    finds itself, and positives without features are never found.
    """
    found: dict[str, PerQuery] = {f"cc_web{which}": {} for which in ("", "*", "_c", "_c*")}
    for row, query in enumerate(scores.queries):
        wanted, listed = given.positives(query, "cc_web"), scores.columns(given.labelled(query))
        for clean in (False, True):
            out = given.excluded.get(query, ()) if clean else ()
            total, mark = len(wanted - set(out)), "_c" * clean
            found[f"cc_web{mark}*"][query] = average_precision(scores.rank(row, wanted, out), total)
            own = Scores(
                (query,), tuple(scores.gallery[at] for at in sorted(listed)), scores.values[[row]][:, sorted(listed)]
            )
            found[f"cc_web{mark}"][query] = average_precision(own.rank(0, wanted, out), total)
    return found


def evve(scores: Scores, given: RetrievalSet) -> PerQuery:
    """EVVE's average precision (by trapezoids) of every query as published: 0 where no positive has features.

    Videos that an event neither counts nor rejects (``null``) are passed over.
    """
    found = {}
    for row, query in enumerate(scores.queries):
        wanted = given.positives(query, "evve")
        null = given.related.get(query, {}).get("null", ())
        ranked = scores.rank(row, wanted, null)
        found[query] = trapezoid_average_precision(ranked, len(scores.columns(wanted - set(null))))
    return found


def vcdb(scores: Scores, given: RetrievalSet, itself: bool = True) -> PerQuery:
    """VCDB's average precision of every query.

    Args:
        itself: as published the query counts among its own positives, which it never reaches: a perfect ranking of all
            core videos then scores 0.93. Without, a query whose copies all lack features scores NaN.
    """
    found = {}
    for row, query in enumerate(scores.queries):
        wanted = given.positives(query, "vcdb")
        total = len(wanted & scores.described - {query}) + itself
        found[query] = average_precision(scores.rank(row, wanted, [query]), total)
    return found


def corrected(scores: Scores, given: RetrievalSet, clean: bool = True) -> dict[str, PerQuery]:
    """Average precision of every task and query, corrected as the module says.

    Args:
        clean: leave out what the set excludes for a query.
    """
    return {
        task: {query: average_precision(one, ties="average") for query, one in by.items()}
        for task, by in _ranked(scores, given, clean).items()
    }


def micro(scores: Scores, given: RetrievalSet, task: str) -> float:
    """Average precision of all pairs in one list, queries' own copies left out: do scores of queries compare?"""
    right = np.zeros(scores.values.shape, dtype=bool)
    counted = np.ones(scores.values.shape, dtype=bool)
    for row, query in enumerate(scores.queries):
        right[row, scores.columns(given.positives(query, task))] = True
        counted[row, scores.columns([query, *given.excluded.get(query, ())])] = False
    return micro_average_precision(scores.values[counted], right[counted])


def precision_recall(scores: Scores, given: RetrievalSet, levels: int = 21) -> dict[str, np.ndarray]:
    """Interpolated precision at evenly spaced recalls for each task, the mean over queries: float64 ``[levels]``."""
    found = {}
    for task, by in _ranked(scores, given, True).items():
        curves = [interpolated_precision(one, len(one.ranks), levels) for one in by.values() if len(one.ranks)]
        found[task] = np.mean(curves, axis=0) if curves else np.zeros(levels)
    return found


def tied(scores: Scores, given: RetrievalSet) -> float:
    """Share of positives whose score some other video of their ranking has too."""
    every = [one.tied for by in _ranked(scores, given, True).values() for one in by.values()]
    counts = np.concatenate([*every, np.zeros(0, dtype=np.int64)])
    return float((counts > 1).mean()) if len(counts) else 0.0


@dataclass(frozen=True)
class Coverage:
    """How much of a set has features.

    Attributes:
        queries, gallery, positives: shares, 0 to 1; positives are counted once for each query.
        missing: for each query its positives of any task that have no features; queries without are all here.
        lost: queries that have no features.
    """

    queries: float
    gallery: float
    positives: float
    missing: Mapping[str, tuple[str, ...]]
    lost: tuple[str, ...]


def coverage(scores: Scores, given: RetrievalSet) -> Coverage:
    """What of a set the scores leave out."""
    missing, wanted_all = {}, 0
    for query in given.queries:
        wanted = frozenset().union(*(given.positives(query, task) for task in given.tasks)) - {query}
        missing[query] = tuple(sorted(wanted - scores.column.keys()))
        wanted_all += len(wanted)
    lost = tuple(query for query in given.queries if query not in set(scores.queries))
    there = sum(video in scores.column for video in given.gallery)
    return Coverage(
        len(scores.queries) / max(1, len(given.queries)),
        there / max(1, len(given.gallery)),
        1 - sum(map(len, missing.values())) / max(1, wanted_all),
        missing,
        lost,
    )


def mean(found: Mapping[str, float]) -> float:
    """The mean over queries that have a score; NaN when none has."""
    values = [value for value in found.values() if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def group_means(found: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, float]:
    """The mean of each group's queries that have a score; NaN for a group without."""
    by: dict[str, PerQuery] = {group: {} for group in dict.fromkeys(groups.values())}
    for query, value in found.items():
        if query in groups:
            by[groups[query]][query] = value
    return {group: mean(values) for group, values in by.items()}


def interval(found: Mapping[str, float], draws: int = 1000, seed: int = 0) -> tuple[float, float]:
    """The middle 95 % of means over queries drawn with replacement: what another choice of queries might have given."""
    values = np.array([value for value in found.values() if not np.isnan(value)])
    if not len(values):
        return float("nan"), float("nan")
    picked = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(values[picked].mean(1), [2.5, 97.5])
    return float(low), float(high)


def published(scores: Scores, given: RetrievalSet) -> dict[str, PerQuery]:
    """Average precision by metric and query as the set's own protocol publishes it; empty for other sets."""
    ways: dict[str, Callable[[], dict[str, PerQuery]]] = {
        "fivr": lambda: (
            fivr(scores, given) | {f"{task}_counted": by for task, by in fivr(scores, given, "count").items()}
        ),
        "cc_web": lambda: cc_web(scores, given),
        "evve": lambda: {"evve": evve(scores, given)},
        "vcdb": lambda: {"vcdb": vcdb(scores, given)},
    }
    return ways[given.protocol]() if given.protocol in ways else {}


def _ranked(scores: Scores, given: RetrievalSet, clean: bool) -> dict[str, dict[str, Places]]:
    """Places of every task's positives, the query and what is excluded left out."""
    found: dict[str, dict[str, Places]] = {task: {} for task in given.tasks}
    for row, query in enumerate(scores.queries):
        out = [query, *(given.excluded.get(query, ()) if clean else ()), *given.related.get(query, {}).get("null", ())]
        for task in given.tasks:
            found[task][query] = scores.rank(row, given.positives(query, task), out)
    return found
