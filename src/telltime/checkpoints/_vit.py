"""Which network of timm a published vision transformer is, by its sizes."""

from collections.abc import Mapping
from typing import Any

from telltime.checkpoints._dense_files import VitShape
from telltime.checkpoints.errors import CheckpointError

_DINO = {(384, 12): "small", (768, 12): "base"}
_PLAIN = {(192, 12): "tiny", (384, 12): "small", (768, 12): "base", (1024, 24): "large"}
_DINOV2 = {(384, 12): "small", (768, 12): "base", (1024, 24): "large", (1536, 40): "giant"}
_SIDE = {8: 224, 16: 224, 14: 518}


def timm_name(shape: VitShape) -> str | None:
    """timm's name of a transformer of exactly these sizes; ``None`` when it has none."""
    if shape.grid * shape.patch != _SIDE.get(shape.patch) or not shape.class_token:
        return None
    size = (shape.dim, shape.depth)
    if shape.patch == 14 and shape.layer_scale and size in _DINOV2 and shape.gated == (_DINOV2[size] == "giant"):
        if shape.registers == 0 and shape.class_position:
            return f"vit_{_DINOV2[size]}_patch14_dinov2.lvd142m"
        if shape.registers == 4 and not shape.class_position:
            return f"vit_{_DINOV2[size]}_patch14_reg4_dinov2.lvd142m"
        return None
    usual = shape.class_position and not (shape.registers or shape.layer_scale or shape.gated)
    if not usual or shape.mlp != 4 * shape.dim or shape.heads * 64 != shape.dim:
        return None
    if shape.patch in (8, 16) and size in _DINO:
        return f"vit_{_DINO[size]}_patch{shape.patch}_224.dino"
    return f"vit_{_PLAIN[size]}_patch16_224" if shape.patch == 16 and size in _PLAIN else None


def arguments_of(shape: VitShape) -> dict[str, Any]:
    """What :class:`telltime.backbones.dense.DenseEncoder` is built of for a transformer of these sizes."""
    name = timm_name(shape)
    if name is not None:
        return {"name": name, "stride": shape.patch}
    return {"name": "vit", "stride": shape.patch, "shape": shape._asdict()}


def vit_arguments(shape: Mapping[str, Any]) -> dict[str, Any]:
    """What timm's ``VisionTransformer`` is built of for a shape as ``DenseEncoder`` takes it; plain values only.

    Raises:
        CheckpointError: it takes more than plain values.
    """
    told = {"mlp": None, "grid": None, "registers": 0, "class_token": True, "class_position": True} | dict(shape)
    if told.get("gated"):
        raise CheckpointError("a transformer with gated MLPs that timm has no name for is not written for timm")
    patch, dim = int(told["patch"]), int(told["dim"])
    made: dict[str, Any] = {
        "img_size": patch * int(told["grid"] or 224 // patch),
        "patch_size": patch,
        "embed_dim": dim,
        "depth": int(told["depth"]),
        "num_heads": int(told["heads"]),
        "num_classes": 0,
    }
    usual = {
        "mlp_ratio": ((told["mlp"] or 4 * dim) / dim, 4.0),
        "reg_tokens": (int(told["registers"]), 0),
        "class_token": (bool(told["class_token"]), True),
        "no_embed_class": (not told["class_position"], False),
        "init_values": (1e-5 if told.get("layer_scale") else None, None),
        "global_pool": ("token" if told["class_token"] else "avg", "token"),
    }
    return made | {key: value for key, (value, default) in usual.items() if value != default}
