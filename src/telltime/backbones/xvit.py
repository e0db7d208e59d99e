"""X-ViT: an image transformer whose frames see their neighbours through shifted keys and values.

Source: Bulat, Perez-Rua, Sudhakaran, Martinez, Tzimiropoulos, "Space-time Mixing Attention for Video Transformer",
NeurIPS 2021.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.backbones.attention import SelfAttention, ShiftedAttention
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

_HEAD_EPS = 1e-5


class TemporalHead(nn.Module):
    """A block of attention over the class tokens of the frames and one of its own: ``[N, T, C]`` to ``[N, C]``.

    It has no embedding of time: what it knows of order, the frames' tokens tell. Its attention has no bias before it.

    Args:
        dim, heads: of the tokens.
        dropout: share of what a classifier takes, after a linear layer and GELU, that is set to 0 in training.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.dim, self.heads, self.dropout = dim, heads, dropout
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.block = Block(dim, heads, attention=SelfAttention(dim, heads, qkv_bias=False), eps=_HEAD_EPS)
        self.norm = nn.LayerNorm(dim, _HEAD_EPS)
        self.fc = nn.Linear(dim, dim)

    def forward(self, frames: Tensor) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(frames), -1, -1), frames], 1)
        token = self.block(tokens)[:, 0]
        return F.dropout(F.gelu(self.fc(self.norm(token))), self.dropout, self.training)


class XViT(VideoTransformer):
    """Vision transformer of frames with space-time mixing, 93.5 million parameters at the published size.

    ``cls`` are the ``dim`` numbers that the last linear layer of its temporal head takes, after dropout.

    Args:
        frames, size, patch, dim, depth, heads, drop_path, checkpointing: see
            :class:`~telltime.backbones.transformer.VideoTransformer`.
        shift_div: ``1 / shift_div`` of the channels of keys and values come from the next frame, as many from the
            previous.
        dropout: share of what the classifier takes that is set to 0 in training.
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
        drop_path: float = 0.0,
        shift_div: int = 4,
        dropout: float = 0.5,
        checkpointing: bool = False,
        image: str = "",
    ) -> None:
        super().__init__(frames, size, patch, dim, depth, heads, drop_path, checkpointing)
        self.shift_div, self.dropout = shift_div, dropout
        self.patch_embed = PatchEmbed(patch, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.positions, dim))
        self.temp_embed = nn.Parameter(torch.zeros(1, frames, 1, dim))
        self.blocks = nn.ModuleList(
            Block(dim, heads, drop_path=rate, attention=ShiftedAttention(dim, heads, shift_div))
            for rate in self.rates()
        )
        self.norm = nn.LayerNorm(dim, EPS)
        self.temporal_head = TemporalHead(dim, heads, dropout)
        initialise(self.blocks)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.image = start_from(self, image)

    def from_patches(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Patches ``[N, T, h, w, C]`` to tokens ``[N, T, h, w, C]`` and what the classifier takes, ``[N, C]``."""
        tokens, frames = self.frame_tokens(patches)
        return tokens, self.temporal_head(frames)

    def frame_tokens(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The same before the temporal head: tokens ``[N, T, h, w, C]`` and class tokens ``[N, T, C]``."""
        frames, height, width = patches.shape[1:4]
        positions = resized_positions(self.pos_embed, height, width)
        times = resized_times(self.temp_embed[:, :, 0], frames)[:, :, None]
        token = (self.cls_token + positions[:, :1])[:, None] + times
        x = patches.flatten(2, 3) + (positions[:, None, 1:] + times)
        x = torch.cat([token.expand(len(x), -1, -1, -1), x], 2)
        for block in self.blocks:
            x = self.run(block, x)
        x = self.norm(x)
        return x[:, :, 1:].unflatten(2, (height, width)), x[:, :, 0]
