"""Published files of image transformers, taken apart by their keys."""

from typing import Any

import pytest
import torch
from torch import Tensor
from vit_toys import DEPTH, DIM, below, head, timet, vit

from telltime.checkpoints._dense_files import VitShape, dense_parts, holds_backbone
from telltime.checkpoints._vit import timm_name
from telltime.checkpoints.errors import CheckpointError


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize(
    "content",
    [
        vit(),
        below("module.", vit()),
        below("model.", vit()),
        below("model.module.", vit()) | {"model.projection_head.0.weight": torch.zeros(3, 3)},
        {"state_dict": below("_orig_mod.", vit()), "epoch": 3},
        {"model": vit() | {"head.weight": torch.zeros(10, DIM), "head.bias": torch.zeros(10)}},
        below("backbone.", vit()),
        vit() | {"mask_token": torch.zeros(1, DIM)},
    ],
    ids=["dino", "parallel", "leopart", "with-head", "compiled", "timm", "backbone", "neco"],
)
def test_a_backbone_is_found_whatever_stands_before_it(content: dict[str, Any]) -> None:
    parts = dense_parts(content)
    assert same(parts.backbone, vit())
    assert parts.shape == VitShape(16, DIM, DEPTH, 1, 4 * DIM, 4)
    assert (parts.method, parts.which) == ("vit", "")
    assert holds_backbone(content)


def test_what_is_left_out_is_named() -> None:
    parts = dense_parts(below("model.", vit() | {"head.weight": torch.zeros(10, DIM)}) | {"best": torch.zeros(1)})
    assert parts.unused == ("model.head.weight", "best")


@pytest.mark.parametrize("before", ["", "module.", "model."])
def test_timet_without_a_teacher_is_the_student(before: str) -> None:
    content = timet(before=before) | {"finetune_head.weight": torch.zeros(21, DIM, 1, 1)}
    for which in (None, "student"):
        parts = dense_parts(content, which)
        assert (parts.method, parts.which) == ("timet", "student")
        assert same(parts.backbone, vit(1))
        assert same(parts.head, head(1))
        assert parts.prototypes is not None
        assert parts.prototypes.unique().tolist() == [1.0]
        assert parts.unused == ("finetune_head.weight",)
    with pytest.raises(CheckpointError, match="it holds no teacher, only the student"):
        dense_parts(content, "teacher")


@pytest.mark.parametrize("wrapped", [False, True], ids=["saved", "training-state"])
@pytest.mark.parametrize(("which", "seed"), [("student", 1), ("teacher", 2)])
def test_timet_with_a_teacher_asks_which(wrapped: bool, which: str, seed: int) -> None:
    state = timet(teacher=True, before="module." if wrapped else "")
    content = {"epoch": 1, "model": state, "optimizer": {}} if wrapped else state
    with pytest.raises(CheckpointError, match="--which student or --which teacher"):
        dense_parts(content)
    parts = dense_parts(content, which)
    assert (parts.method, parts.which) == ("timet", which)
    assert same(parts.backbone, vit(seed))
    assert same(parts.head, head(seed))
    assert parts.prototypes is not None
    assert parts.prototypes.unique().tolist() == [float(seed)]
    assert len(parts.unused) == len(state) // 2


@pytest.mark.parametrize(("which", "seed"), [("student", 1), ("teacher", 2)])
def test_the_later_layout_of_its_authors(which: str, seed: int) -> None:
    state = {"prototypes": torch.full((5, 16), 1.0), "teacher_prototypes": torch.full((5, 16), 2.0)}
    for backbone, heads, number in (
        ("feature_extractor.model.", "mlp_head.", 1),
        ("teacher.model.", "teacher_mlp_head.", 2),
    ):
        state |= below(backbone, vit(number)) | below(heads, head(number))
    state["up_sampler.up1.weight"] = torch.zeros(2)
    for content in (state, below("module.", state)):
        parts = dense_parts(content, which)
        assert (parts.method, parts.which) == ("timet-clean", which)
        assert same(parts.backbone, vit(seed))
        assert same(parts.head, head(seed))
        assert parts.prototypes is not None
        assert parts.prototypes.unique().tolist() == [float(seed)]
        assert len(parts.unused) == len(state) // 2 + 1
    with pytest.raises(CheckpointError, match="--which student or"):
        dense_parts(state)


def test_a_training_state_of_dino_gives_the_teacher_unless_asked() -> None:
    last = {"head.last_layer.weight_g": torch.zeros(7, 1), "head.last_layer.weight_v": torch.zeros(7, 4)}
    content = {
        "student": below("module.", below("backbone.", vit(1)) | last),
        "teacher": below("backbone.", vit(2)) | last,
        "optimizer": {"state": {}},
        "epoch": 3,
    }
    parts = dense_parts(content)
    assert (parts.method, parts.which) == ("dino", "teacher")
    assert same(parts.backbone, vit(2))
    assert any("--which student" in note for note in parts.notes)
    assert same(dense_parts(content, "student").backbone, vit(1))
    alone = {"teacher": content["teacher"]}
    assert dense_parts(alone).which == "teacher"
    with pytest.raises(CheckpointError, match="no student"):
        dense_parts(alone, "student")


