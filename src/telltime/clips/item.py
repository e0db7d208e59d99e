"""How one open video becomes one training item: which frames, which crops, with which random numbers."""

import hashlib
import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from telltime.media.video import Video

Item = dict[str, Tensor]


class ItemReader(Protocol):
    """Makes an item of an open video; picklable, so that workers can have a copy."""

    def __call__(self, video: Video, rng: np.random.RandomState) -> Item:
        """Frames to uint8 clips ``[V, T, 3, S, S]`` under ``"clips"``, and every number drawn for them beside it.

        Raises:
            MediaError: the video cannot give the item.
        """


def item_rng(seed: int, epoch: int, record_id: str) -> np.random.RandomState:
    """The random numbers of one item: a function of seed, epoch and record, and of nothing else.

    So the same item comes out for any number of workers and processes, and after any resume.
    """
    key = hashlib.blake2b(f"{seed}\0{epoch}\0{record_id}".encode(), digest_size=32).digest()
    return np.random.RandomState(np.frombuffer(key, dtype=np.uint32))


def room(item: Item, count: int, shared: bool = False) -> Item:
    """Uninitialised tensors for ``count`` items like this one, each in the memory order of its entry.

    Args:
        shared: in memory that another process can map, so that handing the batch over copies nothing.
    """
    return {key: _room(entry, count, shared) for key, entry in item.items()}


def _room(entry: Tensor, count: int, shared: bool) -> Tensor:
    strides = entry.stride()
    order = sorted(range(entry.ndim), key=lambda d: -strides[d])
    shape = [count, *(entry.shape[d] for d in order)]
    if shared:
        size = math.prod(shape)
        storage = torch.UntypedStorage._new_shared(max(1, size) * entry.element_size())
        flat = torch.empty(0, dtype=entry.dtype).set_(storage, 0, (size,), (1,)).view(shape)
    else:
        flat = torch.empty(shape, dtype=entry.dtype)
    return flat.permute(0, *(1 + order.index(d) for d in range(entry.ndim)))


def collate(items: list[Item]) -> Item:
    """Items to a batch: every entry stacked along a new first axis, its memory order kept."""
    batch = room(items[0], len(items))
    for row, item in enumerate(items):
        put(batch, row, item)
    return batch


def put(batch: Item, row: int, item: Item) -> None:
    """Copy an item into row ``row`` of a batch that :func:`room` made.

    Raises:
        ValueError: the item has other entries or shapes than the first.
    """
    shapes = {key: tuple(entry.shape) for key, entry in item.items()}
    expected = {key: tuple(entry.shape[1:]) for key, entry in batch.items()}
    if shapes != expected:
        raise ValueError(f"items of one batch must have the same entries and shapes, not {expected} and {shapes}")
    for key, entry in item.items():
        batch[key][row].copy_(entry)
