"""The training step of TIME as published, written out plainly: what ``time_training_step`` is measured against.

Two forward passes, one of them over shuffled frames; attention with its scores kept; trajectories whose second keys
and values are computed for every frame. It computes with the weights of our networks, under our names.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from telltime.methods.time import TIME

SMOOTHING = 0.2


class Published(nn.Module):
    """Loss of one step with the weights of ``method``.

    It takes frames ``[N, T, 3, H, W]``, labels ``[N]``, flow labels ``[N, T - 1, P]`` and a permutation ``[T]``.
    """

    def __init__(self, method: TIME) -> None:
        super().__init__()
        self.method = method

    def forward(self, video: Tensor, labels: Tensor, flow: Tensor, permutation: Tensor) -> Tensor:
        heads, head = self.method.head, self.method.classifier
        assert head is not None
        tokens, token = self.tokens(video)
        frames, channels = tokens.shape[1], tokens.shape[-1]
        order = heads.temp_head(tokens.mean(2))
        queries, keys, values = heads.mlp_q(tokens[:, 1:]), heads.mlp_k(tokens[:, :-1]), heads.mlp_v(tokens[:, :-1])
        seen = (queries @ keys.transpose(-1, -2) * channels**-0.5).softmax(-1) @ values
        motion = heads.flow_head(heads.mlp_norm(heads.mlp_proj(seen)))
        positions = torch.arange(frames, device=video.device).repeat(len(video))
        loss = F.cross_entropy(head(token), labels, label_smoothing=SMOOTHING)
        loss = loss + F.cross_entropy(order.flatten(0, 1), positions, label_smoothing=SMOOTHING)
        loss = loss + F.cross_entropy(motion.flatten(0, 2), flow.flatten(), label_smoothing=SMOOTHING)
        shuffled = head(self.tokens(video[:, permutation])[1])
        return loss - shuffled.log_softmax(-1).mean(1).mean()

    def tokens(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens ``[N, T, P, C]`` and what the classifier takes, ``[N, C]``."""
        clips, frames = video.shape[:2]
        net: Any = self.method.backbone
        x = net.patch_embed.proj(video.flatten(0, 1)).flatten(2).transpose(1, 2)
        way = {"TimeSformer": timesformer, "Motionformer": motionformer, "XViT": xvit}[type(net).__name__]
        return way(net, x.unflatten(0, (clips, frames)))


def attention(attn: Any, x: Tensor) -> Tensor:
    """Self-attention of ``[R, L, C]`` with scores kept."""
    rows, length, channels = x.shape
    q, k, v = attn.qkv(x).reshape(rows, length, 3, attn.heads, -1).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
    return attn.proj((weights @ v).transpose(1, 2).reshape(rows, length, channels))


def mlp(block: Any, x: Tensor) -> Tensor:
    return block.mlp.fc2(F.gelu(block.mlp.fc1(block.norm2(x))))


