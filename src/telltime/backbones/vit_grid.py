"""Vision transformers as encoders of places: built to any size, fed pictures of any shape, walked part by part."""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.backbones.grid_parts import Part, State

POSITIONS = ("published", "size")


def is_vit(network: Any) -> bool:
    """Whether it is one of timm's plain transformers, whose blocks can be walked one by one."""
    from timm.models.eva import Eva
    from timm.models.vision_transformer import VisionTransformer

    return isinstance(network, VisionTransformer | Eva)


def make_vit(shape: Mapping[str, Any]) -> Any:
    """timm's ``VisionTransformer`` of given sizes, random, its weights under DINO's and timm's names.

    Args:
        shape: ``patch``, ``dim``, ``depth`` and ``heads``; further ``grid`` (patches, each way, it has positions for;
            by default those of 224 pixels), ``mlp`` (4 times ``dim``), ``registers`` (0), ``class_token`` (true),
            ``class_position`` (whether it has a position of its own: true), ``layer_scale`` (false) and ``gated``
            (SwiGLU in the MLPs: false).

    Raises:
        ValueError: a size is missing, unknown or does not fit the others.
    """
    from timm.models.vision_transformer import VisionTransformer

    needed = ("patch", "dim", "depth", "heads")
    known: dict[str, Any] = {"mlp": None, "grid": None, "registers": 0, "class_token": True, "class_position": True}
    known |= {"layer_scale": False, "gated": False}
    if missing := [key for key in needed if key not in shape]:
        raise ValueError(f"the shape of a transformer lacks {', '.join(missing)}")
    if odd := sorted(set(shape) - {*needed, *known}):
        raise ValueError(f"the shape of a transformer has no {odd[0]!r}; it has {', '.join([*needed, *known])}")
    told = known | dict(shape)
    patch, dim = int(told["patch"]), int(told["dim"])
    if dim % int(told["heads"]):
        raise ValueError(f"{told['heads']} heads do not share {dim} numbers evenly")
    more: dict[str, Any] = {}
    if told["gated"]:
        from timm.layers import SwiGLUPacked

        more = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU}
    made = VisionTransformer(
        img_size=patch * int(told["grid"] or 224 // patch),
        patch_size=patch,
        embed_dim=dim,
        depth=int(told["depth"]),
        num_heads=int(told["heads"]),
        mlp_ratio=(told["mlp"] or 4 * dim) / dim,
        reg_tokens=int(told["registers"]),
        class_token=bool(told["class_token"]),
        no_embed_class=not told["class_position"],
        init_values=1e-5 if told["layer_scale"] else None,
        global_pool="token" if told["class_token"] else "avg",
        num_classes=0,
        **more,
    )
    take_any_size(made)
    return made


def take_any_size(network: Any) -> None:
    """Let a transformer take pictures of any size, as timm's ``dynamic_img_size`` does."""
    from timm.layers import Format

    network.dynamic_img_size = True
    network.patch_embed.strict_img_size = False
    network.patch_embed.flatten = False
    network.patch_embed.output_fmt = Format.NHWC


class VitGrid:
    """How pictures go through a transformer part by part; it holds no weights of its own.

    Args:
        network: timm's ``VisionTransformer`` or ``Eva``, of any size (:func:`take_any_size`).
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.patch = int(network.patch_embed.patch_size[0])
        self.prefix = int(network.num_prefix_tokens)
        self.depth = len(network.blocks)

    def part_of(self, parameter: str) -> int | None:
        """Which of :meth:`parts` a parameter belongs to; None when it has no share in the features."""
        if parameter.startswith("blocks."):
            return 1 + int(parameter.split(".")[1])
        if parameter.startswith("norm."):
            return 1 + self.depth
        return None if parameter.startswith(("head", "fc_norm", "attn_pool")) else 0

    def parts(self, position: str) -> list[Part]:
        """The stem, the blocks and the final norm."""

        def stem(state: State) -> State:
            return self._stem(state.values, position)

        def norm(state: State) -> State:
            return state._replace(values=self.network.norm(state.values))

        return [stem, *(self._block(i) for i in range(self.depth)), norm]

    def grid(self, state: State) -> Tensor:
        """Tokens ``[N, prefix + h * w, C]`` of a state to ``[N, C, h, w]``, row by row."""
        return state.values[:, self.prefix :].mT.unflatten(2, state.grid)

    def attention(self, state: State) -> Tensor:
        """How much the class token attends to each patch, ``[N, heads, h, w]``, in the last block.

        Args:
            state: the tokens that go into it.

        Raises:
            ValueError: there is no class token, or the attention is of another kind than DINO's.
        """
        block = self.network.blocks[-1]
        layer = block.attn
        if getattr(self.network, "cls_token", None) is None:
            raise ValueError("this transformer has no class token, so there is no attention of it to patches")
        if state.rope is not None or not hasattr(layer, "q_norm") or getattr(layer, "qkv", None) is None:
            raise ValueError(
                f"the attention of {type(layer).__name__} cannot be read; DINO's and timm's plain ones can"
            )
        tokens = block.norm1(state.values)
        qkv = layer.qkv(tokens).unflatten(2, (3, layer.num_heads, layer.head_dim))
        query, key = layer.q_norm(qkv[:, :1, 0]), layer.k_norm(qkv[:, :, 1])
        scores = torch.einsum("nqhd,nkhd->nhqk", query.float(), key.float())[:, :, 0] * layer.scale
        return scores.softmax(-1)[..., self.prefix :].unflatten(2, state.grid)

    def fitted(self, images: Tensor) -> Tensor:
        """Pictures whose sides are multiples of the patch: others are resized to the nearest multiples, bilinear, so
        that the grid covers the whole picture."""
        height, width = images.shape[-2:]
        if height % self.patch == 0 and width % self.patch == 0:
            return images
        size = [max(1, round(side / self.patch)) * self.patch for side in (height, width)]
        return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)

    def _stem(self, images: Tensor, position: str) -> State:
        network = self.network
        patches = network.patch_embed(self.fitted(images))
        grid = (patches.shape[1], patches.shape[2])
        rope = None
        if hasattr(network, "rope"):
            tokens, rope = network._pos_embed(patches)
        elif position == "published" and network.pos_embed is not None:
            tokens = self._published(patches, grid)
        else:
            tokens = network._pos_embed(patches)
        return State(network.norm_pre(tokens), grid, rope)

    def _published(self, patches: Tensor, grid: tuple[int, int]) -> Tensor:
        """Class, further tokens and patches with positions brought to ``grid`` as DINO does: bicubic by a factor that
        is a tenth of a patch too large."""
        network = self.network
        positions = network.pos_embed
        own = 0 if network.no_embed_class else self.prefix
        side = math.isqrt(positions.shape[1] - own)
        at_patches = positions[:, own:]
        if grid != (side, side):
            square = at_patches.mT.unflatten(2, (side, side)).float()
            factors = tuple((cells + 0.1) / side for cells in grid)
            square = F.interpolate(square, scale_factor=factors, mode="bicubic", align_corners=False)
            at_patches = square.flatten(2).mT.to(positions.dtype)
        patches = patches.flatten(1, 2) + at_patches
        first = [getattr(network, name, None) for name in ("cls_token", "dist_token", "reg_token")]
        tokens = [token for token in first if token is not None]
        if not tokens:
            return patches
        before = torch.cat(tokens, dim=1)
        if own:
            before = before + positions[:, :own]
        return torch.cat([before.expand(len(patches), -1, -1), patches], dim=1)

    def _block(self, index: int) -> Part:
        block, mixed = self.network.blocks[index], getattr(self.network, "rope_mixed", False)

        def run(state: State) -> State:
            if state.rope is None:
                return state._replace(values=block(state.values))
            rope = state.rope[index] if mixed else state.rope
            return state._replace(values=block(state.values, rope=rope))

        return run
