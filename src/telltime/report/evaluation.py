"""The page of one evaluation, made of its ``Result``.

A task fills these keys of ``Result.details``; every one may be absent:

``confusion``
    int array ``[K, K]``, true classes down, predicted across.
``classes``
    the K class names.
``per_class``
    class name to score, a share between 0 and 1.
``neighbours``
    a list of ``{"query": {"id", "label", "frames"}, "hits": [{"id", "label", "score", "frames", "correct"}]}``, the
    best hit first; ``label`` is a class name or ``None``, ``frames`` uint8 ``[n, 3, H, W]`` RGB or ``None``.
``curves``
    name to a list of values, one an epoch (or to (positions, values)); names that end in a share, such as
    ``"test top1"``, are drawn apart from the losses.
``most_frequent``
    the share of the most frequent class among the test videos.
``chance``
    metric name to the score of guessing, shown beside the metric.
``precision_recall`` and others
    of video retrieval: see :mod:`telltime.report.video_retrieval`.
``reliability`` and others
    of the time of day: see :mod:`telltime.report.time_of_day`.
``arrangements`` and others
    of time sensitivity: see :mod:`telltime.report.time_sensitivity`.
``segmented``
    of dense tasks: see :mod:`telltime.report.dense`.
``things``
    what was measured, in the singular; ``"video"`` unless told.
``notes``
    sentences to print below the scores, e.g. how the protocol differs from the published one.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from telltime.report import dense, plots, time_of_day, time_sensitivity, video_retrieval
from telltime.report.page import Page
from telltime.report.strips import Row, strip
from telltime.tasks.result import Result

MOST_ROWS = 16
MOST_HITS = 8
_SHARE = re.compile(
    r"^(top\d+|recall@\d+(_\w+)?|R@\d+|map|map[_@].*|micro_ap.*|ap_.*|within_\w+|ece|published_within\w+|tied|miou|miou_(foreground|std)|jaccard|boundary_f|J|F|J&F|[JF]_(recall|decay)|coverage_.*|accuracy.*|.*distinctness|.*_(top\d+|accuracy|share|confidence))$"
)


_PARTS = {"temporal-distinctness": "Quarter by quarter"}


def write_report(result: Result, folder: str | Path) -> Path:
    """Write ``folder/report.html`` for ``result`` and return its path."""
    return report(result).write(Path(folder) / "report.html")


def report(result: Result) -> Page:
    """The page, not yet written; see the module for what is taken from ``result.details``."""
    details = result.details
    model, data = _name(result.model), _name(result.data)
    where = " on ".join(part for part in (model, data) if part)
    page = Page(_title(result.task), where)
    chance = {k: f"chance {shown(k, v)}" for k, v in details.get("chance", {}).items()}
    page.scores({name: shown(name, value) for name, value in result.metrics.items()}, chance)
    thing = details.get("things", "video")
    counted = f"Protocol: {result.protocol}. {_count(result.records, thing)} measured in {_duration(result.seconds)}"
    dropped = f"; {_count(result.dropped, thing)} dropped, each named in dropped.jsonl" if result.dropped else ""
    page.text(f"{counted}{dropped}.")
    for note in details.get("notes", ()):
        page.text(note)
    if details.get("most_frequent") is not None:
        page.text(f"Always naming the most frequent class gives {shown('top1', details['most_frequent'])}.")
    if details.get("curves"):
        _curves(page, details["curves"])
    if details.get("precision_recall"):
        video_retrieval.sections(page, details, neighbour_rows)
    if details.get("reliability") is not None:
        time_of_day.sections(page, details)
    if details.get("arrangements"):
        time_sensitivity.sections(page, details)
    if details.get("segmented"):
        dense.sections(page, details)
    if details.get("neighbours"):
        _neighbours(page, details["neighbours"], "time" if thing == "photo" else "class")
    if details.get("confusion") is not None:
        _confusion(page, np.asarray(details["confusion"]), list(details["classes"]), f"{thing}s")
    if details.get("per_class"):
        _per_class(page, details["per_class"], _PARTS.get(result.task, "Class by class"))
    page.section("Settings")
    page.table(["model", ""], _flat(result.model))
    page.table(["data", ""], _flat(result.data))
    versions = result.to_json()["versions"]
    page.table(["library", "version"], list(versions.items()), folded="Versions of what computed these numbers")
    return page


def shown(name: str, value: float) -> str:
    """A metric as it is read: shares in percent, the rest with three digits."""
    if _SHARE.match(name) and 0 <= value <= 1:
        return f"{100 * value:.1f} %"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _neighbours(page: Page, given: Sequence[Mapping[str, Any]], shared: str) -> None:
    marked = [hit["correct"] for row in given for hit in row["hits"][:1] if hit.get("correct") is not None]
    more = f" {len(given) - MOST_ROWS} further queries are not shown." if len(given) > MOST_ROWS else ""
    said = f" The first neighbour has the query's {shared} in {sum(marked)} of these {len(marked)}." if marked else ""
    page.section("Nearest neighbours", f"A query on the left, what the model finds most alike beside it.{said}{more}")
    page.strips(neighbour_rows(given[:MOST_ROWS]))


def neighbour_rows(given: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Film strips of queries and their hits, from ``details["neighbours"]``."""
    rows = []
    for row in given:
        query = row["query"]
        hits = [
            strip(hit.get("frames"), _label(hit), _hit_detail(hit), hit.get("correct"), most=3, height=64)
            for hit in row["hits"][:MOST_HITS]
        ]
        detail = query["id"] if query.get("label") is not None else ""
        rows.append(Row(strip(query.get("frames"), _label(query), detail), hits))
    return rows


