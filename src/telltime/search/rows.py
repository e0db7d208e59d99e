"""How videos lie in tables: one row a video, its frames packed in half precision."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from telltime.clips.ragged import Ragged, offsets_of
from telltime.search.changes import Known

if TYPE_CHECKING:
    import pyarrow as pa

VIDEOS = "videos"
"""The table of what was described: path, marks, frame times, and rows as the network gives them."""

FACTS = ("number", "path", "stamp", "digest", "seconds", "frames")


def videos_schema() -> "pa.Schema":
    """Columns of :data:`VIDEOS`."""
    import pyarrow as pa

    return pa.schema(
        [
            ("number", pa.int64()),
            ("path", pa.binary()),  # file names are bytes
            ("stamp", pa.string()),
            ("digest", pa.string()),
            ("seconds", pa.float64()),
            ("frames", pa.int32()),
            ("times", pa.large_binary()),  # float64 [frames]
            ("rows", pa.large_binary()),  # float16 [frames, D]
        ]
    )


def rows_schema(size: int) -> "pa.Schema":
    """Columns of the table of final rows: what searches compare."""
    import pyarrow as pa

    return pa.schema(
        [
            ("number", pa.int64()),
            ("frames", pa.int32()),
            ("vector", pa.list_(pa.float32(), size)),
            ("rows", pa.large_binary()),  # float16 [frames, D']
        ]
    )


def frames_schema(size: int) -> "pa.Schema":
    """Columns of the table of single frames; ``number`` is their video's."""
    import pyarrow as pa

    return pa.schema([("number", pa.int64()), ("vector", pa.list_(pa.float32(), size))])


@dataclass(frozen=True)
class Entry:
    """A described video on its way into the table."""

    known: Known
    times: np.ndarray
    rows: Tensor


def pack_videos(entries: Sequence[Entry]) -> "pa.Table":
    """Rows of :data:`VIDEOS`."""
    import pyarrow as pa

    facts: dict[str, list[Any]] = {name: [getattr(e.known, name) for e in entries] for name in FACTS}
    facts["path"] = [os.fsencode(path) for path in facts["path"]]
    facts["times"] = [np.asarray(e.times, dtype=np.float64).tobytes() for e in entries]
    facts["rows"] = [half(e.rows).tobytes() for e in entries]
    return pa.table(facts, schema=videos_schema())


def pack_rows(numbers: Sequence[int], rows: Ragged, vectors: Tensor) -> "pa.Table":
    """Rows of the table of final rows."""
    import pyarrow as pa

    packed = half(rows.rows)
    cuts = rows.offsets.tolist()
    flat = pa.array(vectors.float().contiguous().view(-1).numpy())
    return pa.table(
        {
            "number": pa.array(numbers, pa.int64()),
            "frames": pa.array(rows.lengths.to(torch.int32).numpy()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            "rows": pa.array([packed[first:last].tobytes() for first, last in pairwise(cuts)], pa.large_binary()),
        },
        schema=rows_schema(vectors.shape[1]),
    )


def pack_frames(numbers: np.ndarray, rows: Tensor) -> "pa.Table":
    """Rows of the table of single frames."""
    import pyarrow as pa

    flat = pa.array(rows.float().contiguous().view(-1).numpy())
    vectors = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    return pa.table({"number": pa.array(numbers, pa.int64()), "vector": vectors}, schema=frames_schema(rows.shape[1]))


def pack_stamps(stamps: Mapping[int, str]) -> "pa.Table":
    """New stamps by number, for rows of :data:`VIDEOS` that are there."""
    import pyarrow as pa

    columns = {"number": pa.array(stamps, pa.int64()), "stamp": pa.array(stamps.values(), pa.string())}
    return pa.table(columns)


def facts(table: "pa.Table") -> dict[str, Known]:
    """The videos of a table with the columns :data:`FACTS`, by path; of several at one path the latest."""
    held = {name: table[name].to_pylist() for name in FACTS}
    found: dict[str, Known] = {}
    for values in sorted(zip(*held.values(), strict=True)):
        number, path, *rest = values
        found[os.fsdecode(path)] = Known(number, os.fsdecode(path), *rest)
    return found


def unpack(table: "pa.Table") -> Ragged:
    """Packed rows of videos, float16 ``[N, D]``, in the table's order.

    Raises:
        ValueError: they are not as long as the table says.
    """
    return unpack_columns(table["frames"].to_pylist(), table["rows"].to_pylist())


def unpack_columns(frames: Sequence[int], rows: Sequence[bytes]) -> Ragged:
    """The same from columns."""
    offsets = offsets_of(torch.tensor(list(frames), dtype=torch.int64))
    flat = np.frombuffer(b"".join(rows), dtype=np.float16)
    count = int(offsets[-1])
    if count == 0 or len(flat) % count:
        raise ValueError("packed rows do not have the length they should have")
    return Ragged(torch.from_numpy(flat.reshape(count, -1).copy()), offsets)


def half(rows: Tensor) -> np.ndarray:
    """float16, numbers beyond its range cut to it."""
    return rows.detach().cpu().float().clamp(-65504, 65504).to(torch.float16).contiguous().numpy()


def times_of(packed: Mapping[str, Any]) -> np.ndarray:
    """float64 ``[frames]`` of a packed row."""
    return np.frombuffer(packed["times"], dtype=np.float64)
