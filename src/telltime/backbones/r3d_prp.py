"""The small R3D that TCLR's authors took from PRP: one residual block a stage.

Sources: Yao et al., "Video Playback Rate Perception for Self-supervised Spatio-Temporal Representation Learning",
CVPR 2020; its last stage as changed in Dave et al., "TCLR", CVIU 2022.
"""

from torch import Tensor, nn


class PRPR3D(nn.Module):
    """Ten-layer R3D; 14.4 million parameters at the published width; state-dict keys as published.

    Args:
        width: channels of the first two stages; the feature map has 8 times as many (attribute ``channels``).
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.channels = 8 * width
        self.conv1 = _Convolution(3, width, (3, 7, 7), (1, 2, 2))
        self.bn1 = nn.BatchNorm3d(width)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _Stage(width, width, 1)
        self.conv3 = _Stage(width, 2 * width, 2)
        self.conv4 = _Stage(2 * width, 4 * width, 2)
        self.conv5 = _Stage(4 * width, 8 * width, 2)
        last = self.conv5.block1
        last.conv1 = nn.Conv3d(4 * width, 8 * width, 3, (1, 2, 2), (2, 1, 1), (2, 1, 1), bias=False)
        last.downsampleconv = nn.Conv3d(4 * width, 8 * width, 1, (1, 2, 2), bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Float ``[N, 3, T, H, W]`` to ``[N, channels, T/4, H/16, W/16]`` (fractions rounded up)."""
        x = self.relu1(self.bn1(self.conv1(clips)))
        return self.conv5(self.conv4(self.conv3(self.conv2(x))))


class _Convolution(nn.Module):
    """A convolution under the name the publication gives it."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
        self.temporal_spatial_conv = nn.Conv3d(inputs, outputs, kernel, stride, padding, bias=False)
        nn.init.kaiming_normal_(self.temporal_spatial_conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.temporal_spatial_conv(x)


class _Block(nn.Module):
    conv1: nn.Module

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.downsampleconv: nn.Module | None = None
        if stride != 1:
            self.downsampleconv = _Convolution(inputs, outputs, (1, 1, 1), (stride, stride, stride))
            self.downsamplebn = nn.BatchNorm3d(outputs)
        self.conv1 = _Convolution(inputs, outputs, (3, 3, 3), (stride, stride, stride))
        self.bn1 = nn.BatchNorm3d(outputs)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = _Convolution(outputs, outputs, (3, 3, 3), (1, 1, 1))
        self.bn2 = nn.BatchNorm3d(outputs)
        self.outrelu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsampleconv is None else self.downsamplebn(self.downsampleconv(x))
        return self.outrelu(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + shortcut)


class _Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.block1 = _Block(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.block1(x)
