"""Image networks as encoders of places: a picture becomes a grid of features.

A transformer's grid are its patch tokens; a convolutional network's is its last map at the stride asked for. The
default needs no download: EfficientNet-Lite0 at stride 16.
"""

from typing import Any

import torch
from torch import Tensor, nn

from telltime.backbones.frame_descriptors import embedded_weights

EMBEDDED = "efficientnet-lite0"
_TIMM = {EMBEDDED: "tf_efficientnet_lite0"}


class DenseEncoder(nn.Module):
    """Pictures to grids of features.

    Args:
        name: ``"efficientnet-lite0"`` (embedded) or any timm name with feature maps.
        stride: pixels a cell stands for, of a convolutional network; a transformer's is its patch.
        pretrained: take the trained weights; otherwise they are random, to be loaded over.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str = EMBEDDED, stride: int = 16, pretrained: bool = True) -> None:
        super().__init__()
        import timm

        self.name = EMBEDDED if name.replace("_", "-") == EMBEDDED else name
        embedded = self.name == EMBEDDED
        self.network: Any = timm.create_model(
            _TIMM.get(self.name, self.name), pretrained=pretrained and not embedded, num_classes=0
        )
        if pretrained and embedded:
            self.network.load_state_dict(embedded_weights())
        self.pretrained = False  # saved weights are loaded over it, so rebuilding needs neither file nor download
        info = list(self.network.feature_info)
        at = [i for i, each in enumerate(info) if each["reduction"] == stride]
        if not at:
            raise ValueError(f"timm's {name} has no feature map at stride {stride}")
        self._stage = at[-1]
        self.stride = stride
        """Pixels a cell of the grid stands for, each way."""
        self.channels = int(info[self._stage]["num_chs"])
        """Numbers of a cell."""
        config = timm.data.resolve_model_data_config(self.network)
        mean, std = ((127 / 255,) * 3, (128 / 255,) * 3) if embedded else (config["mean"], config["std"])
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.eval()

    def prepare(self, frames: Tensor) -> Tensor:
        """Frames uint8 ``[..., 3, H, W]``, RGB, as the network takes them: float32 of the same shape."""
        if frames.dtype != torch.uint8 or frames.shape[-3] != 3:
            raise ValueError(f"frames are uint8 [..., 3, H, W], not {frames.dtype} {list(frames.shape)}")
        return (frames.to(self.mean.device, non_blocking=True) / 255 - self.mean) / self.std

    def forward(self, images: Tensor) -> Tensor:
        """Prepared images ``[N, 3, H, W]`` to float features ``[N, channels, h, w]``, row by row of the grid."""
        maps = self.network.forward_intermediates(
            images, indices=[self._stage], output_fmt="NCHW", intermediates_only=True
        )
        return maps[0]
