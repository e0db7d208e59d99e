"""What a clock is read from: towers by name, and TICL's published checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from telltime.backbones.clip_vision import shape_of, timm_state, vision_part
from telltime.backbones.image_tower import EMBEDDED, ImageTower
from telltime.backbones.time_heads import CosineHead
from telltime.checkpoints.build import build_seeded, check_fits
from telltime.checkpoints.errors import CheckpointError, listed
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


def named_tower(arguments: Mapping[str, Any], instead: str = "") -> ImageTower:
    """A tower with the weights that its name stands for; ``NAME@random`` has random ones, always the same.

    Args:
        arguments: of :class:`~telltime.backbones.image_tower.ImageTower`.
        instead: what to do where the weights cannot be had, for the error.

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
        raise CheckpointError(f"{name}: its weights cannot be had ({first}){instead and f'; {instead}'}") from error
    assert isinstance(made, ImageTower)
    return made


def is_published(content: Mapping[str, Any]) -> bool:
    """Whether a file holds a state dict of TICL's."""
    state = content.get("state_dict", content)
    names = {str(key).removeprefix("module.") for key in state} if isinstance(state, Mapping) else set()
    return _ADAPTER in names and _CAPSULE in names


def published_parts(path: Path, heads: int | None = None, content: Mapping[str, Any] | None = None) -> Parts:
    """Take a published file apart; nothing of it is run.

    Args:
        heads: of CLIP's attention, where they are not of 64 numbers each.
        content: of the file, where it was read already.

    Raises:
        CheckpointError: it is none of TICL's, lacks something beside CLIP, or holds what does not belong there.
    """
    content = load_published(path) if content is None else content
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