def _confusion(page: Page, matrix: np.ndarray, classes: list[str], things: str) -> None:
    page.section("Which classes are taken for which")
    page.figure(
        plots.confusion(matrix, classes), "True classes down, predicted across; each row is shaded by its shares."
    )
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    pairs = [divmod(int(i), len(classes)) for i in order]
    rows = [
        (classes[t], classes[p], int(wrong[t, p]), f"{wrong[t, p] / matrix[t].sum():.0%}")
        for t, p in pairs
        if wrong[t, p] > 0
    ]
    if rows:
        page.table(["true", "taken for", things, "of its class"], rows)


def _curves(page: Page, curves: Mapping[str, Any]) -> None:
    """Losses and scores apart, since they share no axis."""
    scores = {name: values for name, values in curves.items() if _SHARE.match(name.rpartition(" ")[2])}
    losses = {name: values for name, values in curves.items() if name not in scores}
    page.section("Over training")
    for drawn in (losses, scores):
        if drawn:
            page.figure(plots.curves(drawn, x="epoch"))


def _per_class(page: Page, scores: Mapping[str, float], title: str) -> None:
    page.section(title).figure(plots.bars(scores))
    if len(scores) > 30:
        ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
        page.table(["class", "score"], [(n, f"{v:.1%}") for n, v in ranked], folded=f"All {len(scores)} classes")


def _title(task: str) -> str:
    names = {
        "neighbours": "Nearest-neighbour retrieval",
        "linear": "Linear evaluation",
        "finetune": "Fine-tuning",
        "action": "Action recognition",
        "temporal-distinctness": "Temporal distinctness",
        "video-retrieval": "Video retrieval",
        "time-of-day": "Telling the time of day",
        "time-retrieval": "Retrieval by time of day",
    }
    return names.get(task.replace("_", "-"), task.replace("_", " ").replace("-", " ").capitalize())


def _name(described: Mapping[str, Any]) -> str:
    return str(next((described[k] for k in ("name", "model", "data", "path") if described.get(k)), ""))


def _label(video: Mapping[str, Any]) -> str:
    return str(video["label"] if video.get("label") is not None else video["id"])


def _hit_detail(hit: Mapping[str, Any]) -> str:
    score = f"{hit['score']:.3f}" if hit.get("score") is not None else ""
    name = str(hit["id"]).rpartition("/")[2] if hit.get("label") is not None else ""
    return " · ".join(part for part in (score, name) if part)


def _flat(given: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, value in given.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)))
    return rows


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'s' * (number != 1)}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
