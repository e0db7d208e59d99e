"""Encoders of places: any transformer, any maps, and two passes that are one."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.build import build, describe

TINY: dict[str, Any] = {"patch": 8, "dim": 24, "depth": 3, "heads": 2, "grid": 4}


def tiny(**changes: Any) -> DenseEncoder:
    torch.manual_seed(0)
    return DenseEncoder("tiny", shape=TINY | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch": 14, "registers": 4, "class_position": False, "layer_scale": True},
        {"class_token": False},
        {"mlp": 64, "gated": True},
    ],
    ids=["plain", "dinov2", "no-class", "gated"],
)
@pytest.mark.parametrize("position", ["published", "size"])
def test_transformers_of_any_kind(changes: dict[str, Any], position: str) -> None:
    encoder = tiny(**changes)
    encoder.position = position  # type: ignore[assignment]
    patch = encoder.stride
    images = torch.randn(2, 3, 3 * patch, 5 * patch)
    assert encoder(images).shape == (2, 24, 3, 5)
    native = torch.randn(1, 3, 4 * patch, 4 * patch)
    prefix = encoder.tokens(native).shape[1] - 16
    torch.testing.assert_close(encoder.tokens(native), encoder.network.forward_features(native))
    assert prefix == changes.get("registers", 0) + changes.get("class_token", True)


@pytest.mark.parametrize(("name", "stage"), [("vit_tiny_patch16_224", None), ("resnet18", 3), ("convnext_atto", 2)])
def test_two_passes_are_one_pass(name: str, stage: int | None) -> None:
    encoder = DenseEncoder(name, pretrained=False)
    images = torch.randn(1, 3, 64, 96)
    state = encoder.frozen(images)
    assert not state.values.requires_grad
    features = encoder.tail(state)
    assert features.shape == (1, encoder.channels, 4, 6)
    features.square().mean().backward()
    tuned = [name for name, p in encoder.network.named_parameters() if p.requires_grad]
    assert tuned
    for key, parameter in encoder.network.named_parameters():
        assert (parameter.grad is not None) == (key in tuned), key
    if stage is not None:
        maps = encoder.network.forward_intermediates(images, indices=[stage], intermediates_only=True)
        torch.testing.assert_close(features, maps[0])


def test_the_embedded_network_needs_no_download_and_keeps_its_statistics() -> None:
    encoder = DenseEncoder()
    before = copy.deepcopy(encoder.state_dict())
    encoder.train()
    frames = torch.randint(0, 256, (2, 3, 48, 80), dtype=torch.uint8)
    alone = torch.cat([encoder(encoder.prepare(frame[None])) for frame in frames])
    torch.testing.assert_close(encoder(encoder.prepare(frames)), alone, atol=1e-4, rtol=1e-4)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert alone.shape == (2, 112, 3, 5)
    assert encoder.tuned == ["blocks.3.", "blocks.4."]
    assert not any(p.requires_grad for key, p in encoder.network.named_parameters() if key.startswith("conv_head"))


def test_sides_that_no_patch_divides_are_covered_whole() -> None:
    encoder = tiny()
    picture = torch.zeros(1, 3, 35, 45)
    picture[..., -3:] = 5
    edge = encoder(picture)
    assert edge.shape == (1, 24, 4, 6)
    assert (edge[..., -1] - encoder(torch.zeros(1, 3, 32, 48))[..., -1]).abs().max() > 1e-2
    assert encoder(torch.zeros(1, 3, 3, 3)).shape == (1, 24, 1, 1)


def test_rules_of_positions_differ_off_the_grid_only() -> None:
    encoder = tiny()
    nn.init.normal_(encoder.network.pos_embed)
    at, off = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 40, 24)
    published = encoder(at), encoder(off)
    encoder.position = "size"
    torch.testing.assert_close(encoder(at), published[0])
    assert (encoder(off) - published[1]).abs().max() > 1e-3


def test_attention_comes_with_the_features() -> None:
    encoder = tiny(registers=2)
    images = torch.randn(2, 3, 32, 40)
    features, attention = encoder.tail_and_attention(encoder.frozen(images))
    torch.testing.assert_close(attention, encoder.attention(images))
    torch.testing.assert_close(features, encoder(images))
    assert attention.shape == (2, 2, 4, 5)
    assert ((attention.sum((2, 3)) > 0) & (attention.sum((2, 3)) < 1)).all()
    with pytest.raises(ValueError, match="no class token"):
        tiny(class_token=False).attention(images)
    with pytest.raises(ValueError, match="resnet18 has no attention"):
        DenseEncoder("resnet18", pretrained=False).attention(images)


def test_names_choose_what_is_tuned() -> None:
    def tuned(names: list[str]) -> set[str]:
        encoder = DenseEncoder("tiny", shape=TINY | {"depth": 12}, tuned=names)
        return {".".join(key.split(".")[:2]) for key, p in encoder.network.named_parameters() if p.requires_grad}

    assert tuned(["blocks.1"]) == {"blocks.1", "blocks.10", "blocks.11"}
    assert tuned(["blocks.1."]) == {"blocks.1"}
    assert tuned(["blocks.11", "norm.w"]) == {"blocks.11", "norm.weight"}
    assert "cls_token" in tuned(["cls_token"])
    with pytest.raises(ValueError, match=r"blocks\.12"):
        tuned(["blocks.12."])
    with pytest.raises(ValueError, match="conv_head"):
        DenseEncoder(tuned=["conv_head"])


def test_it_is_built_again_from_what_is_written_of_it() -> None:
    encoder = tiny(registers=1)
    told = describe(encoder)
    twin = build(**told)
    twin.load_state_dict(encoder.state_dict())
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(twin(images), encoder(images))
    torch.testing.assert_close(copy.deepcopy(encoder)(images), encoder(images))
    with torch.device("meta"):
        bare = DenseEncoder(pretrained=False)
    assert list(bare.state_dict()) == list(DenseEncoder().state_dict())


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="it has 2, 4, 8, 16, 32"):
        DenseEncoder(stride=12)
    with pytest.raises(ValueError, match="position"):
        DenseEncoder(position="none")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="lacks depth, heads"):
        DenseEncoder("mine", shape={"patch": 8, "dim": 24})
    with pytest.raises(ValueError, match="no 'width'"):
        DenseEncoder("mine", shape=TINY | {"width": 1})
    with pytest.raises(ValueError, match="takes no size"):
        DenseEncoder("resnet18", size=96, pretrained=False)
    with pytest.raises(ValueError, match="uint8"):
        tiny().prepare(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0", "convnext_atto"])
def test_a_deep_encoder_gives_the_last_map_at_the_stride(name: str) -> None:
    encoder = DenseEncoder(name, pretrained=False, deep=True)
    images = torch.randn(1, 3, 64, 96)
    features = encoder(images)
    assert features.shape == (1, encoder.channels, 4, 6)
    torch.testing.assert_close(features, encoder.network.forward_features(images))
    assert 0 < encoder._first < len(encoder._parts())
    with torch.random.fork_rng():
        again: Any = build(**describe(encoder))
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(images), features)


def test_a_transformer_has_no_deeper_map() -> None:
    with pytest.raises(ValueError, match="runs no stage dilated"):
        DenseEncoder("vit_tiny_patch16_224", pretrained=False, deep=True)
