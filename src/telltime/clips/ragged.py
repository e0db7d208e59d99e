"""Sequences of different lengths in one tensor, one after the other: nothing is padded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """``V`` sequences as one matrix of rows.

    Attributes:
        rows: ``[N, ...]``, the sequences one after the other.
        offsets: int64 ``[V + 1]`` on the host: sequence ``v`` is ``rows[offsets[v]:offsets[v + 1]]``.
    """

    rows: Tensor
    offsets: Tensor

    def __post_init__(self) -> None:
        if self.offsets.ndim != 1 or not len(self.offsets) or int(self.offsets[0]) != 0:
            raise ValueError(f"offsets must be [V + 1] and start at 0, not {self.offsets}")
        if int(self.offsets[-1]) != len(self.rows) or (self.offsets.diff() < 0).any():
            raise ValueError(f"offsets must rise to the {len(self.rows)} rows there are, not {self.offsets}")

    @classmethod
    def of(cls, sequences: Iterable[Tensor]) -> "Ragged":
        """Of sequences ``[n_v, ...]``."""
        held = list(sequences)
        if not held:
            raise ValueError("no sequence: what would the rows look like?")
        return cls(torch.cat(held), offsets_of(torch.tensor([len(one) for one in held])))

    @property
    def lengths(self) -> Tensor:
        """int64 ``[V]`` on the host."""
        return self.offsets.diff()

    @property
    def owners(self) -> Tensor:
        """int64 ``[N]`` on the rows' device: the sequence each row belongs to."""
        return torch.repeat_interleave(torch.arange(len(self)), self.lengths).to(self.rows.device, non_blocking=True)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Tensor:
        if not -len(self) <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        first, last = self.offsets[index % len(self)], self.offsets[index % len(self) + 1]
        return self.rows[first:last]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[index] for index in range(len(self)))

    def take(self, indices: Sequence[int] | Tensor) -> "Ragged":
        """The sequences at ``indices``, in that order, duplicates allowed."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        offsets = offsets_of(self.lengths[chosen])
        within = torch.arange(int(offsets[-1])) - torch.repeat_interleave(offsets[:-1], offsets.diff())
        places = within + torch.repeat_interleave(self.offsets[:-1][chosen], offsets.diff())
        return Ragged(self.rows[places.to(self.rows.device)], offsets)

    def slice(self, first: int, last: int) -> "Ragged":
        """Sequences ``first`` to ``last``, not copied."""
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        return Ragged(self.rows[begin:end], self.offsets[first : last + 1] - begin)

    def like(self, rows: Tensor) -> "Ragged":
        """Other rows ``[N, ...]`` in the same sequences."""
        return Ragged(rows, self.offsets)

    def to(self, *args: object, **kwargs: object) -> "Ragged":
        """Rows on another device or of another dtype; offsets stay on the host."""
        return Ragged(self.rows.to(*args, **kwargs), self.offsets)  # type: ignore[call-overload]

    def mean(self) -> Tensor:
        """``[V, ...]``: each sequence's mean; zero for an empty one."""
        lengths = self.lengths
        if len(self) and int(lengths[0]) and bool((lengths == lengths[0]).all()):
            return self.rows.unflatten(0, (len(self), int(lengths[0]))).mean(1)
        total = self.rows.new_zeros(len(self), *self.rows.shape[1:]).index_add_(0, self.owners, self.rows)
        counts = lengths.clamp(min=1).to(self.rows.device, non_blocking=True)
        return total / counts.view(-1, *(1,) * (total.ndim - 1))


def offsets_of(lengths: Tensor) -> Tensor:
    """int64 ``[V + 1]`` of lengths ``[V]``."""
    return torch.nn.functional.pad(lengths.to(torch.int64).cumsum(0), (1, 0))
