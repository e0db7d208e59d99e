"""Limited labels: a share of every class, drawn with a seed."""

import hashlib
import math
from collections import defaultdict
from dataclasses import replace

from telltime.datasets.record import Table


def take_fraction(table: Table, share: float, seed: int = 0) -> Table:
    """The same table with ``share`` of each class's records, at least one of each, in their order; its notes say so.

    Which ones is a function of the seed and the records' ids: a smaller share is part of a larger one, and a video
    that is not on this disk does not change the others' places.

    Args:
        share: more than 0, at most 1; counts round half up.

    Raises:
        ValueError: ``share`` is out of range.
    """
    if not 0 < share <= 1:
        raise ValueError(f"fraction must be more than 0 and at most 1, not {share}")
    members: dict[int | None, list[int]] = defaultdict(list)
    for index, record in enumerate(table.records):
        members[record.label].append(index)
    kept: list[int] = []
    for indices in members.values():
        indices.sort(key=lambda i: _place(seed, table.records[i].id))
        kept += indices[: max(1, math.floor(share * len(indices) + 0.5))]
    note = f"Trained on {share:.4g} of the labels: {len(kept)} of {len(table)} videos, by class, seed {seed}."
    return replace(table.take(sorted(kept)), published=None, notes=(*table.notes, note))


def _place(seed: int, record_id: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{record_id}".encode(), digest_size=16).digest()
