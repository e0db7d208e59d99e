"""Residuals to cluster centres, summed over a video's frames: the aggregators TCA is compared with.

Sources: Arandjelovic et al., "NetVLAD", CVPR 2016, with the gated head of Miech, Laptev, Sivic, 2017; Lin, Xiao, Fan,
"NeXtVLAD", 2018. Both give, beside a video's vector, one unit row for every cluster in place of encoded frames.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.tca_encoder import check_rows
from telltime.clips.ragged import Ragged, offsets_of


class _Head(nn.Module):
    """What both have after their residuals: norm, a layer down, a gate. Keys lie at the top level, as published."""

    def __init__(self, flat: int, out: int, gating: int, dropout: float) -> None:
        super().__init__()
        self.bn2 = nn.BatchNorm1d(flat)
        self.fc1 = nn.Linear(flat, out)
        self.bn3 = nn.BatchNorm1d(out)
        self.fc2 = nn.Linear(out, out // gating)
        self.bn4 = nn.BatchNorm1d(out // gating)
        self.fc3 = nn.Linear(out // gating, out)
        self.drop = nn.Dropout(dropout)

    def _finish(self, residuals: Tensor) -> tuple[Tensor, Ragged]:
        """Residuals ``[V, K, C]`` to unit vectors ``[V, out]`` and ``K`` unit rows a video."""
        rows = F.normalize(residuals, dim=-1)
        x = self.bn3(self.fc1(self.drop(self.bn2(rows.flatten(1)))))
        gate = torch.sigmoid(self.fc3(F.relu(self.bn4(self.fc2(x)))))
        videos, clusters, _ = rows.shape
        return F.normalize(x * gate, dim=-1), Ragged(rows.flatten(0, 1), offsets_of(torch.full((videos,), clusters)))


class NetVLAD(_Head):
    """NetVLAD with soft assignment by a linear layer, and a gated output.

    Args:
        dim: length of a frame's descriptor.
        clusters: how many centres.
        out: length of a video's vector.
        normalize: bring frames to unit length first.
        alpha: sharpness of the first assignment.
        dropout: before the layer down.
        gating: the gate's bottleneck is this many times narrower than ``out``.
        padded_to: count every training video as filled up with zero frames to this many in the statistics of the first
            norm, as the published code did; ``None`` counts real frames only.
    """

    def __init__(
        self,
        dim: int = 1024,
        clusters: int = 256,
        out: int = 1024,
        normalize: bool = True,
        alpha: float = 1.0,
        dropout: float = 0.5,
        gating: int = 8,
        padded_to: int | None = None,
    ) -> None:
        super().__init__(clusters * dim, out, gating, dropout)
        self.dim, self.clusters, self.out, self.normalize = dim, clusters, out, normalize
        self.alpha, self.dropout, self.gating, self.padded_to = alpha, dropout, gating, padded_to
        self.channels = out
        self.bn1 = nn.BatchNorm1d(dim)
        self.conv = nn.Conv1d(dim, clusters, 1)
        self.centroids = nn.Parameter(torch.rand(clusters, dim))
        with torch.no_grad():
            self.conv.weight.copy_(2 * alpha * self.centroids[..., None])
            self.conv.bias.copy_(-alpha * self.centroids.norm(dim=1))  # type: ignore[union-attr]

    def forward(self, frames: Ragged) -> tuple[Tensor, Ragged]:
        """Float rows ``[N, dim]`` of ``V`` videos to unit vectors ``[V, out]`` and ``clusters`` unit rows a video."""
        check_rows(frames, self.dim)
        x = self.bn1(filled_up(frames, self.padded_to if self.training else None))[: len(frames.rows)]
        x = F.normalize(x, dim=-1) if self.normalize else x
        share = F.softmax(F.linear(x, self.conv.weight[..., 0], self.conv.bias), dim=-1)
        weights, values = dense(frames.like(share)), dense(frames.like(x))
        total = weights.transpose(1, 2) @ values
        return self._finish(total - self.centroids * weights.sum(1)[..., None])


class NeXtVLAD(_Head):
    """NeXtVLAD: frames are brought to unit length, widened, split into groups that attend, and assigned group by group.

    Args:
        dim, clusters, out, dropout, gating, padded_to: as for :class:`NetVLAD`.
        expansion: how many times wider frames become.
        groups: how many they are split into.
    """

    def __init__(
        self,
        dim: int = 1024,
        clusters: int = 64,
        out: int = 1024,
        expansion: int = 2,
        groups: int = 8,
        dropout: float = 0.5,
        gating: int = 8,
        padded_to: int | None = None,
    ) -> None:
        wide = expansion * dim
        super().__init__(clusters * wide // groups, out, gating, dropout)
        self.dim, self.clusters, self.out, self.expansion, self.groups = dim, clusters, out, expansion, groups
        self.dropout, self.gating, self.padded_to = dropout, gating, padded_to
        self.channels = out
        self.conv1 = nn.Conv1d(dim, wide, 1)
        self.conv2 = nn.Conv1d(wide, groups, 1)
        self.conv3 = nn.Conv1d(wide, clusters * groups, 1, bias=False)
        self.bn1 = nn.BatchNorm1d(clusters * groups)
        self.centroids = nn.Parameter(torch.rand(clusters, wide // groups))

    def forward(self, frames: Ragged) -> tuple[Tensor, Ragged]:
        """Float rows ``[N, dim]`` of ``V`` videos to unit vectors ``[V, out]`` and ``clusters`` unit rows a video."""
        check_rows(frames, self.dim)
        count = len(frames.rows)
        frames = frames.like(F.normalize(frames.rows, dim=-1))
        x = filled_up(frames, self.padded_to if self.training else None)
        x = F.linear(x, self.conv1.weight[..., 0], self.conv1.bias)
        share = self.bn1(F.linear(x, self.conv3.weight[..., 0]))[:count]
        x = x[:count]
        attention = torch.sigmoid(F.linear(x, self.conv2.weight[..., 0], self.conv2.bias))
        share = F.softmax(share.unflatten(1, (self.clusters, self.groups)), dim=1) * attention[:, None]
        weights = dense(frames.like(share.transpose(1, 2))).flatten(1, 2)
        values = dense(frames.like(x.unflatten(1, (-1, self.groups)).transpose(1, 2))).flatten(1, 2)
        total = weights.transpose(1, 2) @ values
        return self._finish(total - self.centroids * weights.sum(1)[..., None])


def filled_up(frames: Ragged, length: int | None) -> Tensor:
    """Rows ``[N, D]``, followed by the zero rows that would fill every sequence up to ``length``."""
    missing = 0 if length is None else len(frames) * length - len(frames.rows)
    if missing <= 0:
        return frames.rows
    return torch.cat([frames.rows, frames.rows.new_zeros(missing, frames.rows.shape[1])])


def dense(frames: Ragged) -> Tensor:
    """``[V, T, ...]``: sequences filled up with zeros to the longest."""
    longest = int(frames.lengths.max())
    steps = torch.arange(len(frames.rows)) - torch.repeat_interleave(frames.offsets[:-1], frames.lengths)
    places = (torch.repeat_interleave(torch.arange(len(frames)), frames.lengths) * longest + steps).to(
        frames.rows.device
    )
    padded = frames.rows.new_zeros(len(frames) * longest, *frames.rows.shape[1:])
    return padded.index_copy(0, places, frames.rows).unflatten(0, (len(frames), longest))
