"""Pooling, and ResNet-50's published descriptors, against the reference outputs."""

import importlib.util
from pathlib import Path

import torch

from telltime.backbones.frame_descriptors import FrameDescriptor
from telltime.backbones.pooling import imac, rmac

_spec = importlib.util.spec_from_file_location("tca_seed", Path(__file__).with_name("tca_seed.py"))
seeds = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(seeds)


def test_imac_and_rmac_of_every_layer(golden):
    stored = golden.npz("tca_pooling.npz")
    maps, wide = seeds.pooled_inputs(golden)
    for name, pool in (("imac", imac), ("rmac", rmac)):
        assert seeds.close(torch.cat([pool(each) for each in maps], 1), stored[name], 1e-6), name
        assert seeds.close(pool(wide), stored[f"wide_{name}"], 1e-6), name


def test_resnet50_describes_as_published(golden):
    stored, seed = golden.npz("tca_pooling.npz"), seeds.tca_seed(golden)
    frames = 0.5 * golden.tensor("pool_frames", (2, 3, 224, 224), seed)
    describer = FrameDescriptor("resnet50", pooling="imac", precision="float32", pretrained=False).eval()
    assert describer.dim == stored["resnet50_imac"].shape[1]
    describer.network.load_state_dict(golden.fill(describer.network.state_dict(), seed + 8))
    assert seeds.close(describer.rows(frames).detach(), stored["resnet50_imac"], 2e-5)
    describer.pooling = "rmac"
    with torch.no_grad():
        assert seeds.close(describer.rows(frames), stored["resnet50_rmac"], 2e-5), "by the fast way"
