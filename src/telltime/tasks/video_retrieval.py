"""Video retrieval: for each query, are the related videos of the gallery the most similar ones?

Scores every query with every video of the set that has frame descriptors, then measures by the set's protocol, as
published and corrected (:mod:`telltime.metrics.video_retrieval`). What is missing is said with every number.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from telltime.checkpoints.describer import Describer
from telltime.datasets.retrieval import RetrievalSet
from telltime.metrics import video_retrieval as protocols
from telltime.metrics.video_retrieval import Scores
from telltime.tasks.measuring import Reading
from telltime.tasks.neighbours import still_frames
from telltime.tasks.result import Result
from telltime.tasks.retrieval_scores import SIMILARITIES, Collection, collect, score

__all__ = ["SIMILARITIES", "collect", "score", "video_retrieval"]

_WORST, _HITS = 12, 5


def video_retrieval(
    describer: Describer | None,
    given: RetrievalSet,
    root: str | Path,
    reading: Reading | None = None,
    *,
    similarity: str = "symmetric-chamfer",
    comparator: torch.nn.Module | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Average precision of a retrieval set by its protocol.

    Metrics: ``map_*``, means over queries, each as published (with ``_low`` and ``_high``: 95 % of means over queries
    drawn anew) and ``map_*_corrected``; ``micro_ap_*``; shares ``coverage_queries``, ``coverage_gallery``,
    ``coverage_positives`` of what has descriptors, and ``tied`` of positives whose score others have too. Sets without
    a published protocol have the corrected means alone, under plain names. Details: ``per_query``,
    ``precision_recall``, ``worst``, ``notes``.

    Args:
        root: see :func:`~telltime.tasks.retrieval_scores.collect`.
        comparator: see :func:`~telltime.tasks.retrieval_scores.score`.
        seed: of the intervals.
    """
    started, reading = time.monotonic(), reading or Reading()
    collection = collect(describer, given, root, reading)
    scores = score(describer, given, collection, similarity, comparator, reading)
    official, right = protocols.published(scores, given), protocols.corrected(scores, given)
    metrics: dict[str, float] = {}
    for key, by in (official or right).items():
        metrics[f"map_{key}"] = protocols.mean(by)
        metrics[f"map_{key}_low"], metrics[f"map_{key}_high"] = protocols.interval(by, seed=seed)
        if given.groups:
            groups = protocols.group_means(by, given.groups)
            metrics[f"map_{key}_groups"] = protocols.mean(groups)
    if official:
        metrics |= {f"map_{task}_corrected": protocols.mean(by) for task, by in right.items()}
    metrics |= {f"micro_ap_{task}": protocols.micro(scores, given, task) for task in given.tasks}
    covered = protocols.coverage(scores, given)
    metrics |= {
        "coverage_queries": covered.queries,
        "coverage_gallery": covered.gallery,
        "coverage_positives": covered.positives,
        "tied": protocols.tied(scores, given),
    }
    every = official | {f"{task}_corrected": by for task, by in right.items()} if official else right
    return Result(
        task="video-retrieval",
        protocol=f"{given.protocol}, {similarity}{' with comparator' if comparator is not None else ''}",
        metrics={key: value for key, value in metrics.items() if not np.isnan(value)},
        model={"name": name or "features", "digest": describer.digest() if describer else None},
        data={
            "name": given.name,
            "root": str(root),
            "annotation": given.source,
            "queries": len(scores.queries),
            "gallery": len(scores.gallery),
        },
        records=len(set(scores.queries) | set(scores.gallery)),
        dropped=collection.dropped,
        seconds=time.monotonic() - started,
        details={
            "per_query": {
                query: {
                    "average_precision": {
                        key: None if np.isnan(by[query]) else by[query] for key, by in every.items() if query in by
                    },
                    "missing": list(covered.missing[query]),
                }
                for query in scores.queries
            },
            "lost_queries": list(covered.lost),
            "groups": protocols.group_means(next(iter((official or right).values())), given.groups),
            "precision_recall": protocols.precision_recall(scores, given),
            "worst": _worst(scores, given, collection, right),
            "notes": _notes(given, scores, covered, metrics["tied"], collection),
        },
    )


def _worst(
    scores: Scores, given: RetrievalSet, collection: Collection, right: dict[str, dict[str, float]]
) -> list[dict[str, Any]]:
    """Queries of the lowest average precision (of the last task, the broadest) with what was found first."""
    by = list(right.values())[-1]
    task = list(right)[-1]
    order = sorted((query for query in by if not np.isnan(by[query])), key=lambda query: (by[query], query))
    rows = []
    for query in order[:_WORST]:
        row = scores.queries.index(query)
        wanted, out = given.positives(query, task), {query, *given.excluded.get(query, ())}
        best = np.argsort(-scores.values[row], kind="stable")[: _HITS + len(out)]
        hits = [at for at in best.tolist() if scores.gallery[at] not in out][:_HITS]
        rows.append(
            {
                "query": _shown(query, collection) | {"label": f"{query} · AP {100 * by[query]:.0f} %"},
                "hits": [
                    _shown(scores.gallery[at], collection)
                    | {"score": float(scores.values[row, at]), "correct": scores.gallery[at] in wanted}
                    for at in hits
                ],
            }
        )
    return rows


def _shown(video: str, collection: Collection) -> dict[str, Any]:
    record = collection.videos.get(video)
    return {"id": video, "label": None, "frames": still_frames(record) if record is not None else None}


def _notes(
    given: RetrievalSet, scores: Scores, covered: protocols.Coverage, tied: float, collection: Collection
) -> list[str]:
    notes = []
    if min(covered.queries, covered.gallery, covered.positives) < 1:
        notes.append(
            f"Only {len(scores.queries):,} of {len(given.queries):,} queries, {len(scores.gallery):,} of "
            f"{len(given.gallery):,} gallery videos and {covered.positives:.1%} of the positives have descriptors: "
            "scores do not compare with those on all of it."
        )
    averaged = "map_* is the mean over queries"
    averaged += ", map_*_groups the mean over groups of queries." if given.groups else "."
    notes.append(averaged + " micro_ap_* takes all pairs in one list.")
    if given.protocol != "ranking":
        notes.append(
            "Published numbers order equal scores as the gallery lists them; corrected ones average over their orders, "
            "take the query out of ranking and positives, and leave out positives without descriptors."
        )
    if tied:
        notes.append(f"{tied:.1%} of the positives share their score with another video.")
    unscored = [query for query in scores.queries if not any(given.positives(query, task) for task in given.tasks)]
    if unscored:
        notes.append(f"{len(unscored)} queries have no related video at all and no score, e.g. {unscored[0]}.")
    if given.source:
        notes.append(f"Annotation: {given.source}.")
    return [*notes, *collection.notes]
