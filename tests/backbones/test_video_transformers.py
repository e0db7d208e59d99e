"""Video transformers as their users meet them: other clips, drop path, recomputing, image networks, TCLR."""

from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from telltime.backbones import attention
from telltime.backbones.attention import recomputed
from telltime.backbones.inflation import inflate
from telltime.backbones.timesformer import DividedBlock, TimeSformer
from telltime.backbones.transformer import DropPath, VideoTransformer, resized_positions, resized_times
from telltime.backbones.xvit import XViT
from telltime.checkpoints.build import build, describe

TINY: dict[str, Any] = {"frames": 4, "size": 16, "patch": 8, "dim": 12, "depth": 2, "heads": 3}
KINDS: list[tuple[type[Any], dict[str, Any]]] = [
    (TimeSformer, {}),
    (TimeSformer, {"attention": "joint"}),
    (TimeSformer, {"attention": "space"}),
    (XViT, {}),
]


def made(kind: type[Any], **arguments: Any) -> Any:
    torch.manual_seed(0)
    network = kind(**TINY | arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def clips(frames: int = 4, height: int = 16, width: int = 16, number: int = 2) -> Tensor:
    return torch.randn(number, 3, frames, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("kind", "arguments"), KINDS)
def test_clips_become_a_map_of_tokens_and_a_vector(kind: type[Any], arguments: dict[str, Any]) -> None:
    network = made(kind, **arguments)
    tokens, token = network.tokens_and_class(clips())
    assert tokens.shape == (2, 4, 2, 2, 12)
    assert token.shape == (2, 12)
    assert torch.equal(network(clips()), tokens.permute(0, 4, 1, 2, 3))
    assert network.channels == 12
    laid_out = clips().contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(network(laid_out), network(clips()))
    again: Any = build(**describe(network))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(clips()), network(clips()))


@pytest.mark.parametrize(("kind", "arguments"), KINDS)
def test_clips_of_other_lengths_and_sizes_are_taken(kind: type[Any], arguments: dict[str, Any]) -> None:
    network = made(kind, **arguments)
    for frames, height, width in ((1, 16, 16), (3, 16, 16), (10, 16, 16), (4, 24, 40)):
        assert network(clips(frames, height, width)).shape == (2, 12, frames, height // 8, width // 8)
    with pytest.raises(ValueError, match=r"\[20, 16\] pixels are not made of patches of 8"):
        network(clips(4, 20, 16))


@pytest.mark.parametrize(("kind", "arguments"), KINDS)
def test_only_attention_to_time_sees_the_order_of_frames(kind: type[Any], arguments: dict[str, Any]) -> None:
    network = made(kind, **arguments)
    there, back = network.tokens_and_class(clips()), network.tokens_and_class(clips().flip(2))
    blind = arguments.get("attention") == "space"
    assert torch.allclose(there[1], back[1], atol=1e-5) == blind
    assert torch.allclose(there[0].flip(1), back[0], atol=1e-5) == blind
    patches = network.patches(clips())
    torch.testing.assert_close(network.from_patches(patches.flip(1))[0], back[0])


@pytest.mark.parametrize(("kind", "arguments"), KINDS)
def test_recomputing_blocks_changes_no_gradient(kind: type[Any], arguments: dict[str, Any]) -> None:
    found = []
    for checkpointing in (False, True):
        network = made(kind, checkpointing=checkpointing, drop_path=0.5, **arguments).train()
        torch.manual_seed(3)
        loss = sum(part.square().sum() for part in network.tokens_and_class(clips()))
        loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in network.parameters())])
    for one, other in zip(*found, strict=True):
        assert one is other is None or torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def test_more_sequences_than_a_kernel_takes_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(7, 5, 6)
    whole = attention.attend(x, x, x, 2)
    monkeypatch.setattr(attention, "_MOST", 3)
    torch.testing.assert_close(attention.attend(x, x, x, 2), whole)


def test_recomputed_keeps_only_what_goes_in() -> None:
    kept: list[Tensor] = []
    x = torch.randn(7, 5, requires_grad=True)
    linear = torch.nn.Linear(5, 3)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t), t)[1], lambda t: t):
        out = recomputed(lambda t: linear(t.sin().cos()), x)
    assert all(tensor.data_ptr() == x.data_ptr() for tensor in kept)
    out.sum().backward()
    expected = torch.autograd.grad(linear(x.sin().cos()).sum(), x)[0]
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected)


def test_drop_path_draws_for_each_row_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    ones = torch.ones(40, 50, 3, 2)
    for rows, shape in ((1, (40,)), (2, (40, 50))):
        dropped = drop(ones, rows)
        row = dropped.flatten(rows)
        assert (row == row[..., :1]).all()
        assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
        assert dropped[..., 0, 0].shape[:rows] == shape
    assert drop(ones, 2).mean() == pytest.approx(1, abs=0.05)
    assert drop.eval()(ones) is ones
    with pytest.raises(ValueError, match="below 1, not 1"):
        DropPath(1.0)


