"""The first stage of a search: the nearest vectors of very many, approximately.

Inverted lists over product-quantised vectors (IVF-PQ; Jegou et al., TPAMI 2011), kept by LanceDB beside the vectors
themselves, from which the best candidates' distances are computed anew. Below some hundred thousand vectors nothing is
built and every vector is looked at.
"""

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

BUILT_FROM = 200_000
"""Vectors from which a search structure is worth its building."""

_COLUMN = "vector"


class Nearest(NamedTuple):
    """What was found for each query.

    Attributes:
        numbers: int64 ``[Q, k]``, best first; -1 where there were fewer.
        similarity: float32 ``[Q, k]``, cosine of unit vectors; -1 where there were fewer.
    """

    numbers: np.ndarray
    similarity: np.ndarray


class FirstStage:
    """Search in one LanceDB table with columns ``number`` (int64) and ``vector`` (float32 ``[D]``, L2-normalised).

    Args:
        table: LanceDB's table.
        probes: share of the lists that is looked at; by default as many as were seen to find 99 of 100.
        refine: candidates whose true distance is computed, as a multiple of those asked for.
    """

    def __init__(self, table: Any, probes: float = 0.05, refine: int = 20) -> None:
        self._table, self._probes, self._refine = table, probes, refine
        self._lists = 0

    @property
    def built(self) -> bool:
        """Whether there is a search structure."""
        return any(_COLUMN in index.columns for index in self._table.list_indices())

    def build(self) -> None:
        """Build the structure, in place of one that is there."""
        from lancedb.index import IvfPq

        rows = self._table.count_rows()
        size = int(self._table.schema.field(_COLUMN).type.list_size)
        config = IvfPq(distance_type="l2", num_partitions=partitions(rows), num_sub_vectors=_parts(size))
        self._table.create_index(_COLUMN, config=config, replace=True)

    def nearest(self, queries: np.ndarray, k: int) -> Nearest:
        """The ``k`` nearest rows of each query.

        Args:
            queries: ``[Q, D]``, L2-normalised.
        """
        self._lists = self._lists or partitions(self._table.count_rows())
        asked = np.ascontiguousarray(queries, dtype=np.float32)
        if len(asked) == 1:
            asked = asked[0]  # LanceDB plans a single query more simply, some milliseconds faster
        search = self._table.search(asked, vector_column_name=_COLUMN)
        search = search.distance_type("l2").nprobes(max(10, math.ceil(self._probes * self._lists)))
        search = search.refine_factor(self._refine).limit(k).select(["number", "_distance"])
        return _nearest(search.to_arrow(), len(queries), k)


def partitions(rows: int) -> int:
    """How many lists the vectors are sorted into: the root of their number."""
    return max(1, round(math.sqrt(rows)))


def _parts(size: int) -> int:
    """Sub-vectors of eight numbers, or of the next fewer that divide the vector."""
    width = next(width for width in range(min(8, size), 0, -1) if size % width == 0)
    return size // width


def _nearest(found: "pa.Table", queries: int, k: int) -> Nearest:
    numbers = np.full((queries, k), -1, dtype=np.int64)
    similarity = np.full((queries, k), -1, dtype=np.float32)
    names = found.column_names
    of = found["query_index"].to_numpy() if "query_index" in names else np.zeros(found.num_rows, dtype=np.int64)
    rows, distance = found["number"].to_numpy(), found["_distance"].to_numpy()
    order = np.lexsort((rows, distance, of))
    of, rows, distance = of[order], rows[order], distance[order]
    place = np.arange(len(of)) - np.searchsorted(of, of)
    numbers[of, place], similarity[of, place] = rows, 1 - distance / 2
    return Nearest(numbers, similarity)
