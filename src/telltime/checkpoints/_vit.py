"""Which network of timm a published vision transformer is, by its sizes."""

from collections.abc import Mapping
from typing import Any

from telltime.checkpoints._dense_files import VitShape

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
    """What timm's ``VisionTransformer`` is built of for a shape."""
    made = {
        "img_size": shape["grid"] * shape["patch"],
        "patch_size": shape["patch"],
        "embed_dim": shape["dim"],
        "depth": shape["depth"],
        "num_heads": shape["heads"],
        "num_classes": 0,
    }
    return made
