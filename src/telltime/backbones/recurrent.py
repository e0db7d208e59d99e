"""Recurrent aggregators of frame descriptors, which TCA is compared with."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from telltime.backbones.tca_encoder import check_rows, packed
from telltime.backbones.vlad import dense, filled_up
from telltime.clips.ragged import Ragged


class _Recurrent(nn.Module):
    """A norm over channels, a recurrent network, the mean of its outputs.

    Args:
        dim: length of a frame's descriptor.
        hidden: length of a video's vector and of its encoded frames.
        layers: recurrent layers.
        dropout: between them.
        padded_to: as for :class:`telltime.backbones.vlad.NetVLAD`.
    """

    def __init__(
        self,
        dim: int = 1024,
        hidden: int = 1024,
        layers: int = 2,
        dropout: float = 0.2,
        padded_to: int | None = None,
    ) -> None:
        super().__init__()
        self.dim, self.hidden, self.layers, self.dropout, self.padded_to = dim, hidden, layers, dropout, padded_to
        self.channels = hidden
        self.bn1 = nn.BatchNorm1d(dim)

    def _run(self, network: Any, frames: Ragged) -> tuple[Tensor, Ragged]:
        check_rows(frames, self.dim)
        x = self.bn1(filled_up(frames, self.padded_to if self.training else None))[: len(frames.rows)]
        sequences: PackedSequence = pack_padded_sequence(
            dense(frames.like(x)), frames.lengths, batch_first=True, enforce_sorted=False
        )
        outputs, _ = pad_packed_sequence(network(sequences)[0], batch_first=True)
        encoded = packed(outputs, frames.lengths)
        return F.normalize(encoded.mean(), dim=-1), encoded.like(F.normalize(encoded.rows, dim=-1))


class LSTM(_Recurrent):
    __doc__ = f"Long short-term memory. {_Recurrent.__doc__}"

    def __init__(
        self,
        dim: int = 1024,
        hidden: int = 1024,
        layers: int = 2,
        dropout: float = 0.2,
        padded_to: int | None = None,
    ) -> None:
        super().__init__(dim, hidden, layers, dropout, padded_to)
        self.LSTM = nn.LSTM(dim, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, frames: Ragged) -> tuple[Tensor, Ragged]:
        """Float rows ``[N, dim]`` of ``V`` videos to unit vectors ``[V, hidden]`` and unit frames ``[N, hidden]``."""
        return self._run(self.LSTM, frames)


class GRU(_Recurrent):
    __doc__ = f"Gated recurrent unit. {_Recurrent.__doc__}"

    def __init__(
        self,
        dim: int = 1024,
        hidden: int = 1024,
        layers: int = 2,
        dropout: float = 0.2,
        padded_to: int | None = None,
    ) -> None:
        super().__init__(dim, hidden, layers, dropout, padded_to)
        self.GRU = nn.GRU(dim, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)

    def forward(self, frames: Ragged) -> tuple[Tensor, Ragged]:
        """Float rows ``[N, dim]`` of ``V`` videos to unit vectors ``[V, hidden]`` and unit frames ``[N, hidden]``."""
        return self._run(self.GRU, frames)
