"""Motionformer, trajectory attention and its approximations against the reference outputs."""

import json
import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from telltime.backbones.attention import SelfAttention
from telltime.backbones.inflation import inflate
from telltime.backbones.landmarks import nystrom, orthoformer, orthogonal_landmarks
from telltime.backbones.motionformer import Motionformer
from telltime.backbones.trajectory import TrajectoryAttention
from telltime.backbones.transformer import Block
from telltime.checkpoints.published import of_time_family


def told(value: Any) -> Any:
    return json.loads(str(value))


def filled(golden: Any, keys: dict[str, list[int]], seed: int) -> dict[str, Tensor]:
    return golden.fill({key: torch.zeros(shape) for key, shape in keys.items()}, seed)


def close(ours: Tensor, stored: Any, atol: float = 2e-6) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), stored, rtol=1e-5, atol=atol)


def published(golden: Any, keys: dict[str, list[int]], seed: int, heads: int) -> tuple[Motionformer, dict[str, Tensor]]:
    """A network with filled weights and the classifier's, through the importer of published layouts."""
    found = of_time_family(filled(golden, keys, seed), {"NUM_HEADS": heads})
    assert found is not None
    assert found.architecture == "Motionformer"
    backbone = Motionformer(**found.init_args).eval()
    backbone.load_state_dict(found.backbone)
    return backbone, found.classifier


def test_the_small_network_gives_the_published_tokens_and_logits(golden: Any) -> None:
    file = golden.npz("time_motionformer.npz")
    config = told(file["config"])
    backbone, classifier = published(golden, told(file["keys"]), config["seed"], config["heads"])
    backbone.double()
    weight, bias = classifier["weight"].double(), classifier["bias"].double()
    shape = (config["B"], config["T"], 3, config["img"], config["img"])
    clips = golden.tensor("time/motionformer/video", shape, config["seed"]).double().transpose(1, 2)
    tokens, token = backbone.tokens_and_class(clips)
    close(tokens.flatten(2, 3), file["tokens"])
    close(token, file["cls"])
    close(token @ weight.T + bias, file["logits"])
    close(backbone(clips).flatten(3).permute(0, 2, 3, 1), file["tokens"])
    shuffled = backbone.patches(clips)[:, file["perms"][0].tolist()]
    close(backbone.from_patches(shuffled)[1] @ weight.T + bias, file["shuffled_logits"])


def of_module(golden: Any) -> tuple[dict[str, Any], dict[str, Any], tuple[int, int, int]]:
    file = golden.npz("time_modules.npz")
    config = told(file["config"])
    return file, config, (config["B"], 1 + config["F"] * config["P"], config["dim"])


@pytest.mark.parametrize("tag", ["trajectory", "trajectory_fixed", "joint", "motionformer_block"])
def test_attention_and_block_alone(tag: str, golden: Any) -> None:
    file, config, shape = of_module(golden)
    dim, heads, seed = config["dim"], config["heads"], config["seed"]
    slipped = TrajectoryAttention(dim, heads, value_slip=True)
    module: nn.Module = {
        "trajectory": slipped,
        "trajectory_fixed": TrajectoryAttention(dim, heads),
        "joint": SelfAttention(dim, heads),
        "motionformer_block": Block(dim, heads, attention=slipped),
    }[tag]
    module.double().load_state_dict(filled(golden, told(file[f"{tag}/keys"]), seed))
    tokens = golden.tensor("mod/tokens", shape, seed).double().requires_grad_()
    frames: Any = {"joint": (), "motionformer_block": (config["F"],)}.get(tag, (None, config["F"]))
    out = module(tokens, *frames)
    close(out, file[tag], 1e-5)
    (out * golden.tensor("mod/weight", shape, seed)).sum().backward()
    close(tokens.grad, file[f"{tag}/dx"], 1e-5)
    named = dict(module.named_parameters())
    norms = torch.stack([named[key].grad.norm() for key in told(file[f"{tag}/keys"])])
    np.testing.assert_allclose(norms.detach(), file[f"{tag}/dparam_norm"], rtol=2e-5, atol=1e-6)


def first_of(rows: int, tokens: int) -> Tensor:
    """The landmark that each row of the reference outputs begins with."""
    return torch.arange(rows) * 7 % tokens


