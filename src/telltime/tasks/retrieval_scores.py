"""Scores of a retrieval set's queries and gallery, from frame descriptors that are kept or made for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from telltime.checkpoints.describer import Describer
from telltime.clips.ragged import Ragged
from telltime.datasets.record import DatasetError, Record
from telltime.datasets.retrieval import RetrievalSet
from telltime.features.describe import describe_table
from telltime.features.frame_source import Frames, blocks, holds_rows, listed_videos, matched, open_rows
from telltime.metrics.video_retrieval import Scores
from telltime.search import similarity as compare
from telltime.tasks.measuring import Reading

SIMILARITIES = ("symmetric-chamfer", "chamfer", "cosine", "euclidean", "cosine-legacy", "euclidean-legacy")
_OF_VECTORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": compare.cosine,
    "euclidean": compare.euclidean,
    "cosine-legacy": compare.cosine_legacy,
    "euclidean-legacy": compare.euclidean_legacy,
}
_OF_FRAMES: dict[str, Callable[[Ragged, Ragged], Tensor]] = {
    "chamfer": compare.chamfer,
    "symmetric-chamfer": compare.symmetric_chamfer,
}


@dataclass(frozen=True)
class Collection:
    """Frame descriptors of a set's videos.

    Attributes:
        frames: where the rows are.
        names: the set's ids that have rows, to the ids they are kept under.
        videos: files of the videos, where they are at hand.
        dropped: how many files could not be read.
        notes: sentences on what was found.
    """

    frames: Frames
    names: dict[str, str]
    videos: dict[str, Record]
    dropped: int = 0
    notes: tuple[str, ...] = ()


def collect(describer: Describer | None, given: RetrievalSet, root: str | Path, reading: Reading) -> Collection:
    """Frame descriptors of a set's videos: those in a store or HDF5 file, or of the videos below a folder.

    Args:
        describer: ``None`` takes the rows of a store or HDF5 file as they are.

    Raises:
        DatasetError: not one query or video of the set is there.
        StoreError, MediaError, TooManyDropped: rows or videos cannot be read.
    """
    root = Path(root).expanduser()
    if not root.exists():
        raise DatasetError(f"there is no {root}; --root names a folder of videos or of descriptors, or an HDF5 file")
    videos: dict[str, Record] = {}
    dropped = 0
    frames: Frames
    notes: tuple[str, ...] = ()
    if holds_rows(root):
        frames = open_rows(root, describer.settings() if describer else None)
    elif describer is None:
        raise DatasetError(f"{root} holds videos: give a MODEL that describes them")
    else:
        table = listed_videos(root, given.ids, given.name)
        if not table.records:
            raise DatasetError(
                f"none of the {len(given.ids)} videos of {given.name} is below {root}; {_example(given)}"
            )
        frames = describe_table(
            describer,
            table,
            reading.cache / "frames" if reading.cache else None,
            reading.policy,
            reading.workers,
            limits=reading.limits,
            device=reading.place(),
            progress=reading.told("frame descriptors"),
        )
        videos, notes = {record.id: record for record in table.records}, table.notes
        dropped = len(videos.keys() - set(frames.ids))
    names = matched(frames, given.ids)
    if not any(query in names for query in given.queries) or not any(video in names for video in given.gallery):
        raise DatasetError(
            f"{root} has no descriptors of a query, or none of a gallery video, of {given.name}; {_example(given)}"
        )
    return Collection(frames, names, videos, dropped, notes)


def score(
    describer: Describer | None,
    given: RetrievalSet,
    collection: Collection,
    similarity: str = "symmetric-chamfer",
    comparator: torch.nn.Module | None = None,
    reading: Reading | None = None,
) -> Scores:
    """Similarities of all queries and gallery videos that have descriptors, a block of the gallery at a time.

    Args:
        similarity: one of :data:`SIMILARITIES`.
        comparator: refines the frame similarities that chamfer and symmetric-chamfer are made of.

    Raises:
        ValueError: another similarity, or a comparator with one of vectors.
    """
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity is one of {', '.join(SIMILARITIES)}, not {similarity!r}")
    reading = reading or Reading()
    queries, gallery = ([v for v in ids if v in collection.names] for ids in (given.queries, given.gallery))
    of_frames = _frames_way(similarity, comparator)
    asked, asked_frames, asked_vectors = _encoded(describer, collection, queries, reading)
    values = np.empty((len(asked), len(gallery)), dtype=np.float32)
    there: list[int] = []
    told = reading.told("comparing")
    for places, rows in blocks(collection.frames, [collection.names[video] for video in gallery]):
        frames, vectors = _encode(describer, rows)
        if of_frames is not None:
            found = of_frames(asked_frames, frames)
        else:
            found = _OF_VECTORS[similarity](asked_vectors, vectors)
        values[:, places] = found.cpu().numpy()
        there += places
        if told:
            told(places[-1] + 1, len(gallery))
    return Scores(
        tuple(queries[at] for at in asked),
        tuple(gallery[at] for at in there),
        values if len(there) == len(gallery) else values[:, there],
    )


def _frames_way(similarity: str, comparator: torch.nn.Module | None) -> Callable[[Ragged, Ragged], Tensor] | None:
    if comparator is None:
        return _OF_FRAMES.get(similarity)
    if similarity not in _OF_FRAMES:
        raise ValueError(f"a comparator compares frames: it goes with chamfer or symmetric-chamfer, not {similarity}")
    return partial(compare.comparator_chamfer, comparator=comparator, symmetric=similarity.startswith("symmetric"))


def _encode(describer: Describer | None, rows: Ragged) -> tuple[Ragged, Tensor]:
    """Final rows and vectors of rows as they are kept."""
    if describer is None or describer.encoder is None:
        unit = rows.like(normalize(rows.rows.float(), dim=-1))
        return unit, normalize(unit.mean(), dim=-1)
    if rows.rows.shape[1] != describer.dim:
        raise DatasetError(f"the rows have {rows.rows.shape[1]} numbers, the model's encoder takes {describer.dim}")
    return describer.encode(rows)


def _encoded(
    describer: Describer | None, collection: Collection, queries: Sequence[str], reading: Reading
) -> tuple[list[int], Ragged, Tensor]:
    """Places of the queries that have rows, their rows and vectors, where the comparing is to be done."""
    places: list[int] = []
    frames: list[Tensor] = []
    vectors: list[Tensor] = []
    for some, rows in blocks(collection.frames, [collection.names[query] for query in queries]):
        encoded, found = _encode(describer, rows)
        places += some
        frames += list(encoded)
        vectors.append(found)
    if not places:
        raise DatasetError("not one query has a frame that could be described")
    return places, Ragged.of(frames).to(reading.place()), torch.cat(vectors).to(reading.place())


def _example(given: RetrievalSet) -> str:
    return f"expected names such as {given.queries[0] if given.queries else given.gallery[0]}"
