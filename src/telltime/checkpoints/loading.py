"""Whatever a MODEL names, loaded: a model of clips, a clock, or an encoder of places."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from telltime.checkpoints._clock_files import is_published
from telltime.checkpoints._dense_files import holds_backbone
from telltime.checkpoints.clock import KIND, Clock, load_clock, published_clock
from telltime.checkpoints.dense import KIND as DENSE
from telltime.checkpoints.dense import published_dense, saved_dense
from telltime.checkpoints.dense_model import DenseModel
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.model import Model, convert
from telltime.checkpoints.model import load as load_model
from telltime.checkpoints.resolve import resolve
from telltime.checkpoints.unpickle import load_published


def load(model: str | Path, device: str | torch.device = "cpu") -> Model | Clock | DenseModel:
    """The model that ``model`` names, in evaluation mode.

    Args:
        model: as :func:`telltime.checkpoints.model.load` takes it.
        device: where to put it.

    Returns:
        A :class:`~telltime.checkpoints.clock.Clock` where a folder or file holds what TICL trains, which tells the time
        of photos; its image tower is had at first use where only a name stands for it. A
        :class:`~telltime.checkpoints.dense_model.DenseModel` where it holds what TimeT trains or an image transformer.
        All else is a :class:`~telltime.checkpoints.model.Model` of clips.

    Raises:
        CheckpointError: nothing answers to the name, or what does is damaged, unknown or unsafe.
    """
    source = resolve(model)
    if source.kind == "published":
        return of_file(Path(source.name)).to(device)
    kind = _kind(Path(source.name)) if source.kind == "folder" else None
    if kind == KIND:
        return load_clock(model, device, tower=False)
    if kind == DENSE:
        return saved_dense(Path(source.name)).to(device)
    return load_model(model, device)


def of_file(file: Path, which: str | None = None, heads: bool = True) -> Model | Clock | DenseModel:
    """What a file holds that a method's authors published.

    Args:
        which: ``"student"`` or ``"teacher"``, where an encoder of places has both.
        heads: of a model of clips, keep what its training needed beside the backbone.

    Raises:
        CheckpointError: the file is unsafe or damaged, its keys are not exactly those of a known network, or nothing
            says which of two is meant.
    """
    if file.suffix == ".safetensors":
        return published_dense(file, which)
    content: Mapping[str, Any] = load_published(file)
    if holds_backbone(content):
        return published_dense(file, which, content)
    if which is not None:
        raise CheckpointError(f"{file} holds no student and teacher; leave --which out")
    return published_clock(file, False, content) if is_published(content) else convert(file, content, heads=heads)


def _kind(folder: Path) -> Any:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # reading the folder says what is wrong with it
        return None
    return config.get("kind") if isinstance(config, dict) else None
