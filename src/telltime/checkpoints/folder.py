"""A saved model: ``model.safetensors`` and ``config.json`` (what to build, which clips it takes, where it is from)."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from telltime.checkpoints.errors import CheckpointError
from telltime.media.files import whole

FORMAT = 1
"""Version of the layout; a later one is refused."""


def weights_hash(state: Mapping[str, Tensor]) -> str:
    """A hash of names, types, shapes and values; 32 hexadecimal digits."""
    found = hashlib.blake2b(digest_size=16)
    for key, value in sorted(state.items()):
        found.update(f"{key} {value.dtype} {list(value.shape)}\n".encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def write_folder(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> Path:
    """Write both files. A new folder appears whole; in one that is there each file is replaced in one step.

    Should a crash come between those two steps, ``config.json`` carries the hash of other weights and reading says so.
    """
    if folder.exists() and not folder.is_dir():
        raise CheckpointError(f"{folder} is a file, expected a folder to save a model in")
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    text = json.dumps({"format": FORMAT, "weights": weights_hash(tensors), **config}, indent=2) + "\n"
    place = folder if folder.is_dir() else folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        with whole(place / "model.safetensors") as beside:
            save_file(tensors, beside, metadata={"format": "pt"})
        with whole(place / "config.json") as beside:
            beside.write_text(text)
        if place != folder:
            os.replace(place, folder)
    finally:
        if place != folder:
            shutil.rmtree(place, ignore_errors=True)
    return folder


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and weights.

    Raises:
        CheckpointError: a file is missing, damaged, of a later format, or the two do not belong together.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        state = load_file(folder / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: the model cannot be read ({error})") from error
    if not isinstance(config, dict) or "backbone" not in config:
        raise CheckpointError(f"{folder}: config.json is not one that telltime wrote")
    if config.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder}: format {config.get('format')} is not known; this telltime reads format {FORMAT}"
        )
    if config.get("weights") != weights_hash(state):
        raise CheckpointError(
            f"{folder}: model.safetensors is not the file config.json was written with; save it again"
        )
    return config, state
