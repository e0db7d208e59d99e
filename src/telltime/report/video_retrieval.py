"""What the page of a video retrieval evaluation shows beyond its scores.

``precision_recall``
    task to interpolated precision at evenly spaced recalls.
``groups``
    group of queries to its mean average precision.
``worst``
    rows of queries and hits as in ``neighbours`` of :mod:`telltime.report.evaluation`.
``per_query``
    query to ``{"average_precision": {metric: number or None}, "missing": [ids]}``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from telltime.report import plots
from telltime.report.page import Page
from telltime.report.strips import Row

MOST_QUERIES = 700


def sections(page: Page, details: Mapping[str, Any], rows: Callable[[Sequence[Mapping[str, Any]]], list[Row]]) -> None:
    """Add precision and recall, groups, the worst queries, and a table of all queries.

    Args:
        rows: makes film strips of ``worst``.
    """
    curves = {task: list(values) for task, values in details["precision_recall"].items()}
    page.section("Precision and recall", "The best precision at each recall or beyond, the mean over queries.")
    recalls = {task: (np.linspace(0, 1, len(values)).tolist(), values) for task, values in curves.items()}
    page.figure(plots.curves(recalls, x="recall", y="precision", smooth=False))
    if groups := {name: value for name, value in details.get("groups", {}).items() if not np.isnan(value)}:
        page.section("Group by group").figure(plots.bars(groups))
    if worst := details.get("worst"):
        page.section(
            "Queries that found least", "A query on the left, what scored highest beside it; ✓ marks related videos."
        )
        page.strips(rows(worst))
    _queries(page, details.get("per_query", {}))


def _queries(page: Page, queries: Mapping[str, Any]) -> None:
    if not queries:
        return
    names = list(dict.fromkeys(name for found in queries.values() for name in found["average_precision"]))
    table = []
    for query, found in sorted(queries.items())[:MOST_QUERIES]:
        values = [found["average_precision"].get(name) for name in names]
        table.append([query, *("" if v is None else f"{v:.3f}" for v in values), len(found["missing"])])
    page.section("Query by query", "Average precision, and how many related videos have no descriptors.")
    more = f", the first {MOST_QUERIES}" if len(queries) > MOST_QUERIES else ""
    page.table(["query", *names, "missing"], table, folded=f"All {len(queries)} queries{more}")
