"""Pooling, and ResNet-50's published descriptors, against the reference outputs."""

from typing import Any

import torch
from torch import Tensor

from telltime.backbones.frame_descriptors import FrameDescriptor
from telltime.backbones.pooling import imac, rmac


def close(found: Any, expected: Any, atol: float) -> bool:
    return torch.allclose(torch.as_tensor(found), torch.as_tensor(expected), rtol=0, atol=atol)


def test_imac_and_rmac_of_every_layer(golden: Any) -> None:
    stored = golden.npz("tca_pooling.npz")

    def relu(name: str, shape: Any) -> Tensor:
        return golden.tensor(name, tuple(shape.tolist()), golden.tca_seed).relu()

    maps = [relu(f"pool_{i}", shape) for i, shape in enumerate(stored["shapes"])]
    wide = relu("pool_wide", stored["wide_shape"])
    for name, pool in (("imac", imac), ("rmac", rmac)):
        assert close(torch.cat([pool(each) for each in maps], 1), stored[name], 1e-6), name
        assert close(pool(wide), stored[f"wide_{name}"], 1e-6), name


def test_resnet50_describes_as_published(golden: Any) -> None:
    stored, seed = golden.npz("tca_pooling.npz"), golden.tca_seed
    frames = 0.5 * golden.tensor("pool_frames", (len(stored["resnet50_imac"]), 3, 224, 224), seed)
    describer = FrameDescriptor("resnet50", pooling="imac", precision="float32", pretrained=False).eval()
    assert describer.dim == stored["resnet50_imac"].shape[1]
    describer.network.load_state_dict(golden.fill(describer.network.state_dict(), seed + 8))
    assert close(describer.rows(frames).detach(), stored["resnet50_imac"], 2e-5)
    describer.pooling = "rmac"
    with torch.no_grad():
        assert close(describer.rows(frames), stored["resnet50_rmac"], 2e-5), "by the fast way"
