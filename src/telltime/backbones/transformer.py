"""What the video transformers share: patches, positions, blocks, and how a network of clips looks from outside."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from telltime.backbones.attention import SelfAttention, recomputed

EPS = 1e-6
"""Of every layer norm, but where a network says otherwise."""


class PatchEmbed(nn.Module):
    """Square patches of each frame to tokens: clips ``[N, 3, T, H, W]`` to ``[N, T, H/patch, W/patch, dim]``."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.patch, self.dim = patch, dim
        self.proj = nn.Conv2d(3, dim, patch, patch)

    def forward(self, clips: Tensor) -> Tensor:
        if clips.shape[-2] % self.patch or clips.shape[-1] % self.patch:
            raise ValueError(f"frames of {list(clips.shape[-2:])} pixels are not made of patches of {self.patch}")
        tokens = self.proj(clips.transpose(1, 2).flatten(0, 1))
        return tokens.unflatten(0, (clips.shape[0], clips.shape[2])).permute(0, 1, 3, 4, 2)


class Mlp(nn.Module):
    """Linear, GELU (exact), linear; ``hidden`` numbers between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.dim, self.hidden = dim, hidden
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """Tokens ``[..., C]``, first through ``norm`` if there is one, to as many."""
        between = self.fc1(x) if norm is None else recomputed(lambda tokens: self.fc1(norm(tokens)), x)
        return recomputed(lambda numbers: self.fc2(F.gelu(numbers)), between)


class DropPath(nn.Module):
    """Leaves out what a branch adds, row by row, with probability ``rate`` in training; the rest is scaled up.

    Source: Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016.
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"the rate of drop path lies in 0 (never) to below 1, not {rate}")
        self.rate = rate

    def forward(self, x: Tensor, rows: int = 1) -> Tensor:
        """``x`` with a draw for each index of its first ``rows`` axes."""
        if not self.training or not self.rate:
            return x
        keep = 1 - self.rate
        shape = [*x.shape[:rows], *[1] * (x.ndim - rows)]
        return x * (torch.rand(shape, dtype=torch.float32, device=x.device) < keep).to(x.dtype).div_(keep)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class Block(nn.Module):
    """Attention and MLP, each after a norm and added to what came: tokens ``[N, ..., L, C]`` to as many.

    Args:
        dim, heads: channels and heads.
        mlp_ratio: numbers between the linear layers of the MLP, in units of ``dim``.
        drop_path: rate at which a clip goes without attention, and without MLP.
        attention: called with tokens and the norm that comes before; by default self-attention.
        eps: of the norms.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        attention: nn.Module | None = None,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps)
        self.attn = attention or SelfAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, *args: Any) -> Tensor:
        """``args`` are handed on to the attention, after tokens and norm."""
        x = x + self.drop_path(self.attn(x, self.norm1, *args))
        return x + self.drop_path(self.mlp(x, self.norm2))


class VideoTransformer(nn.Module):
    """A transformer as a network of clips: tokens on a grid of frames and patches, and one vector that tells the class.

    A subclass gives :meth:`from_patches`, whose two results are all that tasks and methods see of it.

    Args:
        frames: of the clips its time embedding is for; others are taken too, their embedding is the nearest in time.
        size: side in pixels its position embedding is for; others are taken too, their positions are interpolated.
        patch: side of the patches in pixels.
        dim, depth, heads: channels, blocks, and heads of each block.
        drop_path: rate in the last block; from 0 in the first it grows evenly.
        checkpointing: keep only what enters each block for the backward pass, and compute the rest again.
    """

    def __init__(
        self,
        frames: int,
        size: int,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        drop_path: float,
        checkpointing: bool,
    ) -> None:
        super().__init__()
        if min(frames, size, patch, dim, depth, heads) < 1 or size % patch:
            raise ValueError(
                f"frames, size, patch, dim, depth and heads are at least 1 and patches divide the picture: "
                f"{frames}, {size}, {patch}, {dim}, {depth}, {heads}"
            )
        self.frames, self.size, self.patch = frames, size, patch
        self.dim, self.depth, self.heads = dim, depth, heads
        self.drop_path, self.checkpointing = drop_path, checkpointing
        self.channels = dim

    patch_embed: nn.Module

    @property
    def positions(self) -> int:
        """Patches of a frame of ``size`` pixels."""
        return (self.size // self.patch) ** 2

    def rates(self) -> list[float]:
        """Drop path of each block."""
        return [self.drop_path * i / max(1, self.depth - 1) for i in range(self.depth)]

    def patches(self, clips: Tensor) -> Tensor:
        """Float clips ``[N, 3, T, H, W]`` to patches without any position, ``[N, T', h, w, C]``.

        They know nothing of each other: patches of shuffled frames are these, shuffled alike.
        """
        embedded: Tensor = self.patch_embed(clips)
        return embedded

    def from_patches(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """What :meth:`patches` gives to what :meth:`tokens_and_class` gives."""
        raise TypeError(f"{type(self).__name__} says nothing of what follows its patches")

    def tokens_and_class(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Float clips ``[N, 3, T, H, W]`` to tokens ``[N, T', h, w, C]`` and what a classifier takes, ``[N, D]``."""
        return self.from_patches(self.patches(clips))

    def forward(self, clips: Tensor) -> Tensor:
        """Float clips ``[N, 3, T, H, W]`` to the map of their tokens, ``[N, C, T', h, w]``."""
        return self.tokens_and_class(clips)[0].permute(0, 4, 1, 2, 3)

    def run(self, block: Callable[..., Any], *args: Any) -> Any:
        """``block(*args)``, computed again in the backward pass where ``checkpointing`` asks for it."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)


def resized_positions(embedding: Tensor, height: int, width: int) -> Tensor:
    """Embedding of a class token and a square grid, ``[1, 1 + n * n, C]``, for a grid of ``height`` x ``width``.

    The grid is interpolated bicubically (corners not aligned), as the published networks do it.
    """
    count = embedding.shape[1] - 1
    side = round(count**0.5)
    if (height, width) == (side, side):
        return embedding
    first, grid = embedding.split([1, count], 1)
    grid = grid.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)
    return torch.cat([first, grid.permute(0, 2, 3, 1).flatten(1, 2)], 1)


def resized_times(embedding: Tensor, frames: int) -> Tensor:
    """Embedding of times ``[1, T, C]`` for another number of frames: of each, the nearest in time before it."""
    if embedding.shape[1] == frames:
        return embedding
    return F.interpolate(embedding.transpose(1, 2), size=frames, mode="nearest").transpose(1, 2)


def initialise(module: nn.Module) -> None:
    """Linear layers within ``module`` from a normal of deviation 0.02 cut at 2, biases 0: how these networks start."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
