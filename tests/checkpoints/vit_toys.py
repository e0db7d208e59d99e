"""Small transformers under the names and in the layouts that published files have."""

from itertools import pairwise

import torch
from torch import Tensor

DIM, PATCH, DEPTH, GRID = 64, 16, 3, 4


def vit(
    seed: int = 0, registers: int = 0, layer_scale: bool = False, patch: int = PATCH, grid: int = GRID
) -> dict[str, Tensor]:
    """A state dict of a tiny transformer under DINO's and timm's names."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.1

    made = {
        "cls_token": draw(1, 1, DIM),
        "pos_embed": draw(1, grid * grid + 1, DIM),
        "patch_embed.proj.weight": draw(DIM, 3, patch, patch),
        "patch_embed.proj.bias": draw(DIM),
    }
    if registers:
        made["register_tokens"] = draw(1, registers, DIM)
    for block in range(DEPTH):
        shapes = {
            "norm1.weight": (DIM,),
            "norm1.bias": (DIM,),
            "attn.qkv.weight": (3 * DIM, DIM),
            "attn.qkv.bias": (3 * DIM,),
            "attn.proj.weight": (DIM, DIM),
            "attn.proj.bias": (DIM,),
            "norm2.weight": (DIM,),
            "norm2.bias": (DIM,),
            "mlp.fc1.weight": (4 * DIM, DIM),
            "mlp.fc1.bias": (4 * DIM,),
            "mlp.fc2.weight": (DIM, 4 * DIM),
            "mlp.fc2.bias": (DIM,),
        }
        if layer_scale:
            shapes |= {"ls1.gamma": (DIM,), "ls2.gamma": (DIM,)}
        made |= {f"blocks.{block}.{key}": draw(*shape) for key, shape in shapes.items()}
    return made | {"norm.weight": draw(DIM), "norm.bias": draw(DIM)}


def below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{key}": value for key, value in state.items()}


def head(seed: int = 0) -> dict[str, Tensor]:
    """TimeT's projection head."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [DIM, 32, 32, 24, 16]
    made = {}
    for i, (before, after) in enumerate(pairwise(sizes)):
        made[f"{2 * i}.weight"] = torch.randn(after, before, generator=generator)
        made[f"{2 * i}.bias"] = torch.randn(after, generator=generator)
    return made


def timet(teacher: bool = False, before: str = "") -> dict[str, Tensor]:
    """As TimeT saves itself; the student is of seed 1, the teacher of seed 2."""
    made = {"prototypes": torch.full((5, 16), 1.0)}
    if teacher:
        made["teacher_prototypes"] = torch.full((5, 16), 2.0)
    made |= below("feature_extractor.backbone.", vit(1)) | below("feature_extractor.head.", head(1))
    if teacher:
        made |= below("teacher.backbone.", vit(2)) | below("teacher.head.", head(2))
    return below(before, made)
