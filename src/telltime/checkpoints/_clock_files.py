"""What a clock is read from: towers by name, and TICL's published checkpoints."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from telltime.backbones.clip_vision import shape_of, timm_state, vision_part
from telltime.backbones.image_tower import EMBEDDED, ImageTower
from telltime.backbones.time_heads import CosineHead
from telltime.checkpoints.build import build_seeded, check_fits, describe
from telltime.checkpoints.errors import CheckpointError, listed
from telltime.checkpoints.folder import weights_hash
from telltime.checkpoints.unpickle import load_published

_ADAPTER, _CAPSULE = "image_encoder.adapter.0.weight", "time_encoder.TimeEnc.capsule.0.weight"


@dataclass(frozen=True)
class Parts:
    """A published checkpoint taken apart.

    Attributes:
        head: adapter, time encoder and scale, under their published names.
        classes, dim, hidden: as their shapes tell.
        tower: the CLIP tower, where the file has one.
        notes: what a reader should know.
    """

    head: dict[str, Tensor]
    classes: int
    dim: int
    hidden: int
    tower: ImageTower | None
    notes: tuple[str, ...]


def digest_of(tower: ImageTower) -> str:
    """A hash of the tower's class, arguments and weights: 32 hexadecimal digits."""
    made = [describe(tower), weights_hash(tower.state_dict())]
    return hashlib.blake2b(json.dumps(made, sort_keys=True).encode(), digest_size=16).hexdigest()


def named_tower(arguments: Mapping[str, Any]) -> ImageTower:
    """A tower with the weights that its name stands for; ``NAME@random`` has random ones, always the same.

    Raises:
        CheckpointError: there is no such network, or its weights cannot be had.
    """
    name, _, tag = str(arguments.get("name", EMBEDDED)).partition("@")
    given = {**arguments, "name": name, "pretrained": tag != "random"}
    try:
        made = build_seeded("telltime.backbones.image_tower.ImageTower", given)
    except CheckpointError:
        raise
    except Exception as error:  # whatever network and hub may do
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{name}: its weights cannot be had ({first}); {EMBEDDED} needs no download") from error
    assert isinstance(made, ImageTower)
    return made


def is_published(state: Mapping[str, Any]) -> bool:
    """Whether a state dict is TICL's."""
    return _ADAPTER in state and _CAPSULE in state


def published_parts(path: Path, heads: int | None = None) -> Parts:
    """Take a published file apart; nothing of it is run.

    Args:
        heads: of CLIP's attention, where they are not of 64 numbers each.

    Raises:
        CheckpointError: it is none of TICL's, lacks something beside CLIP, or holds what does not belong there.
    """
    content = load_published(path)
    state = {str(key).removeprefix("module."): value for key, value in content.get("state_dict", content).items()}
    if not is_published(state):
        raise CheckpointError(f"{path}: it is no checkpoint of TICL: it has no adapter and time encoder")
    clip = {key: value for key, value in state.items() if "CLIP" in key}
    head = {key: value for key, value in state.items() if "CLIP" not in key}
    shapes = [head[key].shape for key in (_ADAPTER, _CAPSULE)]
    if any(len(shape) != 2 for shape in shapes):
        raise CheckpointError(f"{path}: its adapter and time encoder are no matrices")
    (hidden, dim), (_, classes) = shapes
    with torch.device("meta"):
        check_fits(CosineHead(classes, dim, hidden), head, f"{path}: the file")
    if not clip:
        return Parts(head, classes, dim, hidden, None, ("its CLIP tower is the published one",))
    try:
        vision = vision_part(clip)
        shape = shape_of(vision, heads)
        tower: Any = build_seeded(
            "telltime.backbones.image_tower.ImageTower",
            {"name": "clip", "profile": "reference", "shape": shape._asdict(), "pretrained": False},
        )
        weights = {f"network.{key}": value for key, value in timm_state(vision).items()}
        check_fits(tower, weights, f"{path}: its CLIP tower")
        tower.load_state_dict(weights)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    left = [key for key in clip if "vision_model." not in key and "visual_projection." not in key]
    notes = (f"left out: {listed(left)}",) if left else ()
    return Parts(head, classes, dim, hidden, tower, notes)
