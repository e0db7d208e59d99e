"""Places of two splits on the way to their foreground: encoded, reduced to components, and clustered."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.attention_mask import attention_mask
from telltime.backbones.dense import DenseEncoder
from telltime.datasets.record import DatasetError, Record, Table
from telltime.features.dense import View, drawn_frames, see
from telltime.features.kmeans import centroids, drawn_places, nearest
from telltime.features.principal import ScaledComponents
from telltime.features.spool import Spool
from telltime.tasks.dense import Pictures, deviation, streaming
from telltime.tasks.measuring import Reading

if TYPE_CHECKING:
    from telltime.tasks.foreground import ForegroundSettings


@dataclass
class Places:
    """What is kept of a split; ``n`` is its number of frames.

    Attributes:
        table: whose frames they are.
        learned: the components that features are reduced to; two splits may share them.
        spool: features, float16 ``[n, C, h, w]`` in blocks.
        grid: their components, float16 ``[n, D, h, w]``.
        attention: where the network looks, bool ``[n, h, w]``.
        labels: uint8 ``[n, H, W]``, 255 void.
        clusters: uint8 or uint16 ``[n, h, w]``.
        records: how many there are.
        shown: records for the page, with their rows and frames uint8 ``[m, 3, H, W]``.
    """

    table: Table
    learned: ScaledComponents
    spool: Spool
    grid: Tensor = field(default_factory=lambda: torch.empty(0))
    attention: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    labels: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    shown: list[tuple[Record, slice, np.ndarray]] = field(default_factory=list)
    records: int = 0
    clusters: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint16))


def read_places(
    split: Places, encoder: DenseEncoder, settings: "ForegroundSettings", how: Reading, pictures: Pictures, seed: int
) -> None:
    """Encode a split: its features are set aside, what else is small is kept."""
    view = View(settings.size, settings.masks, deviation(encoder, split.table), attention=True, shown=True)
    attention: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    count = 0
    given = how.told(f"{split.table.split}: features")
    choose = drawn_frames(settings.frames, seed)
    for seen in see(encoder, split.table.records, view, choose, **streaming(how), progress=given):
        assert seen.labels is not None
        assert seen.attention is not None
        assert seen.frames is not None
        split.learned.add(seen.grid.permute(0, 2, 3, 1).flatten(0, 2).cpu())
        split.spool.append(seen.grid.to("cpu", torch.float16).numpy())
        attention.append(attention_mask(seen.attention, settings.share)[:, 0].cpu().numpy())
        labels.append(seen.labels)
        if pictures.wants(seen.record):
            split.shown.append((seen.record, slice(count, count + len(seen.labels)), seen.frames.numpy()))
        count += len(seen.labels)
        split.records += 1
    if not split.records:
        raise DatasetError(f"not one of {len(split.table)} {split.table.split} records with masks could be read")
    split.attention, split.labels = np.concatenate(attention), np.concatenate(labels)


def reduce_places(learning: Places, asked: Places) -> Tensor:
    """Components of both splits one after the other, float16 ``[n, D, h, w]``; either split has its part."""
    counts = [len(split.labels) for split in (learning, asked)]
    both = torch.empty(0)
    at = 0
    for split in (learning, asked):
        for block in split.spool:
            grid = split.learned.grid(torch.from_numpy(block).float())
            if not at:
                both = torch.empty(sum(counts), *grid.shape[1:], dtype=torch.float16)
            both[at : at + len(grid)] = grid
            at += len(grid)
    learning.grid, asked.grid = both.split(counts)
    return both


def cluster_places(learning: Places, asked: Places, both: Tensor, settings: "ForegroundSettings") -> None:
    """Cluster of every place of both splits, uint16 ``[n, h, w]``."""
    size = (int(both.shape[2]), int(both.shape[3]))
    groups = [(both, [learning, asked])] if settings.joint else [(learning.grid, [learning]), (asked.grid, [asked])]
    for every, group in groups:
        points = drawn_places(every, size, settings.points * settings.k, 1, smooth=False)
        if settings.spherical:
            points = torch.nn.functional.normalize(points, dim=1)
        means = centroids(points, settings.k, settings.iterations, settings.restarts, 1, settings.spherical)
        for split in group:
            split.clusters = nearest(split.grid, means, size, smooth=False)
