"""How one open video becomes one training item: which frames, which crops, with which random numbers."""

import hashlib
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


def collate(items: list[Item]) -> Item:
    """Items to a batch: every entry stacked along a new first axis."""
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}
