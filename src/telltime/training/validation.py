"""Looking at a method on videos that it is not trained on, every so many epochs."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from telltime.datasets.record import Record, Table

if TYPE_CHECKING:
    import torch


class Validator(ABC):
    """Scores a method on records held out of the training; the model with the best score is kept as the best.

    Args:
        every: epochs between two looks; the last epoch is always looked at.
        share: of the records that are held out, but at least one and not all.
    """

    def __init__(self, every: int = 1, share: float = 0.1) -> None:
        if every < 1 or not 0 < share < 1:
            raise ValueError(f"every is at least 1 and share within (0, 1), not {every} and {share}")
        self.every, self.share = every, share

    @abstractmethod
    def __call__(self, method: Any, records: tuple[Record, ...], seed: int, device: "torch.device") -> dict[str, float]:
        """Numbers of a method that is in evaluation mode; ``score`` is the one that is best when largest."""

    def due(self, epoch: int, epochs: int) -> bool:
        """Whether the epoch that has ended, the first being 0, is looked at."""
        return (epoch + 1) % self.every == 0 or epoch + 1 == epochs

    def split(self, table: Table, seed: int) -> tuple[Table, tuple[Record, ...]]:
        """What is left to train on, and what is held out: by a hash of seed and id, the same on every machine."""
        order = sorted(table.records, key=lambda r: hashlib.blake2b(f"{seed}\0{r.id}".encode()).digest())
        count = min(len(order) - 1, max(1, round(self.share * len(order))))
        if count < 1:
            return table, table.records
        held = {record.id for record in order[:count]}
        records = tuple(record for record in table.records if record.id not in held)
        return replace(table, records=records), tuple(r for r in table.records if r.id in held)
