"""A ring of vectors that serve as negatives long after their batch has gone."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NOBODY = -2
_EMPTY = -1


class NegativeBank(nn.Module):
    """The last ``size`` keys, written round and round; all of it is saved with the state.

    Until keys have come to a slot it holds a random unit vector.

    Args:
        size: how many keys are kept.
        dim: their length.
    """

    keys: Tensor
    owners: Tensor
    pointer: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 0 or dim < 1:
            raise ValueError(f"impossible {size=}, {dim=}")
        self.size, self.dim = size, dim
        self.register_buffer("keys", F.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("owners", torch.full((size,), _EMPTY))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))
        self._warned = False

    def usable(self, related: Tensor | None = None, masked: bool = False) -> Tensor:
        """Which keys may serve as negatives, bool ``[n, size]``, or ``[1, size]`` without ``related``.

        Args:
            related: int64 ``[n, m]``, owners that an anchor must not be told apart from, its own among them.
            masked: leave out slots that no key has come to.
        """
        kept = self.owners != _EMPTY if masked else torch.ones_like(self.owners, dtype=torch.bool)
        return kept[None] if related is None else kept & apart(related, self.owners)

    @torch.no_grad()
    def write(self, keys: Tensor, owners: Tensor | None = None) -> None:
        """Write ``[n, dim]`` over the oldest keys; of more than ``size`` only the last are kept.

        Args:
            owners: int64 ``[n]``, at least 0: what each key shows.
        """
        count = len(keys)
        if 2 * count > self.size and not self._warned:
            self._warned = True
            warnings.warn(
                f"each step replaces {count} of the bank's {self.size} negatives: a larger bank or smaller batches "
                "would keep them for longer",
                stacklevel=2,
            )
        if not self.size:
            return
        places = torch.arange(max(0, count - self.size), count, device=self.keys.device)
        ring = (self.pointer + places) % self.size
        shown = torch.full((count,), _NOBODY) if owners is None else owners
        self.keys.index_copy_(0, ring, keys[places].to(self.keys))
        self.owners.index_copy_(0, ring, shown.to(self.owners)[places])
        self.pointer.copy_((self.pointer + count) % self.size)


def apart(related: Tensor, owners: Tensor) -> Tensor:
    """bool ``[n, k]``: whether each of ``owners`` ``[k]`` is none of an anchor's ``related`` ``[n, m]``."""
    return (related[:, :, None] != owners).all(1)
