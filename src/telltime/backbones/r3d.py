"""R3D-18 and R(2+1)D-18 as TCLR uses them: torchvision's blocks, with a last stage that keeps four time slices.

Sources: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition", CVPR 2018 (torchvision's
``r3d_18`` and ``r2plus1d_18``); Dave et al., "TCLR: Temporal Contrastive Learning for Video Representation", CVIU 2022.
"""

from typing import Any

from torch import Tensor, nn
from torchvision.models.video.resnet import BasicBlock, Conv2Plus1D, Conv3DSimple


class _VideoResNet18(nn.Module):
    """Stem and four stages of two blocks; state-dict keys are torchvision's, without ``fc``.

    In the first block of ``layer4`` the first convolution and the shortcut do not stride over time; the former is a
    full 3x3x3 convolution dilated by 2 in time, also in R(2+1)D. As in the publication both come after the others were
    initialised by Kaiming's fan-out rule, and so keep PyTorch's default initialisation.
    """

    def __init__(self, stem: nn.Sequential, conv: type[Conv3DSimple] | type[Conv2Plus1D], width: int) -> None:
        super().__init__()
        self.width = width
        self.channels = 8 * width
        self.stem = stem
        self.layer1 = _stage(conv, width, width, 1)
        self.layer2 = _stage(conv, width, 2 * width, 2)
        self.layer3 = _stage(conv, 2 * width, 4 * width, 2)
        self.layer4 = _stage(conv, 4 * width, 8 * width, 2)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        block: Any = self.layer4[0]
        block.conv1[0] = nn.Conv3d(4 * width, 8 * width, 3, (1, 2, 2), (2, 1, 1), (2, 1, 1), bias=False)
        block.downsample[0] = nn.Conv3d(4 * width, 8 * width, 1, (1, 2, 2), bias=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Float ``[N, 3, T, H, W]`` to ``[N, channels, T/4, H/16, W/16]`` (fractions rounded up, at stem stride 2)."""
        return self.layer4(self.layer3(self.layer2(self.layer1(self.stem(clips)))))


class R3D18(_VideoResNet18):
    """3-D ResNet-18; 33.2 million parameters at the published width.

    Args:
        width: channels of the stem and first stage; the feature map has 8 times as many (attribute ``channels``).
        stem_stride: spatial stride of the stem; 1 suits clips of 64 pixels and less.
    """

    def __init__(self, width: int = 64, stem_stride: int = 2) -> None:
        stem = nn.Sequential(
            nn.Conv3d(3, width, (3, 7, 7), (1, stem_stride, stem_stride), (1, 3, 3), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        super().__init__(stem, Conv3DSimple, width)
        self.stem_stride = stem_stride


class R2Plus1D18(_VideoResNet18):
    """ResNet-18 of convolutions in space, then time; 31.3 million parameters at the published width.

    Args:
        width: channels of the stem and first stage; the feature map has 8 times as many (attribute ``channels``).
        stem_stride: spatial stride of the stem; 1 suits clips of 64 pixels and less.
    """

    def __init__(self, width: int = 64, stem_stride: int = 2) -> None:
        between = max(1, 45 * width // 64)
        stem = nn.Sequential(
            nn.Conv3d(3, between, (1, 7, 7), (1, stem_stride, stem_stride), (0, 3, 3), bias=False),
            nn.BatchNorm3d(between),
            nn.ReLU(inplace=True),
            nn.Conv3d(between, width, (3, 1, 1), 1, (1, 0, 0), bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(inplace=True),
        )
        super().__init__(stem, Conv2Plus1D, width)
        self.stem_stride = stem_stride


def _stage(conv: type[Conv3DSimple] | type[Conv2Plus1D], inputs: int, outputs: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv3d(inputs, outputs, 1, conv.get_downsample_stride(stride), bias=False), nn.BatchNorm3d(outputs)
        )
    return nn.Sequential(BasicBlock(inputs, outputs, conv, stride, shortcut), BasicBlock(outputs, outputs, conv))
