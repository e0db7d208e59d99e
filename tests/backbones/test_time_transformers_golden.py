"""The three video transformers through the importer, blocks of two and every start from images, against references."""

import json
import os
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from telltime.backbones.attention import SelfAttention, ShiftedAttention, time_shift
from telltime.backbones.inflation import inflate
from telltime.backbones.motionformer import Motionformer
from telltime.backbones.timesformer import DividedBlock, TimeSformer
from telltime.backbones.transformer import Block
from telltime.backbones.xvit import TemporalHead, XViT
from telltime.checkpoints.published import of_time_family
from telltime.checkpoints.published_time import LAYOUTS

KINDS: dict[str, type[Any]] = {"timesformer": TimeSformer, "motionformer": Motionformer, "xvit": XViT}
ARCHITECTURES = {"timesformer": "TimeSformer", "motionformer": "Motionformer", "xvit": "X-ViT"}


def told(value: Any) -> Any:
    return json.loads(str(value))


def filled(golden: Any, keys: dict[str, list[int]], seed: int) -> dict[str, Tensor]:
    return golden.fill({key: torch.zeros(shape) for key, shape in keys.items()}, seed)


def small(golden: Any, name: str) -> tuple[dict[str, Any], dict[str, Any], Any, Any]:
    """File, config, backbone in double precision and classifier, through the importer of published layouts."""
    file = golden.npz(f"time_{name}.npz")
    config = told(file["config"])
    settings = {"NUM_HEADS": config["heads"], "SHIFT_DIV": config["div"]}
    found = of_time_family(filled(golden, told(file["keys"]), config["seed"]), settings)
    assert found is not None
    assert found.architecture == ARCHITECTURES[name]
    backbone = KINDS[name](**found.init_args).double().eval()
    backbone.load_state_dict(found.backbone)
    classifier = nn.Linear(config["dim"], config["classes"]).double()
    classifier.load_state_dict(found.classifier)
    return file, config, backbone, classifier


def video(golden: Any, name: str, config: dict[str, Any]) -> Tensor:
    shape = (config["B"], config["T"], 3, config["img"], config["img"])
    return golden.tensor(f"time/{name}/video", shape, config["seed"]).double().transpose(1, 2)


def close(ours: Tensor, stored: Any, atol: float = 2e-6) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), stored, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_small_networks_give_the_published_tokens_and_logits(name: str, golden: Any) -> None:
    file, config, backbone, classifier = small(golden, name)
    clips = video(golden, name, config)
    tokens, token = backbone.tokens_and_class(clips)
    close(tokens.flatten(2, 3), file["tokens"])
    close(token, file["temporal_cls"] if name == "xvit" else file["cls"])
    close(classifier(token), file["logits"])
    shuffled = clips[:, :, file["perms"][0].tolist()]
    close(classifier(backbone.tokens_and_class(shuffled)[1]), file["shuffled_logits"])
    patches = backbone.patches(clips)[:, file["perms"][0].tolist()]
    close(classifier(backbone.from_patches(patches)[1]), file["shuffled_logits"])
    if name == "xvit":
        close(backbone.frame_tokens(backbone.patches(clips))[1], file["cls"])


def test_timesformer_takes_another_number_of_frames(golden: Any) -> None:
    file, config, backbone, classifier = small(golden, "timesformer")
    for frames in (6, 10):
        shape = (1, frames, 3, config["img"], config["img"])
        clips = golden.tensor("time/timesformer/video_other", shape, config["seed"]).double().transpose(1, 2)
        logits = classifier(backbone.tokens_and_class(clips)[1])
        if np.abs(logits.detach().numpy() - file["logits_other_T"]).max() < 2e-6:
            return
    raise AssertionError("neither 6 nor 10 frames give the stored logits")


def weighed(module: nn.Module, golden: Any, tag: str, *args: Any) -> None:
    """A module alone: what it gives, and gradients of its tokens and of every parameter."""
    file = golden.npz("time_modules.npz")
    config = told(file["config"])
    module.double().load_state_dict(filled(golden, told(file[f"{tag}/keys"]), config["seed"]))
    shape = (config["B"], 1 + config["F"] * config["P"], config["dim"])
    tokens = golden.tensor("mod/tokens", shape, config["seed"]).double().requires_grad_()
    out = module(tokens, *args)
    close(out, file[tag])
    (out * golden.tensor("mod/weight", shape, config["seed"])).sum().backward()
    close(tokens.grad, file[f"{tag}/dx"], 1e-5)
    named = dict(module.named_parameters())
    norms = [named[key].grad.norm() for key in told(file[f"{tag}/keys"])]
    np.testing.assert_allclose(torch.stack(norms).detach(), file[f"{tag}/dparam_norm"], rtol=2e-5)


def test_a_divided_block_and_joint_attention_alone(golden: Any) -> None:
    config = told(golden.npz("time_modules.npz")["config"])
    weighed(DividedBlock(config["dim"], config["heads"]), golden, "timesformer_block", config["F"])
    weighed(SelfAttention(config["dim"], config["heads"]), golden, "joint")


