"""What a network says of every clip of a split, each video once however many processes share the work."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from telltime.checkpoints.model import Model
from telltime.clips.item import ItemReader
from telltime.clips.loader import ClipLoader
from telltime.datasets.record import DatasetError, Table
from telltime.features.policy import TablePolicy
from telltime.tasks.measuring import Reading

Said = dict[str, Tensor]


@dataclass(frozen=True)
class Outputs:
    """What was said of the videos of a table that could be read, in the table's order.

    Attributes:
        table: their records.
        values: each ``[N, ...]``, on the host.
        dropped: how many could not be read.
    """

    table: Table
    values: Said
    dropped: int

    def __len__(self) -> int:
        return len(self.table)


def clip_outputs(
    model: Model, table: Table, reader: ItemReader, reading: Reading, say: Callable[[Said, Table], Said]
) -> Outputs:
    """Read every video of a table once and keep what ``say`` makes of it.

    With several processes (``torchrun``) each reads its share, no video twice, and all get all values.

    Args:
        reader: gives ``clips`` uint8 RGB ``[P, T, 3, S, S]`` and ``present`` ``[P]``.
        say: called with a batch as the loader gives it and the records of its rows; its tensors ``[B, ...]`` are kept.

    Raises:
        DatasetError: not one video could be read.
        MediaError, TooManyDropped: as the policy of ``reading`` says.
    """
    rank, world = processes()
    model.to(reading.place()).eval()
    policy = TablePolicy(reading.policy, len(table))
    views = int(getattr(reader, "views", getattr(reader, "positions", 1))) * int(getattr(reader, "crops", 1))
    videos = max(1, reading.batch // views) * world
    loader = ClipLoader(
        table.records,
        reader,
        videos,
        seed=0,
        workers=reading.workers,
        policy=policy,
        limits=reading.limits,
        shuffle=False,
        rank=rank,
        world=world,
    )
    found: dict[int, Said] = {}
    told = reading.told(f"{table.split}: clips")
    batches = loader.epoch(0)
    for batch in batches:
        rows = batch["index"].tolist()
        if rows:
            said = {name: value.cpu() for name, value in say(batch, table.take(rows)).items()}
            found |= {row: {name: value[i] for name, value in said.items()} for i, row in enumerate(rows)}
        if told:
            told(min(batches.position * videos, len(table)), len(table))
    found = gathered(found)
    rows = sorted(found)
    if not rows:
        raise DatasetError(f"not one of {len(table)} {table.split} videos could be read")
    values = {name: torch.stack([found[row][name] for row in rows]) for name in found[rows[0]]}
    return Outputs(table.take(rows), values, len(table) - len(rows))


def processes() -> tuple[int, int]:
    """Which process this is, and how many measure together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def gathered(found: dict[int, Said]) -> dict[int, Said]:
    """What every process found, by row of the table.

    Raises:
        ValueError: two processes found the same row.
    """
    if processes()[1] == 1:
        return found
    parts: list[Any] = [None] * processes()[1]
    dist.all_gather_object(parts, found, group=dist.new_group(backend="gloo"))
    joined: dict[int, Said] = {}
    for part in parts:
        if twice := joined.keys() & part.keys():
            raise ValueError(f"video {min(twice)} was measured twice")
        joined |= part
    return joined


def is_first() -> bool:
    """Whether this process writes results; also before processes have met."""
    return int(os.environ.get("RANK", "0")) == 0