def test_registers_scales_and_chunks_of_dinov2_become_timms() -> None:
    raw = vit(registers=4, layer_scale=True, patch=14)
    chunked = {
        key.replace("blocks.", "blocks.0.") if key.startswith("blocks.") else key: value for key, value in raw.items()
    }
    for content in (raw, chunked):
        parts = dense_parts(content | {"mask_token": torch.zeros(1, DIM)})
        assert parts.method == "dinov2"
        assert parts.shape[-5:] == (4, True, False, True, False)
        assert torch.equal(parts.backbone["cls_token"], raw["cls_token"] + raw["pos_embed"][:, :1])
        assert torch.equal(parts.backbone["pos_embed"], raw["pos_embed"][:, 1:])
        assert "blocks.2.ls2.gamma" in parts.backbone


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"blocks.1.attn.q_norm.weight": torch.zeros(4)}, "not known here: blocks.1.attn.q_norm.weight"),
        ({"norm_pre.weight": torch.zeros(4)}, "not known here: norm_pre.weight"),
        ({"rope_embed.periods": torch.zeros(4)}, "not known here"),
        ({"pos_embed": torch.zeros(1, 12, DIM)}, "12 places, which are no square"),
        ({"pos_embed": torch.zeros(1, 17, 3)}, "pos_embed is"),
        ({"patch_embed.proj.weight": torch.zeros(DIM, 1, 16, 16)}, "patch embedding is"),
        ({"blocks.7.norm1.weight": torch.zeros(4)}, "without a gap"),
    ],
)
def test_other_transformers_are_refused_rather_than_half_loaded(change: dict[str, Tensor], told: str) -> None:
    with pytest.raises(CheckpointError, match=told.replace("[", r"\[")):
        dense_parts(vit() | change)


def test_files_without_a_whole_backbone_are_refused() -> None:
    with pytest.raises(CheckpointError, match="no image transformer"):
        dense_parts({"conv1.weight": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="no state_dict of tensors"):
        dense_parts({"epoch": 3})
    with pytest.raises(CheckpointError, match=r"lacks norm\.weight"):
        dense_parts({key: value for key, value in vit().items() if key != "norm.weight"})
    with pytest.raises(CheckpointError, match="several backbones"):
        dense_parts(below("first.", vit()) | below("second.", vit()))
    with pytest.raises(CheckpointError, match="leave --which student out"):
        dense_parts(vit(), "student")
    with pytest.raises(CheckpointError, match="5 heads do not divide a width of 64"):
        dense_parts(vit(), heads=5)
    assert not holds_backbone({"epoch": 3})


def test_published_sizes_have_timms_names() -> None:
    small = VitShape(16, 384, 12, 6, 1536, 14)
    assert timm_name(small) == "vit_small_patch16_224.dino"
    assert timm_name(small._replace(patch=8, grid=28)) == "vit_small_patch8_224.dino"
    assert timm_name(small._replace(dim=768, heads=12, mlp=3072)) == "vit_base_patch16_224.dino"
    v2 = VitShape(14, 384, 12, 6, 1536, 37, layer_scale=True)
    assert timm_name(v2) == "vit_small_patch14_dinov2.lvd142m"
    assert timm_name(v2._replace(registers=4, class_position=False)) == "vit_small_patch14_reg4_dinov2.lvd142m"
    assert timm_name(v2._replace(grid=16)) is None
    assert timm_name(small._replace(depth=9)) is None


def test_the_published_keys(golden: Any) -> None:
    golden.needs("timet_checkpoint_keys.json")
    keys = golden.json("timet_checkpoint_keys.json")
    full, with_teacher = "dino_vits16_full_checkpoint.teacher", "timet_saved_with_teacher_and_queue"
    layouts = ["dino_vits16_backbone", full, "timet_saved_without_teacher", "linear_finetune.pth", with_teacher]
    states = {name: {key: torch.zeros(()).expand(shape) for key, shape in keys[name].items()} for name in layouts}
    for name in layouts:
        content = {"teacher": states[name]} if name == full else states[name]
        parts = dense_parts(content, "teacher" if name == with_teacher else None)
        assert {key: list(value.shape) for key, value in parts.backbone.items()} == keys["dino_vits16_backbone"]
        assert timm_name(parts.shape) == "vit_small_patch16_224.dino"
        assert parts.shape.told() == "ViT-S/16"
        trained = "timet" in name or "linear" in name
        assert (len(parts.head), parts.prototypes is not None) == ((8, True) if trained else (0, False))
        assert len(parts.backbone) + len(parts.head) + trained + len(parts.unused) == len(states[name])