def test_shifts_mixing_block_and_temporal_head_alone(golden: Any) -> None:
    file = golden.npz("time_modules.npz")
    config = told(file["config"])
    videos, frames, patches, dim, heads, seed = (config[key] for key in ("B", "F", "P", "dim", "heads", "seed"))
    each = golden.tensor("mod/shift", (videos * frames, heads, patches + 1, dim // heads), seed)
    for div in (4, 8):
        flat = each.transpose(1, 2).flatten(2).unflatten(0, (videos, frames))
        shifted = time_shift(flat, div).flatten(0, 1).unflatten(-1, (heads, -1)).transpose(1, 2)
        close(shifted, file[f"shift_div{div}"], 0)
    block = Block(dim, heads, attention=ShiftedAttention(dim, heads, 4))
    block.load_state_dict(filled(golden, told(file["xvit_block/keys"]), seed))
    tokens = golden.tensor("mod/frame_tokens", (videos * frames, 1 + patches, dim), seed)
    close(block(tokens.unflatten(0, (videos, frames))).flatten(0, 1), file["xvit_block"], 1e-5)

    state = filled(golden, told(file["xvit_head/keys"]), seed)
    names = [(theirs.removeprefix("consensus."), ours) for ours, theirs in LAYOUTS["X-ViT"].names if ours]
    ours = {}
    for key, value in state.items():
        if not key.startswith("head."):
            theirs, name = next(pair for pair in names if key.startswith(pair[0]))
            ours[name.removeprefix("temporal_head.") + key.removeprefix(theirs)] = value
    head = TemporalHead(dim, heads).eval()
    head.load_state_dict(ours)
    feature = head(golden.tensor("mod/frames", (videos, frames, dim), seed))
    close(feature, file["xvit_head_feature"], 1e-5)
    close(feature @ state["head.weight"].T + state["head.bias"], file["xvit_head"], 1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_image_network_starts_every_parameter_as_published(name: str, golden: Any) -> None:
    file = golden.npz("time_init.npz")
    mapping, config = told(file["mapping"]), told(file["config"])
    source = filled(golden, mapping["source_keys"], config["seed"])
    sizes: dict[str, Any] = {key: config[key] for key in ("dim", "depth", "heads")}
    backbone = KINDS[name](**sizes)
    found = inflate(backbone, source)
    assert set(found.unused) == {"head.weight", "head.bias"}
    ours = backbone.state_dict()
    published = {key: key for key in mapping[name]}
    if name == "xvit":
        published = {}
        for key in ours:
            begins, theirs = next(pair for pair in LAYOUTS["X-ViT"].names if key.startswith(pair[0]))
            published[theirs + key[len(begins) :]] = key
    for theirs, how in mapping[name].items():
        if published.get(theirs) not in ours:  # a classifier, or a module of the temporal tasks
            continue
        value = ours[published[theirs]]
        if how in source:
            assert torch.equal(value, source[how]), theirs
        elif how in ("zeros", "ones"):
            assert (value == (how == "ones")).all(), theirs
        else:
            told_std = float(how.rpartition("=")[2])
            assert value.float().std() == pytest.approx(told_std, rel=0.25), theirs


def test_positions_of_another_grid_are_interpolated_on_the_way(golden: Any) -> None:
    file = golden.npz("time_init.npz")
    mapping, config = told(file["mapping"]), told(file["config"])
    sizes = {key: config[key] for key in ("dim", "depth", "heads")}
    backbone = TimeSformer(size=config["resized_img"], **sizes)
    inflate(backbone, filled(golden, mapping["source_keys"], config["seed"]))
    close(backbone.pos_embed, file["timesformer_pos_embed_resized"], 1e-6)


@pytest.mark.skipif(not os.environ.get("TELLTIME_FULL"), reason="half a minute a network; asked for by TELLTIME_FULL=1")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_full_size_networks_give_the_published_numbers(name: str, golden: Any) -> None:
    file = golden.npz(f"time_{name}_full.npz")
    config = told(file["config"])
    keys = golden.json("time_keys.json")["backbones"][name]["keys"]
    found = of_time_family(filled(golden, keys, config["seed"]), {})
    assert found is not None
    backbone = KINDS[name](**found.init_args).eval()
    backbone.load_state_dict(found.backbone)
    shape = (config["B"], config["T"], 3, config["img"], config["img"])
    clips = golden.tensor(f"time/{name}/full_video", shape, config["seed"]).transpose(1, 2)
    with torch.no_grad():
        tokens, token = backbone.tokens_and_class(clips)
    close(tokens.flatten(2, 3)[:, :, ::13, ::16], file["tokens"], 2e-4)
    logits = token @ found.classifier["weight"].T + found.classifier["bias"]
    close(logits, file["logits"], 2e-4)
