"""Motionformer as its users meet it: options, other clips, chunks, gradients, saved weights, approximations."""

from typing import Any

import pytest
import torch
from torch import Tensor

from telltime.backbones import trajectory
from telltime.backbones.landmarks import nystrom, orthogonal_landmarks, pseudo_inverse, segment_means
from telltime.backbones.motionformer import Motionformer
from telltime.backbones.trajectory import TrajectoryAttention
from telltime.checkpoints.build import build, describe
from telltime.checkpoints.published import of_time_family
from telltime.checkpoints.published_time import to_published

TINY: dict[str, Any] = {"frames": 4, "size": 16, "patch": 8, "dim": 12, "depth": 2, "heads": 3}
KINDS: list[dict[str, Any]] = [
    {},
    {"value_slip": True},
    {"attention": "joint"},
    {"attention": "space"},
    {"position": "joint"},
    {"tube": 2},
    {"tube": 2, "position": "joint", "checkpointing": True},
    {"approximation": "orthoformer", "landmarks": 5},
    {"approximation": "nystrom", "landmarks": 5},
]


def made(**arguments: Any) -> Motionformer:
    torch.manual_seed(0)
    network = Motionformer(**TINY | arguments)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def clips(frames: int = 4, height: int = 16, width: int = 16, number: int = 2) -> Tensor:
    return torch.randn(number, 3, frames, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("arguments", KINDS, ids=str)
def test_every_kind_takes_other_clips_learns_everywhere_and_is_built_again(arguments: dict[str, Any]) -> None:
    network, tube = made(**arguments), arguments.get("tube", 1)
    tokens, token = network.tokens_and_class(clips())
    assert tokens.shape == (2, 4 // tube, 2, 2, 12)
    assert token.shape == (2, 12)
    for frames, height, width in ((2, 16, 16), (10, 16, 16), (4, 24, 40)):
        assert network(clips(frames, height, width)).shape == (2, 12, frames // tube, height // 8, width // 8)
    network.train()
    network(clips()).square().sum().backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    again: Any = build(**describe(network))
    again.load_state_dict(network.state_dict())
    torch.testing.assert_close(again.eval()(clips()), network.eval()(clips()))


def test_what_does_not_fit_is_told() -> None:
    for arguments, told in (
        ({"attention": "divided"}, 'attention is "trajectory", "joint" or "space", not \'divided\''),
        ({"position": "none"}, 'position is "separate" or "joint"'),
        ({"tube": 3}, "tubes of 3 frames do not make clips of 4"),
        ({"attention": "joint", "value_slip": True}, "value_slip and approximation are of trajectory attention"),
        ({"approximation": "performer"}, 'approximation is "orthoformer", "nystrom" or nothing'),
        ({"heads": 5}, "5 heads do not divide 12 channels"),
    ):
        with pytest.raises(ValueError, match=told):
            Motionformer(**TINY | arguments)
    with pytest.raises(ValueError, match="clips of 3 frames of 16 x 16 pixels are not made of tubes of 2 frames"):
        made(tube=2)(clips(3))


def plain(attention: TrajectoryAttention, x: Tensor, frames: int) -> Tensor:
    """Trajectory attention token by token and frame by frame, with second keys and values made for each."""
    length, dim = x.shape[1:]
    heads, width = attention.heads, dim // attention.heads
    patches = (length - 1) // frames
    rows = []
    for q, k, v in zip(*attention.qkv(x).chunk(3, -1), strict=True):
        out = torch.zeros(length, dim, dtype=x.dtype)
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            out[0, part] = (q[0, part] @ k[:, part].T * width**-0.5).softmax(0) @ v[:, part]
        for s in range(1, length):
            found = torch.zeros(frames, dim, dtype=x.dtype)
            for f in range(frames):
                of_frame = slice(1 + f * patches, 1 + (f + 1) * patches)
                for h in range(heads):
                    part = slice(h * width, (h + 1) * width)
                    weights = (k[of_frame, part] @ q[s, part] * width**-0.5).softmax(0)
                    found[f, part] = weights @ v[of_frame, part]
            second = attention.proj_q(found[(s - 1) // patches])
            keys, values = attention.proj_kv(found).chunk(2, -1)
            values = found if attention.value_slip else values
            for h in range(heads):
                part = slice(h * width, (h + 1) * width)
                out[s, part] = (keys[:, part] @ second[part] * width**-0.5).softmax(0) @ values[:, part]
        rows.append(attention.proj(out))
    return torch.stack(rows)


@pytest.mark.parametrize("slip", [True, False])
@pytest.mark.parametrize("at_once", [1, 3 * 12 * 4 * 2, 2**22])
def test_projecting_queries_in_pieces_changes_nothing(
    slip: bool, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(trajectory._AT_ONCE, "cpu", at_once)
    torch.manual_seed(3)
    attention = TrajectoryAttention(12, 3, slip).double()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(3, 1 + 5 * 4, 12, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    expected, got = plain(attention, x, 5), attention(x, None, 5)
    torch.testing.assert_close(got, expected)
    parameters = [x, *attention.parameters()]
    wanted = torch.autograd.grad((expected * weight).sum(), parameters)
    for one, other in zip(
        torch.autograd.grad((got * weight).sum(), parameters, retain_graph=True), wanted, strict=True
    ):
        torch.testing.assert_close(one, other)
    if slip:
        assert not torch.autograd.grad(got.sum(), attention.proj_kv.weight)[0][12:].any()


def test_one_clip_does_not_look_at_another() -> None:
    network = made()
    torch.testing.assert_close(network(clips())[1:], network(clips()[1:]))


def test_recomputing_blocks_gives_the_same_gradients() -> None:
    gradients = []
    for checkpointing in (False, True):
        network = made(checkpointing=checkpointing, drop_path=0.5).train()
        torch.manual_seed(4)
        network(clips()).square().sum().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("approximation", ["orthoformer", "nystrom"])
def test_approximations_are_the_same_in_evaluation_and_use_fewer_landmarks_on_small_clips(approximation: str) -> None:
    network = made(approximation=approximation, landmarks=1000)
    assert torch.equal(network(clips()), network(clips()))


def test_nystrom_with_every_token_a_landmark_is_exact() -> None:
    tokens = 4 * torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    values = torch.randn(2, 6, 8, dtype=torch.float64)
    scores = (tokens @ tokens.transpose(1, 2) * 8**-0.5).unflatten(-1, (3, 2)).softmax(-1)
    exact = torch.einsum("rsfp,rfpd->rsfd", scores, values.unflatten(1, (3, 2)))
    torch.testing.assert_close(nystrom(tokens, tokens, values, 3, 6), exact, rtol=1e-4, atol=1e-4)


def test_landmarks_are_different_tokens_in_their_order_and_never_too_many() -> None:
    tokens = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(2))
    found = orthogonal_landmarks(tokens, 7, torch.tensor([0, 3, 6]))
    assert torch.equal(found, tokens)
    axes = torch.eye(4)[None, [0, 0, 1, 1, 2, 3]]
    assert torch.equal(orthogonal_landmarks(axes, 4, torch.tensor([1])).amax(1), torch.ones(1, 4))
    for function in (
        lambda: orthogonal_landmarks(tokens, 8, torch.zeros(3, dtype=torch.long)),
        lambda: segment_means(tokens, 1, 8, False),
    ):
        with pytest.raises(ValueError, match="8 landmarks are asked of 7 tokens"):
            function()


def test_pseudo_inverse_and_segment_means() -> None:
    matrix = (torch.eye(5, dtype=torch.float64) * 4).softmax(-1)
    torch.testing.assert_close(pseudo_inverse(matrix[None])[0] @ matrix, torch.eye(5, dtype=torch.float64))
    tokens = torch.arange(6.0)[None, :, None]
    assert segment_means(tokens, 3, 4, False).flatten().tolist() == [0, 1, 2.5, 4.5]
    assert segment_means(tokens, 3, 2, True).flatten().tolist() == [2, 3]


@pytest.mark.parametrize("arguments", [{}, {"tube": 2}, {"position": "joint"}, {"attention": "joint"}], ids=str)
def test_published_layouts_are_read_and_written(arguments: dict[str, Any]) -> None:
    slip = {} if arguments.get("attention") == "joint" else {"value_slip": True}
    network = made(**arguments, **slip)
    state = to_published("Motionformer", network.state_dict(), {}, {})
    assert ("patch_embed_3d.proj.weight" in state) == ("tube" in arguments)
    if "position" in arguments:
        state["pos_embed"] = torch.zeros(1, 5, 12)
    found = of_time_family(state, {"NUM_HEADS": 3})
    assert found is not None
    assert found.init_args == TINY | arguments | slip
    again = Motionformer(**found.init_args).eval()
    again.load_state_dict(found.backbone)
    assert torch.equal(again(clips()), network(clips()))