def rows(golden: Any) -> tuple[dict[str, Any], dict[str, Any], list[Tensor]]:
    file, config, _ = of_module(golden)
    shape = (config["B"] * config["heads"], config["F"] * config["P"], config["dim"] // config["heads"])
    return file, config, [golden.tensor(f"mod/{name}", shape, config["seed"]) for name in "qkv"]


def test_orthogonal_landmarks_and_what_is_found_through_them(golden: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file, config, (queries, keys, values) = rows(golden)
    count = file["orthogonal_landmarks"].shape[1]
    first = first_of(len(queries), queries.shape[1])
    close(orthogonal_landmarks(queries, count, first), file["orthogonal_landmarks"])
    close(orthoformer(queries, keys, values, config["F"], count, first), file["orthoformer_shared"], 1e-5)

    _, _, shape = of_module(golden)
    attention = TrajectoryAttention(shape[2], config["heads"], True, "orthoformer", count)
    attention.load_state_dict(filled(golden, told(file["trajectory/keys"]), config["seed"]))
    monkeypatch.setattr(attention, "first_landmarks", lambda rows, tokens, _: first_of(rows, tokens))
    tokens = golden.tensor("mod/tokens", shape, config["seed"])
    close(attention(tokens, None, config["F"]), file["trajectory_orthoformer"], 1e-5)


@pytest.mark.parametrize("how", ["spatial", "frame"])
@pytest.mark.parametrize("division", ["even", "odd"])
def test_nystrom(how: str, division: str, golden: Any) -> None:
    file, config, (queries, keys, values) = rows(golden)
    count = config["P"] if division == "even" else file["orthogonal_landmarks"].shape[1]
    found = nystrom(queries, keys, values, config["F"], count, across_time=how == "spatial")
    close(found, file[f"nystrom_{how}_{division}"], 1e-5)


def test_tubes(golden: Any) -> None:
    file, config, _ = of_module(golden)
    keys = told(file["motionformer_tubes/keys"])
    backbone, classifier = published(golden, keys, config["seed"], config["heads"])
    clips = golden.tensor("mod/tubes", (config["B"], 8, 3, 32, 32), config["seed"]).transpose(1, 2)
    assert backbone.frames == 2 * keys["temp_embed"][1]
    tokens, token = backbone.tokens_and_class(clips)
    assert tokens.shape[1:4] == (4, 2, 2)
    close(token @ classifier["weight"].T + classifier["bias"], file["motionformer_tubes"], 1e-5)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("motionformer", {}), ("motionformer_tubes", {"tube": 2}), ("motionformer_joint", {"position": "joint"})],
)
def test_an_image_network_starts_every_parameter_as_published(name: str, arguments: Any, golden: Any) -> None:
    file = golden.npz("time_init.npz")
    mapping, config = told(file["mapping"]), told(file["config"])
    source = filled(golden, mapping["source_keys"], config["seed"])
    backbone = Motionformer(**{key: config[key] for key in ("dim", "depth", "heads")}, **arguments)
    inflate(backbone, source)
    ours = backbone.state_dict()
    seen = 0
    for theirs, how in mapping[name].items():
        key = theirs.replace("patch_embed_3d.", "patch_embed.")
        if key not in ours:  # a classifier, a module of the temporal tasks, or a position that a joint one replaces
            continue
        seen += 1
        if key in ("patch_embed.proj.weight", "st_embed") and "random" in how:
            continue
        if how in source:
            assert torch.equal(ours[key], source[how]), key
        elif how in ("zeros", "ones"):
            assert (ours[key] == (how == "ones")).all(), key
        else:
            assert ours[key].std() == pytest.approx(float(how.rpartition("=")[2]), rel=0.25), key
    assert seen == len(ours)
    if name == "motionformer_tubes":
        assert torch.equal(ours["patch_embed.proj.weight"][:8], torch.from_numpy(file["motionformer_tubes_proj"]))
    if name == "motionformer_joint":
        places = source["pos_embed"]
        assert torch.equal(ours["st_embed"], torch.cat([places[:, :1], places[:, 1:].repeat(1, 8, 1)], 1))


@pytest.mark.skipif(not os.environ.get("TELLTIME_FULL"), reason="half a minute; asked for by TELLTIME_FULL=1")
def test_the_full_size_network_gives_the_published_numbers(golden: Any) -> None:
    file = golden.npz("time_motionformer_full.npz")
    config = told(file["config"])
    keys = golden.json("time_keys.json")["backbones"]["motionformer"]["keys"]
    backbone, classifier = published(golden, keys, config["seed"], 12)
    shape = (config["B"], config["T"], 3, config["img"], config["img"])
    clips = golden.tensor("time/motionformer/full_video", shape, config["seed"]).transpose(1, 2)
    with torch.no_grad():
        tokens, token = backbone.tokens_and_class(clips)
    close(tokens.flatten(2, 3)[:, :, ::13, ::16], file["tokens"], 2e-4)
    close(token @ classifier["weight"].T + classifier["bias"], file["logits"], 2e-4)
