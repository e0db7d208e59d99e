"""StyleGAN2's generator (Karras et al., CVPR 2020), under the names of the widely used PyTorch port's checkpoints.

A latent ``W+`` has one style for each layer that takes one: two a resolution, less two. Values of the port that no
checkpoint says are kept: leaky slope 0.2 with gain sqrt(2), mapping layers at a hundredth of the learning rate.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_SLOPE, _GAIN, _EPS = 0.2, math.sqrt(2), 1e-8
_BLUR = (1.0, 3.0, 3.0, 1.0)


def channels_of(size: int, multiplier: int = 2) -> int:
    """Channels of the feature maps of one resolution."""
    return 512 if size <= 32 else min(512, 16384 * multiplier // size)


class StyleGAN2(nn.Module):
    """From noise to styles, and from styles to a picture.

    Args:
        size: of the picture, a power of two, at least 8.
        style_dim: numbers of a style.
        mapping: layers from noise to style.
        multiplier: of the channels from 64 pixels on.
        channels: of the resolutions from 4 pixels up, where they are not the usual ones.
    """

    def __init__(
        self,
        size: int = 1024,
        style_dim: int = 512,
        mapping: int = 8,
        multiplier: int = 2,
        channels: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        levels = size.bit_length() - 1
        if size < 8 or size != 1 << levels:
            raise ValueError(f"a picture's size is a power of two, at least 8, not {size}")
        wide = [channels_of(1 << level, multiplier) for level in range(2, levels + 1)]
        wide = wide if channels is None else list(channels)
        if len(wide) != levels - 1:
            raise ValueError(f"pictures of {size} pixels have {levels - 1} resolutions, channels are {wide}")
        self.size, self.style_dim, self.mapping, self.multiplier = size, style_dim, mapping, multiplier
        self.channels = wide
        slow = 0.01
        self.style = nn.Sequential(_Normal(), *(_Linear(style_dim, style_dim, slow, True) for _ in range(mapping)))
        self.input = _Constant(wide[0])
        self.conv1 = _Styled(wide[0], wide[0], style_dim)
        self.to_rgb1 = _ToRGB(wide[0], style_dim, False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for before, after in pairwise(wide):
            self.convs += [_Styled(before, after, style_dim, True), _Styled(after, after, style_dim)]
            self.to_rgbs.append(_ToRGB(after, style_dim))
        self.noises = nn.Module()
        for layer in range(2 * levels - 3):
            side = 1 << ((layer + 5) // 2)
            self.noises.register_buffer(f"noise_{layer}", torch.randn(1, 1, side, side))

    @property
    def styles(self) -> int:
        """How many styles a latent has: 18 for 1,024 pixels."""
        return 2 * len(self.channels)

    def latents(self, noise: Tensor) -> Tensor:
        """Noise ``[N, style_dim]`` to latents ``[N, styles, style_dim]``, the same style in every layer."""
        return self.style(noise)[:, None].repeat(1, self.styles, 1)

    @torch.no_grad()
    def mean_style(self, samples: int = 4096, seed: int = 0) -> Tensor:
        """``[1, style_dim]``: the mean style of noise drawn from ``seed``, towards which latents are truncated."""
        weight = next(self.parameters())
        noise = torch.randn(samples, self.style_dim, generator=torch.Generator().manual_seed(seed))
        return self.style(noise.to(weight.device, weight.dtype)).mean(0, keepdim=True)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents ``[N, styles, style_dim]`` to pictures ``[N, 3, size, size]``, about -1 to 1; noise is the stored."""
        if latents.ndim != 3 or latents.shape[1:] != (self.styles, self.style_dim):
            raise ValueError(f"latents are [N, {self.styles}, {self.style_dim}], not {list(latents.shape)}")
        noises = [getattr(self.noises, f"noise_{layer}") for layer in range(len(self.convs) + 1)]
        maps = self.conv1(self.input.input.expand(len(latents), -1, -1, -1), latents[:, 0], noises[0])
        picture = self.to_rgb1(maps, latents[:, 1])
        for level, to_rgb in enumerate(self.to_rgbs):
            at = 2 * level
            maps = self.convs[at](maps, latents[:, at + 1], noises[at + 1])
            maps = self.convs[at + 1](maps, latents[:, at + 2], noises[at + 2])
            picture = to_rgb(maps, latents[:, at + 3], picture)
        return picture


