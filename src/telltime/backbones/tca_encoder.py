"""The encoder of Temporal Context Aggregation: frames of a video in context of each other, without positions.

Source: Shao, Wen, Zhao, Xue, "Temporal Context Aggregation for Video Retrieval with Contrastive Learning", WACV 2021.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.products import linear
from telltime.clips.ragged import Ragged, offsets_of

LONGEST_SHARE = 0.75
"""Sequences attend together when the shortest has at least this share of the longest one's length."""

BLOCK_ROWS = 16384
"""Rows that attend together at most, one long sequence excepted: it bounds the memory of scores."""


class TCAEncoder(nn.Module):
    """Post-norm transformer layers over packed sequences of frame descriptors.

    There are no positions: the vector does not depend on the order of frames, and the encoded frames follow it. Nothing
    is padded but inside attention, where sequences of nearly one length go together. State-dict keys are those of the
    published files (``transformer_encoder.layers.{i}.*``).

    Args:
        dim: length of a descriptor, a multiple of ``heads``; the output has the same.
        layers: how many; all start with the same weights, as published.
        heads: attention heads.
        feedforward: width of the two-layer network in each layer.
        dropout: of attention weights and of both branches, while training.
        final_norm: a LayerNorm after the last layer, as the coarse student of Distill-and-Select has it.
        start: ``"published"`` initialises as PyTorch does; ``"identity"`` starts both branches at zero, so that an
            untrained encoder gives back its descriptors, centred and scaled.
    """

    def __init__(
        self,
        dim: int = 1024,
        layers: int = 1,
        heads: int = 8,
        feedforward: int = 2048,
        dropout: float = 0.1,
        final_norm: bool = False,
        start: Literal["published", "identity"] = "published",
    ) -> None:
        super().__init__()
        if min(dim, layers, heads, feedforward) < 1 or dim % heads:
            raise ValueError(f"impossible {dim=}, {layers=}, {heads=}, {feedforward=}: dim is a multiple of heads")
        if start not in ("published", "identity"):
            raise ValueError(f'start is "published" or "identity", not {start!r}')
        self.dim, self.layers, self.heads, self.feedforward = dim, layers, heads, feedforward
        self.dropout, self.final_norm, self.start = dropout, final_norm, start
        layer = nn.TransformerEncoderLayer(dim, heads, feedforward, dropout)
        norm = nn.LayerNorm(dim) if final_norm else None
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)
        if start == "identity":
            for one in self.transformer_encoder.layers:
                nn.init.zeros_(one.self_attn.out_proj.weight)
                nn.init.zeros_(one.linear2.weight)
                nn.init.zeros_(one.linear2.bias)

    @property
    def channels(self) -> int:
        """Length of a video's vector and of an encoded frame."""
        return self.dim

    def forward(self, frames: Ragged) -> tuple[Tensor, Ragged]:
        """Encode videos.

        Args:
            frames: float rows ``[N, dim]`` of ``V`` videos.

        Returns:
            Unit vectors ``[V, dim]``: the mean of a video's encoded frames, normalised. And the encoded frames
            ``[N, dim]``, each of unit length.

        Raises:
            ValueError: a video without frames, or rows of another length.
        """
        check_rows(frames, self.dim)
        starts, lengths = frames.offsets[:-1], frames.lengths
        places = [_Places(starts[block], lengths[block], frames.rows.device) for block in _blocks(lengths)]
        x = frames.rows
        for layer in self.transformer_encoder.layers:
            a = layer.self_attn
            attended = self._attend(linear(x, a.in_proj_weight, a.in_proj_bias), places)
            attended = linear(attended, a.out_proj.weight, a.out_proj.bias)
            x = layer.norm1(x + F.dropout(attended, self.dropout, self.training))
            fed = linear(x, layer.linear1.weight, layer.linear1.bias).relu_()
            fed = F.dropout(fed, self.dropout, self.training)
            fed = linear(fed, layer.linear2.weight, layer.linear2.bias)
            x = layer.norm2(x + F.dropout(fed, self.dropout, self.training))
        if self.transformer_encoder.norm is not None:
            x = self.transformer_encoder.norm(x)
        x = x if x.dtype == torch.float64 else x.float()
        encoded = frames.like(x)
        return F.normalize(encoded.mean(), dim=-1), frames.like(F.normalize(x, dim=-1))

    def _attend(self, projected: Tensor, places: list["_Places"]) -> Tensor:
        """Queries, keys and values ``[N, 3 * dim]`` to attended rows ``[N, dim]``, block of sequences by block."""
        attended = []
        dropout = self.dropout if self.training else 0.0
        for at in places:
            taken = projected.index_select(0, at.rows.flatten()).unflatten(0, at.rows.shape)
            q, k, v = taken.unflatten(-1, (3, self.heads, self.dim // self.heads)).permute(2, 0, 3, 1, 4)
            out = F.scaled_dot_product_attention(q, k, v, at.mask, dropout_p=dropout)
            attended.append(out.transpose(1, 2).flatten(2).flatten(0, 1)[at.back])
        return torch.cat(attended)[_order(places)]


class _Places:
    """Where the sequences of one block lie.

    Attributes:
        rows: int64 ``[G, L]``, row of every position; positions past a sequence's end repeat its last row.
        mask: bool ``[G, 1, 1, L]``, which positions count; None when all do.
        back: the positions of the flattened block that count, a slice or int64 ``[n]``.
        flat: int64 ``[n]`` on the host, the rows they are.
    """

    def __init__(self, starts: Tensor, lengths: Tensor, device: torch.device) -> None:
        longest = int(lengths.max())
        steps = torch.arange(longest)
        valid = steps < lengths[:, None]
        rows = starts[:, None] + torch.minimum(steps, lengths[:, None] - 1)
        self.flat = rows[valid]
        self.rows = rows.to(device, non_blocking=True)
        self.mask = None if valid.all() else valid[:, None, None, :].to(device, non_blocking=True)
        self.back: Tensor | slice = slice(None)
        if self.mask is not None:
            self.back = valid.flatten().nonzero().flatten().to(device, non_blocking=True)


def _order(places: list[_Places]) -> Tensor | slice:
    """int64 ``[N]``: where the blocks' rows, one after the other, have each row of the batch."""
    flat = torch.cat([at.flat for at in places])
    if len(places) == 1 and (flat == torch.arange(len(flat))).all():
        return slice(None)
    return torch.empty_like(flat).scatter_(0, flat, torch.arange(len(flat))).to(places[0].rows.device)


def _blocks(lengths: Tensor) -> list[Tensor]:
    """Indices of sequences that attend together: of nearly one length, and not too many rows."""
    order = lengths.argsort(descending=True, stable=True)
    blocks: list[list[int]] = []
    longest = rows = 0
    for index, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        if not blocks or length < LONGEST_SHARE * longest or rows + longest > BLOCK_ROWS:
            blocks.append([])
            longest, rows = length, 0
        blocks[-1].append(index)
        rows += longest
    return [torch.tensor(sorted(block)) for block in blocks]


def check_rows(frames: Ragged, dim: int) -> None:
    """Raise ValueError if a sequence is empty or rows are not ``[N, dim]``."""
    if frames.rows.ndim != 2 or frames.rows.shape[1] != dim:
        raise ValueError(f"descriptors must be [N, {dim}], not {list(frames.rows.shape)}")
    if len(frames) == 0 or int(frames.lengths.min()) == 0:
        empty = (frames.lengths == 0).nonzero().flatten().tolist()[:5]
        raise ValueError(f"videos without frames cannot be encoded: {empty or 'there is no video'}")


def packed(padded: Tensor, lengths: Tensor) -> Ragged:
    """Padded sequences ``[V, T, D]`` without their padding; lengths above ``T`` mean all of it."""
    counts = lengths.flatten().to("cpu", torch.int64).clamp(max=padded.shape[1])
    valid = torch.arange(padded.shape[1]) < counts[:, None]
    return Ragged(padded[valid.to(padded.device)], offsets_of(counts))
