"""TimeSformer: attention over time and over space, one after the other.

Source: Bertasius, Wang, Torresani, "Is Space-Time Attention All You Need for Video Understanding?", ICML 2021.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.attention import SelfAttention
from telltime.backbones.inflation import start_from
from telltime.backbones.transformer import (
    EPS,
    Block,
    PatchEmbed,
    VideoTransformer,
    initialise,
    resized_positions,
    resized_times,
)


class DividedBlock(Block):
    """Attention over the frames of each patch, then over the patches of each frame, then the MLP.

    The class token takes no part in the first; in the second it looks at every frame apart, and the mean counts.
    Drop path draws for each patch position, for each frame, and for each clip.
    """

    def __init__(self, dim: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__(dim, heads, mlp_ratio, drop_path)
        self.temporal_norm1 = nn.LayerNorm(dim, EPS)
        self.temporal_attn = SelfAttention(dim, heads)
        self.temporal_fc = nn.Linear(dim, dim)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """Tokens ``[N, 1 + T * P, C]``, the class token first, then frame after frame, to as many."""
        token, patches = x.split([1, x.shape[1] - 1], 1)
        patches = patches.unflatten(1, (frames, -1))
        patches = patches + self._over_time(patches.transpose(1, 2)).transpose(1, 2)
        within = torch.cat([token[:, None].expand(-1, frames, -1, -1), patches], 2)
        seen, added = self.drop_path(self.attn(within, self.norm1), rows=2).split([1, patches.shape[2]], 2)
        x = torch.cat([token + seen.mean(1), (patches + added).flatten(1, 2)], 1)
        return x + self.drop_path(self.mlp(x, self.norm2))

    def _over_time(self, patches: Tensor) -> Tensor:
        """``[N, P, T, C]`` to what is added to them. Both projections are linear and are joined before use."""
        first, last = self.temporal_attn.proj, self.temporal_fc
        joined = F.linear(
            self.temporal_attn.mixed(patches, self.temporal_norm1), last.weight @ first.weight, last.weight @ first.bias
        )
        added: Tensor = self.drop_path(joined, rows=2)
        return added + last.bias


class TimeSformer(VideoTransformer):
    """Vision transformer of clips, 121 million parameters at the published size.

    ``cls`` is the class token after the last norm; with ``"space"`` the mean of the frames' class tokens, normalised.

    Args:
        frames, size, patch, dim, depth, heads, drop_path, checkpointing: see
            :class:`~telltime.backbones.transformer.VideoTransformer`.
        attention: ``"divided"`` over time, then space; ``"joint"`` over all tokens at once; ``"space"`` within frames.
        image: a timm vision transformer, or a file of its weights, to start from; see
            :mod:`telltime.backbones.inflation`.
    """

    def __init__(
        self,
        frames: int = 8,
        size: int = 224,
        patch: int = 16,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        drop_path: float = 0.1,
        attention: Literal["divided", "joint", "space"] = "divided",
        checkpointing: bool = False,
        image: str = "",
    ) -> None:
        super().__init__(frames, size, patch, dim, depth, heads, drop_path, checkpointing)
        if attention not in ("divided", "joint", "space"):
            raise ValueError(f'attention is "divided", "joint" or "space", not {attention!r}')
        self.attention = attention
        self.patch_embed = PatchEmbed(patch, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.positions, dim))
        if attention != "space":
            self.time_embed = nn.Parameter(torch.zeros(1, frames, dim))
        kind = DividedBlock if attention == "divided" else Block
        self.blocks = nn.ModuleList(kind(dim, heads, drop_path=rate) for rate in self.rates())
        self.norm = nn.LayerNorm(dim, EPS)
        initialise(self.blocks)
        for block in self.blocks:
            if isinstance(block, DividedBlock):
                nn.init.zeros_(block.temporal_fc.weight)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.image = start_from(self, image)

    def from_patches(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patches ``[N, T, h, w, C]`` to tokens ``[N, T, h, w, C]`` and the class token ``[N, C]``."""
        frames, height, width = patches.shape[1:4]
        positions = resized_positions(self.pos_embed, height, width)
        x = patches.flatten(2, 3) + positions[:, None, 1:]
        token = (self.cls_token + positions[:, :1]).expand(len(x), -1, -1)
        if self.attention == "space":
            return self._frames_alone(x, token[:, None], height)
        x = x + resized_times(self.time_embed, frames)[:, :, None]
        x = torch.cat([token, x.flatten(1, 2)], 1)
        for block in self.blocks:
            x = self.run(block, x, frames) if self.attention == "divided" else self.run(block, x)
        x = self.norm(x)
        return x[:, 1:].unflatten(1, (frames, height, width)), x[:, 0]

    def _frames_alone(self, patches: Tensor, token: Tensor, height: int) -> tuple[Tensor, Tensor]:
        x = torch.cat([token.expand(-1, patches.shape[1], -1, -1), patches], 2).flatten(0, 1)
        for block in self.blocks:
            x = self.run(block, x)
        x = x.unflatten(0, patches.shape[:2])
        return self.norm(x[:, :, 1:]).unflatten(2, (height, -1)), self.norm(x[:, :, 0].mean(1))
