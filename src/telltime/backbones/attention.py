"""Attention over tokens, shared by the video transformers.

Every kind works on ``[..., L, C]`` with whatever axes in front: frames or patch positions there are attended to apart.
Scores are never stored: PyTorch's scaled-dot-product attention computes them in pieces.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

_MOST = 2**16 - 1
"""Sequences a CUDA kernel takes at once; attention over time has one for every patch of every clip."""


def recomputed(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """``function(*tensors)``, keeping ``tensors`` for the backward pass and nothing computed on the way.

    Meant for cheap steps before a product with weights (a norm, an activation): recomputing stops at the input of the
    last product, so that this itself is not done twice. ``function`` may draw no random numbers.
    """
    if not torch.is_grad_enabled():
        return function(*tensors)
    found: Tensor = checkpoint(
        function, *tensors, use_reentrant=False, preserve_rng_state=False, determinism_check="none"
    )
    return found


def attend(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Attention of ``heads`` heads: queries ``[..., L, C]``, keys and values ``[..., M, C]`` to ``[..., L, C]``.

    Channels are head-major; scores are divided by the square root of ``C / heads``.
    """
    q, k, v = (x.reshape(-1, x.shape[-2], heads, x.shape[-1] // heads).transpose(1, 2) for x in (queries, keys, values))
    if len(q) <= _MOST:
        found = F.scaled_dot_product_attention(q, k, v)
    else:
        parts = zip(q.split(_MOST), k.split(_MOST), v.split(_MOST), strict=True)
        found = torch.cat([F.scaled_dot_product_attention(*part) for part in parts])
    return found.transpose(1, 2).reshape(queries.shape)


class SelfAttention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values, in this order.

    Args:
        dim: channels ``C``.
        heads: how many; they divide ``dim``.
        qkv_bias: whether that projection has a bias.
    """

    def __init__(self, dim: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"{heads} heads do not divide {dim} channels")
        self.dim, self.heads, self.qkv_bias = dim, heads, qkv_bias
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """Tokens ``[..., L, C]``, first through ``norm`` if there is one, to as many."""
        return self.proj(self.mixed(x, norm))

    def mixed(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """The same before the last projection."""
        queries, keys, values = self.projected(x, norm).chunk(3, -1)
        return attend(queries, keys, values, self.heads)

    def projected(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """Queries, keys and values beside each other, ``[..., L, 3 C]``."""
        if norm is None:
            return self.qkv(x)
        return recomputed(lambda tokens: self.qkv(norm(tokens)), x)


class ShiftedAttention(SelfAttention):
    """Self-attention within each frame, with some keys and values of the frames beside it: X-ViT's space-time mixing.

    Of the channels of keys and values the first ``1 / div`` come from the next frame and as many from the one before;
    beyond the ends of the clip they are 0, and take part in the softmax as such. It costs no parameters.

    Source: Bulat et al., "Space-time Mixing Attention for Video Transformer", NeurIPS 2021.
    """

    def __init__(self, dim: int, heads: int, div: int = 4) -> None:
        super().__init__(dim, heads)
        if div < 2:
            raise ValueError(f"the channels shifted either way are 1 / div of all, with div from 2, not {div}")
        self.div = div

    def mixed(self, x: Tensor, norm: nn.Module | None = None) -> Tensor:
        """Tokens ``[N, T, L, C]``."""
        queries, both = self.projected(x, norm).split([self.dim, 2 * self.dim], -1)
        keys, values = time_shift(both.unflatten(-1, (2, self.dim)), self.div).unbind(-2)
        return attend(queries, keys, values, self.heads)


def time_shift(x: Tensor, div: int) -> Tensor:
    """``[N, T, ..., C]`` with the first ``C // div`` channels of the next frame, as many of the previous, and the rest.

    Past the ends of the clip they are 0.
    """
    fold = x.shape[-1] // div
    pad = [0, 0] * (x.ndim - 2)
    later = F.pad(x[:, 1:, ..., :fold], [*pad, 0, 1])
    earlier = F.pad(x[:, :-1, ..., fold : 2 * fold], [*pad, 1, 0])
    return torch.cat([later, earlier, x[..., 2 * fold :]], -1)
