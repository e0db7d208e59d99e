"""Motionformer: attention along the paths that patches take through a clip.

Source: Patrick et al., "Keeping Your Eye on the Ball: Trajectory Attention in Video Transformers", NeurIPS 2021.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from telltime.backbones.inflation import start_from
from telltime.backbones.trajectory import Approximation, TrajectoryAttention
from telltime.backbones.transformer import (
    EPS,
    Block,
    PatchEmbed,
    VideoTransformer,
    initialise,
    resized_positions,
    resized_times,
)

Attention = Literal["trajectory", "joint", "space"]
Position = Literal["separate", "joint"]


class TubeEmbed(nn.Module):
    """Patches that span ``tube`` frames to tokens: ``[N, 3, T, H, W]`` to ``[N, T/tube, H/patch, W/patch, dim]``."""

    def __init__(self, tube: int, patch: int, dim: int) -> None:
        super().__init__()
        self.tube, self.patch, self.dim = tube, patch, dim
        size = (tube, patch, patch)
        self.proj = nn.Conv3d(3, dim, size, size)

    def forward(self, clips: Tensor) -> Tensor:
        frames, height, width = clips.shape[-3:]
        if frames % self.tube or height % self.patch or width % self.patch:
            raise ValueError(
                f"clips of {frames} frames of {height} x {width} pixels are not made of tubes of {self.tube} frames "
                f"and {self.patch} pixels"
            )
        tokens: Tensor = self.proj(clips).permute(0, 2, 3, 4, 1)
        return tokens


class PreLogits(nn.Module):
    """A linear layer and tanh on every token before any classifier: ``[..., C]`` to as many."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.fc = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x).tanh()


class Motionformer(VideoTransformer):
    """Vision transformer of clips with trajectory attention, 107.7 million parameters at the published size.

    ``cls`` is the class token after the last norm and the linear layer with tanh; so are the tokens.

    Args:
        frames, size, patch, dim, depth, heads, drop_path, checkpointing: see
            :class:`~telltime.backbones.transformer.VideoTransformer`.
        attention: ``"trajectory"``; ``"joint"`` over all tokens at once; ``"space"`` within frames, each with a class
            token of its own, whose mean counts.
        value_slip: as published weights of trajectory attention need it; see
            :class:`~telltime.backbones.trajectory.TrajectoryAttention`.
        approximation, landmarks: of trajectory attention, see there.
        tube: frames that a patch spans; ``T'`` of the tokens is the number of frames divided by it.
        position: ``"separate"`` embeddings of place and time, or ``"joint"``, one for every place at every time.
        image: a timm vision transformer, or a file of its weights, to start from; see
            :mod:`telltime.backbones.inflation`.

    Raises:
        ValueError: sizes that do not fit each other, with which.
    """

    def __init__(
        self,
        frames: int = 8,
        size: int = 224,
        patch: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        drop_path: float = 0.2,
        attention: Attention = "trajectory",
        value_slip: bool = False,
        approximation: Approximation = "",
        landmarks: int = 128,
        tube: int = 1,
        position: Position = "separate",
        checkpointing: bool = False,
        image: str = "",
    ) -> None:
        super().__init__(frames, size, patch, dim, depth, heads, drop_path, checkpointing)
        if attention not in get_args(Attention):
            raise ValueError(f'attention is "trajectory", "joint" or "space", not {attention!r}')
        if position not in get_args(Position):
            raise ValueError(f'position is "separate" or "joint", not {position!r}')
        if tube < 1 or frames % tube:
            raise ValueError(f"tubes of {tube} frames do not make clips of {frames}")
        if attention != "trajectory" and (value_slip or approximation):
            raise ValueError(f"value_slip and approximation are of trajectory attention, not of {attention!r}")
        self.attention, self.value_slip = attention, value_slip
        self.approximation, self.landmarks = approximation, landmarks
        self.tube, self.position = tube, position
        self.patch_embed = PatchEmbed(patch, dim) if tube == 1 else TubeEmbed(tube, patch, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        if position == "joint":
            self.st_embed = nn.Parameter(torch.zeros(1, 1 + frames // tube * self.positions, dim))
        else:
            self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.positions, dim))
            self.temp_embed = nn.Parameter(torch.zeros(1, frames // tube, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, drop_path=r, attention=self._attention()) for r in self.rates())
        self.norm = nn.LayerNorm(dim, EPS)
        self.pre_logits = PreLogits(dim)
        initialise(self)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.st_embed if position == "joint" else self.pos_embed, std=0.02)
        self.image = start_from(self, image)

    def _attention(self) -> nn.Module | None:
        if self.attention != "trajectory":
            return None
        return TrajectoryAttention(self.dim, self.heads, self.value_slip, self.approximation, self.landmarks)

    def from_patches(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patches ``[N, T, h, w, C]`` to tokens ``[N, T, h, w, C]`` and the class token ``[N, C]``."""
        frames, height, width = patches.shape[1:4]
        first, rest = self._embeddings(frames, height, width)
        token = (self.cls_token + first).expand(len(patches), -1, -1)
        x = patches.flatten(2, 3) + rest
        if self.attention == "space":
            x = torch.cat([token[:, None].expand(-1, frames, -1, -1), x], 2).flatten(0, 1)
        else:
            x = torch.cat([token, x.flatten(1, 2)], 1)
        for block in self.blocks:
            x = self.run(block, x, frames) if self.attention == "trajectory" else self.run(block, x)
        x = self.pre_logits(self.norm(x))
        if self.attention == "space":
            x = x.unflatten(0, (-1, frames))
            return x[:, :, 1:].unflatten(2, (height, width)), x[:, :, 0].mean(1)
        return x[:, 1:].unflatten(1, (frames, height, width)), x[:, 0]

    def _embeddings(self, frames: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Of the class token, ``[1, 1, C]``, and of the patches, ``[1, T, P, C]``."""
        if self.position == "separate":
            first, places = resized_positions(self.pos_embed, height, width).split([1, height * width], 1)
            return first, places[:, None] + resized_times(self.temp_embed, frames)[:, :, None]
        first, rest = self.st_embed.split([1, self.st_embed.shape[1] - 1], 1)
        each = rest[0].unflatten(0, (-1, self.positions))
        grids = resized_positions(torch.cat([first.expand(len(each), -1, -1), each], 1), height, width)[:, 1:]
        return first, resized_times(grids.flatten(1)[None], frames).unflatten(2, grids.shape[1:])
