"""Every backbone turns a clip into a map with four time slices, at any width and size."""

import pytest
import torch
from torch import nn
from torchvision.models.video import r2plus1d_18, r3d_18

from telltime.backbones.c3d import C3D
from telltime.backbones.r3d import R3D18, R2Plus1D18
from telltime.backbones.r3d_prp import PRPR3D

BACKBONES = [R3D18, R2Plus1D18, PRPR3D, C3D]


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("frames", "size"), [(16, 32), (8, 48)])
def test_map_has_a_slice_for_four_frames(backbone: type[nn.Module], frames: int, size: int) -> None:
    net = backbone(width=4)
    features = net(torch.rand(2, 3, frames, size, size))
    assert features.shape == (2, net.channels, frames // 4, size // 16, size // 16)
    assert net.channels == 32


@pytest.mark.parametrize("backbone", [R3D18, R2Plus1D18])
def test_small_clips_keep_detail_with_a_stem_that_does_not_stride(backbone: type[nn.Module]) -> None:
    assert backbone(width=4, stem_stride=1)(torch.rand(1, 3, 16, 32, 32)).shape == (1, 32, 4, 4, 4)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_published_width_gives_512_channels(backbone: type[nn.Module]) -> None:
    with torch.device("meta"):
        assert backbone().channels == 512


@pytest.mark.parametrize(("ours", "theirs"), [(R3D18, r3d_18), (R2Plus1D18, r2plus1d_18)])
def test_weights_of_torchvision_fit_outside_the_changed_block(ours: type[nn.Module], theirs: object) -> None:
    with torch.device("meta"):
        a = {k: v.shape for k, v in ours().state_dict().items()}
        b = {k: v.shape for k, v in theirs().state_dict().items() if not k.startswith("fc.")}
    changed = {k for k in a.keys() | b.keys() if a.get(k) != b.get(k)}
    assert all(k.startswith("layer4.0.conv1.0.") for k in changed)


def test_time_is_not_strided_in_the_last_stage_and_its_first_convolution_is_dilated() -> None:
    block = R3D18(width=4).layer4[0]
    assert (block.conv1[0].stride, block.conv1[0].dilation) == ((1, 2, 2), (2, 1, 1))
    assert (block.conv2[0].stride, block.conv2[0].dilation) == ((1, 1, 1), (1, 1, 1))
    assert block.downsample[0].stride == (1, 2, 2)


@pytest.mark.parametrize("backbone", [R3D18, R2Plus1D18])
def test_replaced_convolutions_keep_the_default_initialisation(backbone: type[nn.Module]) -> None:
    torch.manual_seed(0)
    net = backbone(width=16)
    replaced = net.layer4[0].conv1[0].weight
    bound = replaced[0].numel() ** -0.5
    assert replaced.abs().max() <= bound
    assert replaced.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    if backbone is R3D18:
        kept = net.layer4[0].conv2[0].weight
        assert kept.std().item() == pytest.approx((2 / (kept.shape[0] * 27)) ** 0.5, rel=0.05)
