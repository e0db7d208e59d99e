"""CLIP's vision tower as timm has it, from the layout in which it is mostly published (``vision_model.*``)."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")
_OUTER = {
    "pre_layrnorm": "norm_pre",
    "post_layernorm": "norm",
    "embeddings.patch_embedding": "patch_embed.proj",
}
_INNER = {"self_attn.out_proj": "attn.proj", "layer_norm1": "norm1", "layer_norm2": "norm2", "mlp.": "mlp."}


class ClipShape(NamedTuple):
    """Sizes of a tower: numbers of a token, of its MLP's middle and of the projection; layers, heads, pixels."""

    width: int
    mlp: int
    layers: int
    heads: int
    patch: int
    size: int
    dim: int


def clip_network(shape: ClipShape) -> nn.Module:
    """The tower of a shape with its projection as last layer, weights as initialised: ``[N, 3, S, S]`` to ``[N, dim]``.

    As OpenAI's: a norm before the layers, quick GELU, the class token read out.
    """
    from timm.models.vision_transformer import VisionTransformer

    made: nn.Module = VisionTransformer(
        img_size=shape.size,
        patch_size=shape.patch,
        embed_dim=shape.width,
        depth=shape.layers,
        num_heads=shape.heads,
        mlp_ratio=shape.mlp / shape.width,
        num_classes=shape.dim,
        pre_norm=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
        act_layer="quick_gelu",
    )
    return made


def vision_part(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What belongs to the vision tower, whatever its keys begin with (``image_encoder.CLIP.``, ``module.``).

    Raises:
        ValueError: the state holds no vision tower with its projection.
    """
    prefix = next((key.partition("vision_model.")[0] for key in state if "vision_model." in key), None)
    if prefix is None or f"{prefix}visual_projection.weight" not in state:
        raise ValueError("it holds no CLIP vision tower: expected vision_model.* and visual_projection.weight")
    wanted = (f"{prefix}vision_model.", f"{prefix}visual_projection.")
    kept = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(wanted)}
    return {key: value for key, value in kept.items() if not key.endswith("position_ids")}


def shape_of(state: Mapping[str, Tensor], heads: int | None = None) -> ClipShape:
    """The shape that a published vision tower has.

    Args:
        state: as :func:`vision_part` gives it.
        heads: of attention, which weights do not tell; by default one for 64 numbers, as all of OpenAI's have.

    Raises:
        ValueError: a weight is missing or the heads do not divide the width.
    """
    try:
        width, _, patch, _ = state["vision_model.embeddings.patch_embedding.weight"].shape
        places = len(state["vision_model.embeddings.position_embedding.weight"])
        mlp = len(state["vision_model.encoder.layers.0.mlp.fc1.weight"])
        dim = len(state["visual_projection.weight"])
    except (KeyError, ValueError) as error:
        raise ValueError(f"it holds no whole CLIP vision tower ({error})") from error
    layers = len({found.group(1) for key in state if (found := _LAYER.search(key))})
    heads = heads or max(1, width // 64)
    if width % heads:
        raise ValueError(f"{heads} heads do not divide a width of {width}")
    return ClipShape(width, mlp, layers, heads, patch, round((places - 1) ** 0.5) * patch, dim)


def timm_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under timm's names; attention's three projections become one.

    Args:
        state: as :func:`vision_part` gives it.
    """
    made: dict[str, Tensor] = {}
    projection = state["visual_projection.weight"]
    made["head.weight"], made["head.bias"] = projection, projection.new_zeros(len(projection))
    for full, value in state.items():
        key = full.removeprefix("vision_model.")
        if key == "visual_projection.weight":
            continue
        if key == "embeddings.class_embedding":
            made["cls_token"] = value.reshape(1, 1, -1)
        elif key == "embeddings.position_embedding.weight":
            made["pos_embed"] = value[None]
        elif layer := _LAYER.match(key):
            block, rest = f"blocks.{layer.group(1)}.", key[layer.end() :]
            if rest.startswith("self_attn.q_proj."):
                parts = [state[full.replace("q_proj", f"{which}_proj")] for which in "qkv"]
                made[f"{block}attn.qkv.{rest.rpartition('.')[2]}"] = torch.cat(parts)
            elif not rest.startswith(("self_attn.k_proj.", "self_attn.v_proj.")):
                made[block + _renamed(rest, _INNER)] = value
        else:
            made[_renamed(key, _OUTER)] = value
    return made


def _renamed(key: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if key.startswith(old):
            return new + key[len(old) :]
    return key


def shape_from(config: Mapping[str, Any]) -> ClipShape:
    """The shape that a published ``config.json`` tells, of CLIP or of its vision part with ``projection_dim``."""
    vision = config.get("vision_config") or config
    return ClipShape(
        int(vision.get("hidden_size", 768)),
        int(vision.get("intermediate_size", 3072)),
        int(vision.get("num_hidden_layers", 12)),
        int(vision.get("num_attention_heads", 12)),
        int(vision.get("patch_size", 32)),
        int(vision.get("image_size", 224)),
        int(config.get("projection_dim", vision.get("projection_dim", 512))),
    )
