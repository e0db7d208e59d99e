"""Retrieval by time of day: are the photos nearest to a query taken at the same time on the clock?

Protocol ``queries`` (TICL, TMLR 2025): the first two photos of every hour ask, the rest is the database. Protocol
``leave-one-out``: every photo asks all others, which makes for far narrower intervals. A neighbour is right within half
an hour on the clock, to the minute, and within ``degrees`` of latitude and longitude where these are asked for.
"""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.image_tower import ImageTower
from telltime.checkpoints.clock import Clock
from telltime.datasets.photo_rows import query_rows
from telltime.datasets.record import DatasetError, Record, Table
from telltime.metrics import time_retrieval as metrics
from telltime.tasks.measuring import Reading
from telltime.tasks.photos import Measured, clock_text, data_of, measured, thumbnail
from telltime.tasks.result import Result

__all__ = ["PROTOCOLS", "time_retrieval"]

PROTOCOLS = ("queries", "leave-one-out")
_BLOCK, _SHOWN, _HITS = 4096, 12, 5
_QUERY_BLOCK = 256


def time_retrieval(
    model: Clock | ImageTower,
    table: Table,
    reading: Reading | None = None,
    *,
    protocol: str = "queries",
    similarity: str = "l2",
    within_hours: float = 0.5,
    degrees: float | None = None,
    apart: bool = False,
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Recall and precision of retrieval by time among the photos of a table whose time is known.

    Metrics: ``recall@k`` with ``_low`` and ``_high`` (95 % of means over queries drawn anew), ``recall@k_published``
    (the published reading of the same hits), ``map`` over whole rankings, ``ap_first`` of the first hits and
    ``ap_first_published``, ``mae_hours@k`` of the first k, ``positives`` a query. Chance is drawing at random.

    Args:
        model: a clock, whose features for finding are taken (with the published head the adapter's output); or a bare
            image tower, for what its features do by themselves.
        similarity: ``"l2"`` of features as they are (published), or ``"cosine"``.
        within_hours: how near on the clock a right photo is.
        degrees: how near on the map; by default anywhere.
        apart: photos of the query's day and place are not to be found: they are near it for other reasons.

    Raises:
        DatasetError: no photo is left to measure on, or none to be found.
    """
    started, reading = time.monotonic(), reading or Reading()
    tower = model if isinstance(model, ImageTower) else model.tower
    found = measured(tower, table, reading, () if isinstance(model, ImageTower) else model.meta.get("photos", ()))
    rows = _embedded(model, found.features)
    asked, held = _split(found, protocol)
    minutes = np.floor(found.hours * 60 + 1e-6)
    places = _places(found) if degrees is not None else None
    groups = np.array([record.group or record.id for record in found.table.records])

    def right_of(queries: np.ndarray) -> np.ndarray:
        near = metrics.time_difference(minutes[queries] / 60, minutes[held] / 60) <= within_hours
        if places is not None:
            near &= metrics.place_difference(places[queries], places[held]) <= float(degrees or 0)
        return near

    def left_out(queries: np.ndarray) -> np.ndarray:
        out = queries[:, None] == held[None]
        return out | (groups[queries][:, None] == groups[held][None]) if apart else out

    parts = []
    depth = min(metrics.DEPTH, len(held))
    for start in range(0, len(asked), _QUERY_BLOCK):
        queries = asked[start : start + _QUERY_BLOCK]
        parts.append(_measure(rows, queries, held, right_of(queries), left_out(queries), minutes, depth, similarity))
    whole = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Result(
        task="time-retrieval",
        protocol=f"{protocol}, {similarity}{', other days and places' if apart else ''}",
        metrics=_metrics(whole, seed),
        model={"name": name or "model", "tower": tower.name, "profile": tower.profile, "numbers": rows.shape[1]},
        data=data_of(found, table)
        | {"queries": len(asked), "database": len(held), "within_hours": within_hours, "within_degrees": degrees},
        records=len(found),
        dropped=found.dropped,
        seconds=time.monotonic() - started,
        details={
            "things": "photo",
            "chance": _chance(whole),
            "notes": [*found.notes(), *_notes(whole, protocol)],
            "neighbours": _shown(found, asked, held, whole),
            "per_query": _per_query(found, asked, held, whole),
        },
    )


def _embedded(model: Clock | ImageTower, features: Tensor) -> Tensor:
    """What photos are found by, float32 ``[N, D]``."""
    if isinstance(model, ImageTower):
        return features
    return torch.cat([model.embed(part.to(model.mean.device)).flatten(1).cpu() for part in features.split(_BLOCK)])


def _split(found: Measured, protocol: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows that ask, and rows that are asked."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol is one of {', '.join(PROTOCOLS)}, not {protocol!r}")
    every = np.arange(len(found))
    if protocol == "leave-one-out":
        asked, held = every, every
    else:
        asked, held = (np.asarray(part, np.int64) for part in query_rows(found.table.records))  # type: ignore[arg-type]
    if len(held) - (protocol == "leave-one-out") < 1:
        raise DatasetError(
            f"{len(found)} photos are too few: the first two of every hour ask, and none is left to be found; "
            "give more photos, or --protocol leave-one-out"
        )
    return asked, held


def _measure(
    rows: Tensor,
    queries: np.ndarray,
    held: np.ndarray,
    right: np.ndarray,
    out: np.ndarray,
    minutes: np.ndarray,
    depth: int,
    similarity: str,
) -> dict[str, np.ndarray]:
    """Some queries: their hits, the distances of those on the clock, and what there was to be found."""
    found = metrics.neighbours(rows[queries], rows[held], len(held), similarity, out)
    right = right & ~out
    hits = metrics.hits_of(found, right)
    precision = metrics.average_precisions(np.where(found.indices < 0, np.inf, found.distances), hits)
    first = metrics.Found(found.indices[:, :depth], found.distances[:, :depth])
    away = metrics.time_difference(minutes[queries] / 60, minutes[held] / 60)
    return {
        "indices": first.indices,
        "distances": first.distances,
        "hits": hits[:, :depth],
        "away": np.take_along_axis(away, np.maximum(first.indices, 0), 1),
        "precision": precision,
        "positives": right.sum(1),
        "available": (~out).sum(1),
    }


def _metrics(whole: dict[str, np.ndarray], seed: int) -> dict[str, float]:
    hits, found = whole["hits"], metrics.Found(whole["indices"], whole["distances"])
    made: dict[str, float] = {}
    ranks = metrics.first_places(hits)
    for k, value in metrics.recall(hits).items():
        made[f"recall@{k}"] = value
        made[f"recall@{k}_low"], made[f"recall@{k}_high"] = metrics.interval(ranks <= k, seed=seed)
    made |= {f"recall@{k}_published": value for k, value in metrics.published_recall(hits).items()}
    precision = whole["precision"][~np.isnan(whole["precision"])]
    if len(precision):
        made["map"] = float(precision.mean())
        made["map_low"], made["map_high"] = metrics.interval(precision, seed=seed)
    made["ap_first"] = metrics.first_hit_precision(found, hits)
    made["ap_first_published"] = metrics.first_hit_precision(found, hits, published=True)
    known = np.where(whole["indices"] < 0, np.nan, whole["away"])
    made |= {f"mae_hours@{k}": float(np.nanmean(known[:, :k])) for k in (1, 10)}
    made["positives"] = float(whole["positives"].mean())
    return {key: value for key, value in made.items() if not np.isnan(value)}


def _chance(whole: dict[str, np.ndarray]) -> dict[str, float]:
    chance = metrics.chance_recall(whole["positives"], metrics.KS, whole["available"])
    found = {f"recall@{k}": value for k, value in chance.items()}
    found["map"] = float((whole["positives"] / np.maximum(whole["available"], 1)).mean())
    return {key: value for key, value in found.items() if not np.isnan(value)}


def _notes(whole: dict[str, np.ndarray], protocol: str) -> list[str]:
    told = [
        "recall@k_published is what the published code makes of the same hits; it is too low for every k above 1, and "
        "ap_first_published ranks the farthest pairs first."
    ]
    alone = int((whole["positives"] == 0).sum())
    if alone:
        told.append(f"{alone} queries have no photo of their time to be found; they can only be wrong, and count.")
    if protocol == "queries":
        told.append(f"{len(whole['hits'])} queries: one is {1 / len(whole['hits']):.1%} of recall.")
    return told


def _places(found: Measured) -> np.ndarray:
    """Latitude and longitude ``[N, 2]``; NaN, near nothing, where it is not known."""
    captures = [record.capture for record in found.table.records]
    told = [(c.latitude, c.longitude) if c is not None else (None, None) for c in captures]
    return np.array(told, dtype=np.float64).reshape(-1, 2)


def _shown(found: Measured, asked: np.ndarray, held: np.ndarray, whole: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Queries spread over the day with what was found first, as :mod:`telltime.report.evaluation` shows neighbours."""
    order = np.argsort(found.hours[asked], kind="stable")
    picked = order[np.unique(np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).astype(int))]
    rows = []
    for at in picked.tolist():
        hits = []
        for rank in range(min(_HITS, whole["indices"].shape[1])):
            index = int(whole["indices"][at, rank])
            if index < 0:
                continue
            shown = _photo(found, int(held[index]))
            hits.append(shown | {"score": None, "correct": bool(whole["hits"][at, rank])})
        rows.append({"query": _photo(found, int(asked[at])), "hits": hits})
    return rows


def _photo(found: Measured, index: int) -> dict[str, Any]:
    record: Record = found.table.records[index]
    return {"id": record.id, "label": clock_text(found.hours[index]), "frames": thumbnail(record, 96)}


def _per_query(
    found: Measured, asked: np.ndarray, held: np.ndarray, whole: dict[str, np.ndarray]
) -> list[dict[str, Any]]:
    rows = []
    for at, index in enumerate(asked.tolist()):
        best = [int(i) for i in whole["indices"][at, :_HITS] if i >= 0]
        precision = float(whole["precision"][at])
        rows.append(
            {
                "id": found.table.records[index].id,
                "hour": round(float(found.hours[index]), 4),
                "found": [found.table.records[int(held[i])].id for i in best],
                "positives": int(whole["positives"][at]),
                "average_precision": None if np.isnan(precision) else precision,
            }
        )
    return rows
