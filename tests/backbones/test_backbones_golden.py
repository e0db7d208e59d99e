"""Maps of the published networks, stage by stage, and their keys."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from telltime.backbones.r3d import R3D18, R2Plus1D18
from telltime.backbones.r3d_prp import PRPR3D

NETS = {"r3d18": R3D18, "r2plus1d18": R2Plus1D18, "r3dprp": PRPR3D}
CLIPS = {"r3d18": "tclr/clip", "r2plus1d18": "tclr/clip_r2p1", "r3dprp": "tclr/clip_prp"}
STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def filled(net: nn.Module, golden: Any) -> nn.Module:
    state = golden.fill({f"0.{key}": value for key, value in net.state_dict().items()}, golden.seed)
    net.load_state_dict({key.removeprefix("0."): value for key, value in state.items()})
    return net.eval()


def clip_of(golden: Any, name: str, expected: dict[str, np.ndarray]) -> Tensor:
    """The clip of an evaluation file: 112 pixels when its map says so, or when it is alone; else 64."""
    clips, _, slices = expected["temporal_map"].shape[:3]
    size = 16 * expected["layer4_map"].shape[-1] if "layer4_map" in expected else 112 if clips == 1 else 64
    return golden.tensor(CLIPS[name], (clips, 3, 4 * slices, size, size), golden.seed)


@pytest.mark.parametrize("name", NETS)
def test_keys_and_shapes_are_the_published_ones(golden: Any, name: str) -> None:
    with torch.device("meta"):
        ours = {f"0.{key}": list(value.shape) for key, value in NETS[name]().state_dict().items()}
    published = golden.json(f"tclr_{name}_mlp_keys.json")
    assert ours == {key: shape for key, shape in published.items() if key.startswith("0.")}


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_maps_are_the_published_ones(golden: Any, name: str) -> None:
    expected = golden.npz(f"tclr_{name}_eval.npz")
    net = filled(NETS[name](), golden)
    stages: dict[str, Tensor] = {}
    for stage in STAGES if hasattr(net, "stem") else ():
        net.get_submodule(stage).register_forward_hook(lambda _, __, out, stage=stage: stages.update({stage: out}))
    features = net(clip_of(golden, name, expected))
    np.testing.assert_allclose(features.mean((3, 4), keepdim=True), expected["temporal_map"], **CLOSE)
    if "layer4_map" in expected:
        np.testing.assert_allclose(features, expected["layer4_map"], **CLOSE)
    for stage, out in stages.items():
        probe = out.flatten()[torch.linspace(0, out.numel() - 1, 257).long()]
        np.testing.assert_allclose(probe, expected[f"{stage}_probe"], **CLOSE)
        if f"{stage}_shape" in expected:
            assert tuple(out.shape) == tuple(expected[f"{stage}_shape"])
            assert out.mean().item() == pytest.approx(float(expected[f"{stage}_mean"]), rel=1e-5)
            assert out.std().item() == pytest.approx(float(expected[f"{stage}_std"]), rel=1e-5)


@torch.no_grad()
def test_half_as_many_frames_give_half_as_many_slices(golden: Any) -> None:
    expected = golden.npz("tclr_r3d18_eval.npz")["temporal_map_8x96"]
    net = filled(R3D18(), golden)
    clip = golden.tensor("tclr/clip2", (len(expected), 3, 4 * expected.shape[2], 96, 96), golden.seed)
    np.testing.assert_allclose(net(clip).mean((3, 4), keepdim=True), expected, **CLOSE)