class _Normal(nn.Module):
    """Rows of mean square 1."""

    def forward(self, rows: Tensor) -> Tensor:
        return rows * (rows.square().mean(1, keepdim=True) + _EPS).rsqrt()


class _Linear(nn.Module):
    """A linear layer whose weights are scaled when used, with or without activation."""

    def __init__(self, before: int, after: int, slow: float = 1.0, active: bool = False, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(after, before) / slow)
        self.bias = nn.Parameter(torch.full((after,), bias))
        self.slow, self.active = slow, active

    def forward(self, rows: Tensor) -> Tensor:
        scale = self.slow / math.sqrt(self.weight.shape[1])
        rows = F.linear(rows, self.weight * scale, self.bias * self.slow)
        return _GAIN * F.leaky_relu(rows, _SLOPE) if self.active else rows


class _Constant(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))


class _Filter(nn.Module):
    """Smooths what was spread over twice the pixels, and keeps its brightness."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor(_BLUR)
        self.register_buffer("kernel", 4 * line[:, None] * line / line.sum() ** 2)

    def forward(self, maps: Tensor, before: int, after: int) -> Tensor:
        channels = maps.shape[1]
        kernel = self.kernel.flip(0, 1).to(maps.dtype).expand(channels, 1, -1, -1)
        return F.conv2d(F.pad(maps, (before, after, before, after)), kernel, groups=channels)


class _Modulated(nn.Module):
    """A convolution whose inputs are weighted by a style, and whose outputs are brought back to unit strength.

    Weighting the maps before and after is the same as weighting the kernels, and lets a batch share them.
    """

    def __init__(self, before: int, after: int, kernel: int, style_dim: int, demodulate: bool, up: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, after, before, kernel, kernel))
        self.modulation = _Linear(style_dim, before, bias=1.0)
        self.blur = _Filter() if up else None
        self.demodulate = demodulate

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        weight = self.weight[0] / math.sqrt(self.weight[0, 0].numel())
        by = self.modulation(style)
        maps = maps * by[:, :, None, None]
        if self.blur is None:
            maps = F.conv2d(maps, weight, padding=weight.shape[-1] // 2)
        else:
            maps = self.blur(F.conv_transpose2d(maps, weight.transpose(0, 1), stride=2), 1, 1)
        if self.demodulate:
            strength = by.square() @ weight.square().sum((2, 3)).T
            maps = maps * (strength + _EPS).rsqrt()[:, :, None, None]
        return maps


class _Styled(nn.Module):
    """Modulated convolution, noise, bias and activation."""

    def __init__(self, before: int, after: int, style_dim: int, up: bool = False) -> None:
        super().__init__()
        self.conv = _Modulated(before, after, 3, style_dim, True, up)
        self.noise = _Noise()
        self.activate = _Bias(after)

    def forward(self, maps: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        maps = self.conv(maps, style) + self.noise.weight * noise
        return _GAIN * F.leaky_relu(maps + self.activate.bias[:, None, None], _SLOPE)


class _Noise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class _Bias(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class _ToRGB(nn.Module):
    """Colours of a resolution, on top of those of the one before at twice the size."""

    def __init__(self, channels: int, style_dim: int, up: bool = True) -> None:
        super().__init__()
        self.conv = _Modulated(channels, 3, 1, style_dim, False, False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = _Filter() if up else None

    def forward(self, maps: Tensor, style: Tensor, below: Tensor | None = None) -> Tensor:
        picture = self.conv(maps, style) + self.bias
        if below is None or self.upsample is None:
            return picture
        spread = below.new_zeros(*below.shape[:2], 2 * below.shape[2], 2 * below.shape[3])
        spread[:, :, ::2, ::2] = below
        return picture + self.upsample(spread, 2, 1)
