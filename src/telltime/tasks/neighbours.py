"""Nearest-neighbour retrieval: do the videos nearest to a test video show the same action?

TCLR's protocol: the train split is the gallery, the test split asks; the feature of a video is the mean over nine test
positions of the backbone's map averaged over space, four time slices of 512 channels for R3D-18 (2048 numbers),
compared by cosine. A query is right at ``k`` when any of its ``k`` nearest has its class.
"""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from telltime.checkpoints.model import Model
from telltime.datasets.record import Record, Table
from telltime.features.embed import FeatureSet
from telltime.media.errors import MediaError
from telltime.media.video import Video
from telltime.metrics.retrieval import Neighbours, nearest, published_mean, recall_of
from telltime.tasks.measuring import (
    Reading,
    class_name,
    class_notes,
    describe_data,
    describe_model,
    labelled,
    partial_notes,
    some,
)
from telltime.tasks.result import Result

POSITIONS = 9
KS = (1, 5, 10, 20, 50)
_SHOWN, _HITS, _FRAMES = 8, 5, 3


def neighbours(
    model: Model,
    train: Table,
    test: Table,
    reading: Reading | None = None,
    *,
    positions: int = POSITIONS,
    ks: Sequence[int] = KS,
    name: str | None = None,
    seed: int = 0,
) -> Result:
    """Recall at ``ks`` of the test split in the train split.

    Metrics: ``recall@k``. Details: ``neighbours`` of a few queries drawn with ``seed``, ``per_class`` recall@1,
    ``chance``, ``notes``.

    Args:
        reading: see :class:`~telltime.tasks.measuring.Reading`.
        name: what the model is called in the result.
    """
    started, reading = time.monotonic(), reading or Reading()
    train, test = labelled(train), labelled(test)
    gallery, query = (some(reading.embed(model, table, positions)) for table in (train, test))
    found = nearest(query.video(published_mean), gallery.video(published_mean), max(ks))
    recalls = recall_of(found, query.labels, gallery.labels, ks)
    right = gallery.labels[found.indices[:, 0].numpy()] == query.labels
    notes = [*partial_notes((train, test)), *class_notes(gallery.table, query.table, "gallery")]
    if max(ks) > len(gallery):
        notes.append(f"The gallery holds {len(gallery)} videos: recall beyond that is recall of all of it.")
    return Result(
        task="neighbours",
        protocol=f"{positions} positions, cosine",
        metrics={f"recall@{k}": value for k, value in recalls.items()},
        model=describe_model(model, name),
        data=describe_data((train, test)),
        records=len(gallery) + len(query),
        dropped=len(gallery.dropped) + len(query.dropped),
        seconds=time.monotonic() - started,
        details={
            "neighbours": shown_neighbours(query, gallery, found, seed),
            "per_class": {
                test.classes[label]: float(right[query.labels == label].mean()) for label in np.unique(query.labels)
            },
            "chance": {f"recall@{k}": chance(query.labels, gallery.labels, k) for k in ks},
            "notes": notes,
        },
    )


def chance(query_labels: np.ndarray, gallery_labels: np.ndarray, k: int) -> float:
    """Expected recall at ``k`` of a random order of the gallery."""
    size = len(gallery_labels)
    others = np.array([(gallery_labels != label).sum() for label in query_labels], dtype=np.float64)
    missed = np.ones(len(others))
    for drawn in range(min(k, size)):
        missed *= np.clip(others - drawn, 0, None) / (size - drawn)
    return float(1 - missed.mean())


def shown_neighbours(query: FeatureSet, gallery: FeatureSet, found: Neighbours, seed: int) -> list[dict[str, Any]]:
    """A few queries with their nearest videos and some frames of each, for the report."""
    chosen = np.sort(np.random.RandomState(seed).permutation(len(query))[:_SHOWN])
    rows = []
    for index in chosen.tolist():
        record = query.table.records[index]
        hits = []
        for place, score in zip(found.indices[index, :_HITS].tolist(), found.scores[index].tolist(), strict=False):
            hit = gallery.table.records[place]
            hits.append(_shown(gallery.table, hit) | {"score": score, "correct": hit.label == record.label})
        rows.append({"query": _shown(query.table, record), "hits": hits})
    return rows


def _shown(table: Table, record: Record) -> dict[str, Any]:
    return {"id": record.id, "label": class_name(table, record), "frames": still_frames(record)}


def still_frames(record: Record, count: int = _FRAMES, side: int = 96) -> np.ndarray | None:
    """A few frames of a video, evenly spread: uint8 ``[n, 3, h, w]`` RGB; ``None`` when it cannot be read."""
    try:
        video = Video(record.path, span=record.span)
        frames = video.probe().frames
        wanted = np.unique(np.linspace(0, max(frames - 1, 0), count + 2).astype(np.int64)[1:-1])
        return np.ascontiguousarray(video.frames(wanted, partial=True, short_side=side).pixels.numpy())
    except MediaError:
        return None