def timesformer(net: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    clips, frames, patches, channels = x.shape
    token = (net.cls_token + net.pos_embed[:, :1]).expand(clips, -1, -1)
    x = x + net.pos_embed[:, None, 1:] + net.time_embed[:, :, None]
    x = torch.cat([token, x.flatten(1, 2)], 1)
    for block in net.blocks:
        token, rest = x[:, :1], x[:, 1:].reshape(clips, frames, patches, channels)
        columns = rest.transpose(1, 2).reshape(clips * patches, frames, channels)
        added = block.temporal_fc(attention(block.temporal_attn, block.temporal_norm1(columns)))
        rest = rest + added.reshape(clips, patches, frames, channels).transpose(1, 2)
        each = token.repeat(1, frames, 1).reshape(clips * frames, 1, channels)
        each = torch.cat([each, rest.reshape(clips * frames, patches, channels)], 1)
        seen = attention(block.attn, block.norm1(each))
        token = token + seen[:, 0].reshape(clips, frames, channels).mean(1, keepdim=True)
        rest = rest + seen[:, 1:].reshape(clips, frames, patches, channels)
        x = torch.cat([token, rest.flatten(1, 2)], 1)
        x = x + mlp(block, x)
    x = net.norm(x)
    return x[:, 1:].reshape(clips, frames, patches, channels), x[:, 0]


def motionformer(net: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    clips, frames, patches, channels = x.shape
    token = (net.cls_token + net.pos_embed[:, :1]).expand(clips, -1, -1)
    places = net.pos_embed[:, 1:].repeat(1, frames, 1) + net.temp_embed.repeat_interleave(patches, 1)
    x = torch.cat([token, x.flatten(1, 2) + places], 1)
    for block in net.blocks:
        x = x + trajectories(block.attn, block.norm1(x), frames)
        x = x + mlp(block, x)
    x = net.pre_logits.fc(net.norm(x)).tanh()
    return x[:, 1:].reshape(clips, frames, patches, channels), x[:, 0]


def trajectories(attn: Any, x: Tensor, frames: int) -> Tensor:
    """Trajectory attention with the published slip: all scores at once, second keys and values of every frame."""
    clips, length, channels = x.shape
    count, heads = length - 1, attn.heads
    width = channels // heads
    q, k, v = (
        y.reshape(clips, length, heads, width).transpose(1, 2).reshape(clips * heads, length, width)
        for y in attn.qkv(x).chunk(3, -1)
    )
    token = ((q[:, :1] * width**-0.5) @ k.transpose(1, 2)).softmax(-1) @ v
    token = token.reshape(clips, 1, channels)
    q, k, v = q[:, 1:], k[:, 1:], v[:, 1:].reshape(clips * heads, frames, -1, width)
    weights = (q * width**-0.5) @ k.transpose(1, 2)
    weights = weights.reshape(clips * heads, count, frames, -1).softmax(-1)
    found = torch.einsum("rsfn,rfnd->rsfd", weights, v)
    found = found.reshape(clips, heads, count, frames, width).permute(0, 2, 3, 1, 4).reshape(clips, count, frames, -1)
    own = found.reshape(clips, frames, -1, frames, channels).diagonal(dim1=1, dim2=3)
    own = own.permute(0, 3, 1, 2).reshape(clips, count, channels)
    second = (attn.proj_q(own) * width**-0.5).reshape(clips, count, heads, width).transpose(1, 2)
    keys, _ = attn.proj_kv(found).reshape(clips, count, frames, 2 * heads, width).permute(0, 3, 1, 2, 4).chunk(2, 1)
    along = torch.einsum("bhsd,bhsfd->bhsf", second, keys).softmax(-1)
    mixed = found.reshape(clips, count, frames, heads, width).permute(0, 3, 1, 2, 4)
    mixed = torch.einsum("bhsf,bhsfd->bhsd", along, mixed).transpose(1, 2).reshape(clips, count, channels)
    return attn.proj(torch.cat([token, mixed], 1))


def xvit(net: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    clips, frames, patches, channels = x.shape
    token = net.cls_token.expand(clips * frames, -1, -1)
    x = torch.cat([token, x.flatten(0, 1)], 1) + net.pos_embed
    x = (x.reshape(clips, frames, 1 + patches, channels) + net.temp_embed).flatten(0, 1)
    for block in net.blocks:
        x = x + mixing(block.attn, block.norm1(x), frames)
        x = x + mlp(block, x)
    x = net.norm(x).reshape(clips, frames, 1 + patches, channels)
    head = net.temporal_head
    each = torch.cat([head.cls_token.expand(clips, -1, -1), x[:, :, 0]], 1)
    each = each + attention(head.block.attn, head.block.norm1(each))
    each = each + mlp(head.block, each)
    return x[:, :, 1:], F.gelu(head.fc(head.norm(each[:, 0])))


def mixing(attn: Any, x: Tensor, frames: int) -> Tensor:
    """Attention within frames, keys and values shifted by copies into zeros, a head's channels at a time."""
    rows, length, channels = x.shape
    q, k, v = attn.qkv(x).reshape(rows, length, 3, attn.heads, -1).permute(2, 0, 3, 1, 4)
    k, v = (shifted(y, frames, channels // attn.div) for y in (k, v))
    weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
    return attn.proj((weights @ v).transpose(1, 2).reshape(rows, length, channels))


def shifted(x: Tensor, frames: int, fold: int) -> Tensor:
    """``[N * T, heads, L, d]`` with ``fold`` channels of the next frame and as many of the previous."""
    rows, heads, length, width = x.shape
    x = x.permute(0, 2, 1, 3).reshape(-1, frames, length, heads * width).permute(0, 3, 2, 1).contiguous()
    out = torch.zeros_like(x)
    out[:, :fold, :, :-1] = x[:, :fold, :, 1:]
    out[:, fold : 2 * fold, :, 1:] = x[:, fold : 2 * fold, :, :-1]
    out[:, 2 * fold :] = x[:, 2 * fold :]
    return out.permute(0, 3, 2, 1).reshape(rows, length, heads, width).permute(0, 2, 1, 3)
