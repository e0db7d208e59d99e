"""Trajectory attention: each token finds itself in every frame, and attends over time along the path so found.

Source: Patrick et al., "Keeping Your Eye on the Ball: Trajectory Attention in Video Transformers", NeurIPS 2021.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from telltime.backbones.attention import SelfAttention, attend, recomputed
from telltime.backbones.landmarks import nystrom, orthoformer

Approximation = Literal["", "orthoformer", "nystrom"]

_AT_ONCE = {"cpu": 2**22}
"""Numbers of second queries that are worked on at a time: on a processor, as many as stay near it."""


class TrajectoryAttention(SelfAttention):
    """Attention within each frame, for every token of the clip, then over the frames; the class token sees all at once.

    In head ``h`` token ``s`` finds ``y[s, f] = sum_n softmax_n(q_s . k_fn) v_fn`` in frame ``f``. From what it finds
    in its own frame comes a second query, from every ``y[s, f]`` a second key, and their softmax over ``f`` weighs the
    second values. The second keys are never made: ``q . (W y) = (W^T q) . y`` projects the query once rather than
    every frame, and their bias, the same in all frames, leaves a softmax as it is.

    Args:
        dim, heads: channels and heads.
        value_slip: weigh ``y`` itself instead of its second values: a slip of the published code that published
            weights were trained with. Half of ``proj_kv`` is then of no use, but is there.
        approximation: ``"orthoformer"`` or ``"nystrom"`` find ``y`` through landmarks; nothing finds it exactly.
        landmarks: how many, for each clip and head.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        value_slip: bool = False,
        approximation: Approximation = "",
        landmarks: int = 128,
    ) -> None:
        super().__init__(dim, heads)
        if approximation not in get_args(Approximation):
            raise ValueError(f'approximation is "orthoformer", "nystrom" or nothing, not {approximation!r}')
        self.value_slip, self.approximation, self.landmarks = value_slip, approximation, landmarks
        self.proj_q = nn.Linear(dim, dim)
        self.proj_kv = nn.Linear(dim, 2 * dim)

    def forward(self, x: Tensor, norm: nn.Module | None = None, frames: int = 1) -> Tensor:
        """Tokens ``[N, 1 + T * P, C]``, the class token first, then frame after frame, to as many."""
        queries, keys, values = self.projected(x, norm).chunk(3, -1)
        token = attend(queries[:, :1], keys, values, self.heads)
        found = self.found(queries[:, 1:], keys[:, 1:], values[:, 1:], frames)
        return self.proj(torch.cat([token, self.followed(found, frames)], 1))

    def followed(self, found: Tensor, frames: int) -> Tensor:
        """What is found in each frame, ``[N, S, T, C]``, to what comes of it over time, ``[N, S, C]``.

        Done for some clips and some frames of tokens at a time, so that what is between stays small.
        """
        patches = found.shape[1] // frames
        room = max(1, _AT_ONCE.get(found.device.type, 2**28) // (patches * self.heads * self.dim))
        clips = min(room, len(found))
        several = max(1, room // clips)
        return torch.cat(
            [
                torch.cat([self._of_frames(part, i * several, patches) for i, part in enumerate(parts)], 1)
                for parts in (some.split(several * patches, 1) for some in found.split(clips))
            ]
        )

    def _of_frames(self, found: Tensor, first: int, patches: int) -> Tensor:
        """The same for the tokens of some frames, of which ``first`` is the first."""
        of_frame = found.unflatten(1, (-1, patches))
        own = of_frame[:, :, :, first : first + of_frame.shape[1]].diagonal(dim1=1, dim2=3)
        second = self.proj_q(own.permute(0, 3, 1, 2).flatten(1, 2)) * (self.dim // self.heads) ** -0.5
        return recomputed(self.along_time, second, found)

    def found(self, queries: Tensor, keys: Tensor, values: Tensor, frames: int) -> Tensor:
        """Patches' queries, keys and values ``[N, T * P, C]`` to what is found in each frame, ``[N, T * P, T, C]``."""
        if self.approximation:
            return self._approximated(queries, keys, values, frames)
        keys, values = (x.unflatten(1, (frames, -1)) for x in (keys, values))
        every = queries[:, None].expand(-1, frames, -1, -1)
        return attend(every, keys, values, self.heads).transpose(1, 2)

    def along_time(self, queries: Tensor, found: Tensor) -> Tensor:
        """Second queries ``[N, S, C]``, scaled, and ``found`` ``[N, S, T, C]`` to what comes of them, ``[N, S, C]``."""
        keys, values = self.proj_kv.weight.unflatten(0, (2, self.heads, -1)).unbind()
        rows = queries.unflatten(-1, (self.heads, -1)).flatten(0, 1).transpose(0, 1)
        paths = found.flatten(0, 1)
        scores = torch.bmm(torch.bmm(rows, keys).transpose(0, 1), paths.transpose(1, 2))
        weights = scores.softmax(-1)
        if self.value_slip:
            mixed = (weights.transpose(1, 2)[..., None] * paths.unflatten(-1, (self.heads, -1))).sum(1).flatten(1)
            bias = 0 * self.proj_kv.bias[self.dim :]  # so that every parameter has a gradient, as several processes ask
        else:
            whole = torch.bmm(weights, paths).transpose(0, 1)
            mixed = torch.bmm(whole, values.transpose(1, 2)).transpose(0, 1).flatten(1)
            bias = self.proj_kv.bias[self.dim :]
        return (mixed + bias).unflatten(0, queries.shape[:2])

    def first_landmarks(self, rows: int, tokens: int, device: torch.device) -> Tensor:
        """Which token each row begins with, ``[R]``: drawn in training, the middle one otherwise."""
        if self.training:
            return torch.randint(tokens, (rows,), device=device)
        return torch.full((rows,), tokens // 2, device=device)

    def _approximated(self, queries: Tensor, keys: Tensor, values: Tensor, frames: int) -> Tensor:
        clips, tokens, channels = queries.shape
        rows = [x.unflatten(-1, (self.heads, -1)).transpose(1, 2).flatten(0, 1) for x in (queries, keys, values)]
        count = min(self.landmarks, tokens)
        if self.approximation == "orthoformer":
            first = self.first_landmarks(len(rows[0]), tokens, queries.device)
            each = orthoformer(rows[0], rows[1], rows[2], frames, count, first)
        else:
            each = nystrom(rows[0], rows[1], rows[2], frames, count)
        return each.unflatten(0, (clips, -1)).permute(0, 2, 3, 1, 4).reshape(clips, tokens, frames, channels)
