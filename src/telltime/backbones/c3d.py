"""C3D with batch normalisation, its pooling over time stopped at four slices of a 16-frame clip.

Source: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks", ICCV 2015. TCLR reports results
with it and publishes no code for it; like the other backbones here it ends at a quarter of the frames.
"""

from torch import Tensor, nn

# Outputs in units of the width, then the pooling that follows the convolution (time and space; 1 is none).
_LAYERS = [(1, 1, 2), (2, 2, 2), (4, 1, 1), (4, 2, 2), (8, 1, 1), (8, 1, 2), (8, 1, 1), (8, 1, 1)]


class C3D(nn.Module):
    """Eight 3x3x3 convolutions, each with batch norm; 27.7 million parameters at the published width.

    Args:
        width: channels of the first layer; the feature map has 8 times as many (attribute ``channels``).
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.width = width
        self.channels = 8 * width
        layers, inputs = [], 3
        for multiple, time, space in _LAYERS:
            outputs = multiple * width
            layer = [
                nn.Conv3d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm3d(outputs),
                nn.ReLU(inplace=True),
            ]
            if space > 1:
                layer.append(nn.MaxPool3d((time, space, space)))
            layers.append(nn.Sequential(*layer))
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:
        """Float ``[N, 3, T, H, W]`` to ``[N, channels, T/4, H/16, W/16]`` (rounded down at each halving)."""
        return self.layers(clips)
