"""Image networks of timm on videos: every frame is embedded alone, and the embeddings are averaged."""

from typing import Any

import timm
from torch import Tensor, nn


class FrameEncoder(nn.Module):
    """A timm image network as a network of clips that knows nothing of time: the baseline for those that do.

    Args:
        name: timm name, e.g. ``"resnet18"`` or ``"vit_small_patch14_dinov2.lvd142m"``.
        pretrained: take timm's weights, over the network unless they lie in its cache.
    """

    def __init__(self, name: str, pretrained: bool = False) -> None:
        super().__init__()
        self.name = name
        self.encoder = timm.create_model(name, pretrained=pretrained, num_classes=0)
        self.pretrained = False  # saved weights are loaded over it, so rebuilding needs no download
        self.channels = int(getattr(self.encoder, "head_hidden_size", None) or self.encoder.num_features)  # type: ignore[arg-type]

    def values(self) -> dict[str, Any]:
        """What it was trained on: ``size``, ``crop`` (share of the short side), ``mean`` and ``std`` of RGB in 0..1."""
        config = timm.data.resolve_model_data_config(self.encoder)
        return {
            "size": int(config["input_size"][-1]),
            "crop": float(config["crop_pct"]),
            "mean": tuple(config["mean"]),
            "std": tuple(config["std"]),
        }

    def forward(self, clips: Tensor) -> Tensor:
        """Float ``[N, 3, T, H, W]`` to ``[N, channels, 1, 1, 1]``."""
        frames = clips.transpose(1, 2).flatten(0, 1)
        embedded = self.encoder(frames).unflatten(0, (clips.shape[0], clips.shape[2]))
        return embedded.mean(1)[:, :, None, None, None]