def test_the_last_bias_over_time_survives_a_drop() -> None:
    block = DividedBlock(6, 2, drop_path=0.999).train()
    torch.manual_seed(0)
    patches = torch.randn(2, 3, 4, 6)
    torch.nn.init.normal_(block.temporal_fc.bias)
    torch.nn.init.normal_(block.temporal_fc.weight)
    assert torch.equal(block._over_time(patches), block.temporal_fc.bias.expand(2, 3, 4, 6))


def test_an_untrained_timesformer_sees_frames_one_by_one() -> None:
    torch.manual_seed(0)
    divided, alone = TimeSformer(**TINY).eval(), TimeSformer(**TINY, attention="space").eval()
    alone.load_state_dict({key: divided.state_dict()[key] for key in alone.state_dict()})
    torch.testing.assert_close(divided.tokens_and_class(clips(1)), alone.tokens_and_class(clips(1)))


def test_embeddings_are_left_alone_where_they_fit() -> None:
    positions, times = torch.randn(1, 10, 4), torch.arange(4.0).view(1, 4, 1)
    assert resized_positions(positions, 3, 3) is positions
    assert resized_positions(positions, 6, 3).shape == (1, 19, 4)
    assert torch.equal(resized_positions(positions, 6, 3)[:, :1], positions[:, :1])
    assert resized_times(times, 8).flatten().tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert resized_times(times, 2).flatten().tolist() == [0, 2]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"size": 20}, "patches divide the picture"),
        ({"heads": 5}, "5 heads do not divide 12"),
        ({"attention": "both"}, "not 'both'"),
        ({"depth": 0}, "at least 1"),
        ({"image": "no_such_network"}, "no_such_network: there is neither a file nor a timm network"),
    ],
)
def test_what_cannot_be_built_is_told(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TimeSformer(**TINY | arguments)
    with pytest.raises(ValueError, match="div from 2, not 1"):
        XViT(**TINY, shift_div=1)


def vit(**arguments: Any) -> Any:
    sizes = {"img_size": 24, "patch_size": 8, "embed_dim": 12, "depth": 2, "num_heads": 3, "num_classes": 0}
    torch.manual_seed(0)
    return timm.models.vision_transformer.VisionTransformer(**sizes | arguments).eval()


@pytest.mark.parametrize("kind", [TimeSformer, XViT])
@pytest.mark.parametrize("arguments", [{}, {"init_values": 0.3}, {"qkv_bias": False}, {"num_classes": 7}])
def test_a_timm_network_starts_a_network_of_clips(kind: type[VideoTransformer], arguments: Any) -> None:
    image = vit(**arguments)
    network = kind(**TINY | {"size": 24}).eval()  # type: ignore[arg-type]
    found = inflate(network, image.state_dict())
    assert found.unused == (["head.weight", "head.bias"] if "num_classes" in arguments else [])
    still = clips(1, 24, 24)
    tokens = image.forward_features(still[:, :, 0])[:, 1:]
    if kind is TimeSformer:
        torch.testing.assert_close(network.tokens_and_class(still)[0][:, 0].flatten(1, 2), tokens)
    assert {"pos_embed", "norm.weight"} <= set(found.copied)


def test_other_grids_files_and_missing_class_tokens_are_dealt_with(tmp_path: Any) -> None:
    image = vit()
    torch.save(image.state_dict(), tmp_path / "vit.pth")
    network = TimeSformer(**TINY, image=str(tmp_path / "vit.pth"))
    assert network.image == ""
    assert network.pos_embed.shape == (1, 5, 12)
    torch.testing.assert_close(network.pos_embed, resized_positions(image.pos_embed, 2, 2))
    no_row = inflate(TimeSformer(**TINY), vit(no_embed_class=True, reg_tokens=2).state_dict())
    assert no_row.unused == ["reg_token"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"depth": 3}, r"blocks\.2\.norm1\.weight.*no place; take a plain vision transformer of 2 blocks"),
        ({"depth": 1}, r"has no blocks\.1\."),
        ({"embed_dim": 24}, r"its cls_token is \[1, 1, 24\], expected \[1, 1, 12\]"),
        ({"patch_size": 4}, "patch_embed.*width or patches differ"),
        ({"qk_norm": True}, "q_norm"),
        ({"pre_norm": True}, "norm_pre"),
    ],
)
def test_image_networks_that_compute_something_else_are_refused(arguments: Any, says: str) -> None:
    network = TimeSformer(**TINY)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=says):
        inflate(network, vit(**arguments).state_dict())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("frames", [4, 8])
def test_tclr_trains_a_transformer(frames: int) -> None:
    from telltime.methods.tclr import TCLR

    torch.manual_seed(0)
    method = TCLR(TimeSformer(**TINY), dim=4)
    step = method(torch.rand(20, 3, frames, 16, 16))
    step.loss.backward()
    assert method.backbone.cls_token.grad is not None
    assert step.loss.isfinite()
