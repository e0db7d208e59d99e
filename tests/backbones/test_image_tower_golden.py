"""The published preprocessing of photos, and a CLIP tower in the published layout."""

import numpy as np
import pytest
import torch

from telltime.backbones.clip_vision import shape_from, shape_of, timm_state, vision_part
from telltime.backbones.image_tower import ImageTower

PREFIX = "image_encoder.CLIP."


@pytest.fixture(scope="module")
def published(golden):
    """Config and weights of the mini CLIP under their full names."""
    golden.needs("ticl_image_path.npz")
    seed = int(golden.npz("ticl_image_path.npz")["seed"])
    return *golden.mini_clip(seed), seed


def tower_of(config, state, **more):
    vision = vision_part(state)
    shape = shape_from(config)
    assert shape_of(vision, shape.heads) == shape
    made = ImageTower("clip", shape=shape._asdict(), pretrained=False, precision="float32", **more)
    made.network.load_state_dict(timm_state(vision))
    return made


def test_a_published_clip_gives_the_published_features(golden, published):
    config, state, seed = published
    stored = golden.npz("ticl_image_path.npz")
    images = golden.tensor("images", stored["images"].shape, seed)
    np.testing.assert_array_equal(images.numpy(), stored["images"])
    tower = tower_of(config, state)
    assert tower.dim == stored["clip_features"].shape[1]
    with torch.no_grad():
        np.testing.assert_allclose(tower.rows(images).numpy(), stored["clip_features"], atol=2e-6)
    images.requires_grad_()
    found = tower.rows(images)
    np.testing.assert_allclose(found.detach().numpy(), stored["clip_features"], atol=2e-6)
    found.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().max() > 0, "editing goes by the gradient of the pixels"


@pytest.mark.parametrize(("profile", "key"), [("reference", "squash_imagenet"), ("clip", "clip_processor")])
def test_both_published_ways_to_make_pictures_ready(golden, profile, key):
    stored = golden.npz("ticl_preprocess.npz")
    tower = ImageTower("resnet18", profile, size=224, pretrained=False)
    for name in (n for n in stored if n.startswith("image_")):
        number = name.rpartition("_")[2]
        ready = tower.prepare(torch.from_numpy(stored[name]).permute(2, 0, 1))
        assert ready.dtype == torch.uint8
        found, wanted = tower.normalised(ready), stored[f"{key}_{number}"]
        step = -(-found.shape[1] // wanted.shape[1])
        np.testing.assert_allclose(found[:, ::step, ::step].numpy(), wanted, atol=1e-5)
        np.testing.assert_allclose(found.mean((1, 2)).numpy(), stored[f"{key}_mean_{number}"], atol=1e-5)
