"""TimeSformer as Hugging Face's ``TimesformerForVideoClassification`` saves it: folders read and written."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.folder_kind import settings_of
from telltime.checkpoints.published import Published, of_time_family
from telltime.checkpoints.published_time import LAYOUTS, settings_for, to_hugging_face, to_published
from telltime.checkpoints.unpickle import load_published
from telltime.media.files import whole

_KINDS = {"divided": "divided_space_time", "joint": "joint_space_time", "space": "space_only"}


def read_hugging_face(folder: Path, settings: Mapping[str, Any]) -> Published:
    """The parts of the model in ``folder``; clips are normalised as ``preprocessor_config.json`` says.

    Args:
        settings: its ``config.json``.

    Raises:
        CheckpointError: weights are missing or damaged, or are not those of the settings.
    """
    try:
        state = load_file(folder / "model.safetensors")
    except FileNotFoundError:
        state = load_published(folder / "pytorch_model.bin")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"model.safetensors cannot be read ({error})") from error
    found = of_time_family(state, settings)
    if found is None or found.architecture != "TimeSformer":
        raise CheckpointError("its weights are not those of a TimeSformer that attends to time")
    made = {
        "divided": "divided_space_time",
        "joint": "joint_space_time",
    }[found.init_args.get("attention", "divided")]
    told = {
        "num_frames": found.init_args["frames"],
        "image_size": found.init_args["size"],
        "patch_size": found.init_args["patch"],
        "hidden_size": found.init_args["dim"],
        "num_hidden_layers": found.init_args["depth"],
        "attention_type": made,
    }
    for name, value in told.items():
        if settings.get(name, value) != value:
            raise CheckpointError(f"config.json says {name} {settings[name]}, its weights are of {value}")
    names = settings.get("id2label")
    if isinstance(names, Mapping) and set(names) == {str(i) for i in range(len(names))}:
        labels = [str(names[str(i)]) for i in range(len(names))]
        if labels != [f"LABEL_{i}" for i in range(len(names))]:
            found.meta["labels"] = labels
    pixels = settings_of(folder / "preprocessor_config.json")
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        if isinstance(pixels.get(theirs), list) and len(pixels[theirs]) == 3:
            found.clip[ours] = tuple(float(value) for value in pixels[theirs])
    if pixels.get("frame_sampling") in ("stride", "segments"):
        found.clip["sampling"] = pixels["frame_sampling"]
    if "licence" in settings:
        found.meta["licence"] = str(settings["licence"])
    return found


def write_hugging_face(model: Any, folder: Path) -> Path:
    """Write a :class:`~telltime.checkpoints.model.Model` as ``transformers`` reads it, with its licence.

    Heads that only training needs have no place there and stay out.

    Raises:
        CheckpointError: the model is no TimeSformer.
    """
    architecture = architecture_of(model.backbone)
    if architecture != "TimeSformer":
        raise CheckpointError(
            f"{architecture or type(model.backbone).__name__} has no Hugging Face layout; only a TimeSformer has"
        )
    backbone = model.backbone
    classifier = model.classifier.state_dict() if model.classifier is not None and model.reads == "class" else {}
    state = to_hugging_face(to_published(architecture, backbone.state_dict(), {}, classifier))
    labels = model.meta.get("labels") or [f"LABEL_{i}" for i in range(len(classifier["weight"]))] if classifier else []
    config = {
        "architectures": ["TimesformerForVideoClassification" if classifier else "TimesformerModel"],
        "model_type": "timesformer",
        "attention_type": _KINDS[backbone.attention],
        "num_frames": backbone.frames,
        "image_size": backbone.size,
        "patch_size": backbone.patch,
        "num_channels": 3,
        "hidden_size": backbone.dim,
        "num_hidden_layers": backbone.depth,
        "num_attention_heads": backbone.heads,
        "intermediate_size": backbone.blocks[0].mlp.hidden,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": 1e-6,
        "qkv_bias": True,
        "drop_path_rate": backbone.drop_path,
        "initializer_range": 0.02,
        "torch_dtype": "float32",
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
        "licence": model.meta.get("licence", "that of the data and weights it was trained from"),
    }
    clip = model.clip
    pixels = {
        "image_processor_type": "VideoMAEImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": round(clip.size / clip.crop)},
        "do_center_crop": True,
        "crop_size": {"height": clip.size, "width": clip.size},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(clip.mean or (0.0,) * 3),
        "image_std": list(clip.std or (1.0,) * 3),
        "frame_sampling": clip.sampling,
    }
    folder.mkdir(parents=True, exist_ok=True)
    with whole(folder / "model.safetensors") as beside:
        save_file({key: value.detach().cpu().contiguous() for key, value in state.items()}, beside, {"format": "pt"})
    for name, content in (("config.json", config), ("preprocessor_config.json", pixels)):
        with whole(folder / name) as beside:
            beside.write_text(json.dumps(content, indent=2) + "\n")
    return folder


def write_published(model: Any, folder: Path) -> Path:
    """Write a model of TIME's family as its repository does: ``checkpoint.pyth`` with ``model_state``.

    Raises:
        CheckpointError: the model is of another family, or attends within frames only, for which there is no layout.
    """
    architecture = architecture_of(model.backbone)
    if architecture is None or getattr(model.backbone, "attention", "") == "space":
        raise CheckpointError(f"{type(model.backbone).__name__} has no published layout to be written in")
    classifier = model.classifier.state_dict() if model.classifier is not None and model.reads == "class" else {}
    tasks = model.head.state_dict() if model.head is not None and hasattr(model.head, "temp_head") else {}
    state = to_published(architecture, model.backbone.state_dict(), tasks, classifier)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "checkpoint.pyth"
    content: dict[str, Any] = {"model_state": _owned(state), "cfg": settings_for(architecture, model.backbone)}
    content["licence"] = str(model.meta.get("licence", ""))
    with whole(file) as beside:
        torch.save(content, os.fspath(beside))
    return file


def architecture_of(backbone: nn.Module) -> str | None:
    """``"TimeSformer"``, ``"Motionformer"``, ``"X-ViT"``, or ``None`` for any other network."""
    path = f"{type(backbone).__module__}.{type(backbone).__qualname__}"
    return next((name for name, layout in LAYOUTS.items() if layout.class_path == path), None)


def _owned(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}
