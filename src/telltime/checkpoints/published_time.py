"""Checkpoints of TIME's video transformers, recognised by their keys and renamed to ours, and back.

Layouts: TimeSformer, Motionformer and X-ViT as the repository of TIME saves them, with or without its seven modules for
the temporal tasks; TimeSformer as its own authors saved it (keys under ``model.``) and as Hugging Face's
``TimesformerForVideoClassification`` names it. Sizes are read from the weights; what weights do not tell (heads, the
share of shifted channels) from the settings beside them, and otherwise it is as published.

Source: Yun et al., "Time Is MattEr: Temporal Self-supervision for Video Transformers", ICML 2022. Its weights are
CC BY-NC 4.0, and so is whatever they are converted to.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml
from torch import Tensor

from telltime.checkpoints.errors import CheckpointError, listed

State = dict[str, Tensor]
Names = tuple[tuple[str, str], ...]
TASKS = ("temp_head.", "mlp_q.", "mlp_k.", "mlp_v.", "mlp_proj.", "mlp_norm.", "flow_head.")
"""The seven modules of the temporal tasks, 14 tensors; of no use for telling classes."""

STRIDE = 4
"""Frames from one to the next where consecutive ones are taken; the publication spreads them over the whole video."""

LICENCE = "CC BY-NC 4.0, as the repository of TIME: not for commercial use; its training videos have terms of their own"
_FACEBOOK = "CC BY-NC 4.0, as the repository of TimeSformer: not for commercial use"


@dataclass(frozen=True)
class Layout:
    """A published transformer: what to build for it, and its names, ``(ours, published)`` beginnings of keys."""

    class_path: str
    names: Names
    classifier: str


LAYOUTS = {
    "TimeSformer": Layout("telltime.backbones.timesformer.TimeSformer", (), "head."),
    "Motionformer": Layout(
        "telltime.backbones.motionformer.Motionformer", (("patch_embed.", "patch_embed_3d."),), "head."
    ),
    "X-ViT": Layout(
        "telltime.backbones.xvit.XViT",
        (
            ("temporal_head.block.", "consensus.temporal_encoder.0."),
            ("temporal_head.norm.", "consensus.mlp_head.0."),
            ("temporal_head.fc.", "consensus.mlp_head.1."),
            ("temporal_head.", "consensus."),
            ("", "base_model."),
        ),
        "consensus.head.",
    ),
}

_SLIP = "USE_ORIGINAL_TRAJ_ATTN_CODE"

_HF_BLOCK = (
    ("temporal_norm1.", "temporal_layernorm."),
    ("temporal_attn.qkv.", "temporal_attention.attention.qkv."),
    ("temporal_attn.proj.", "temporal_attention.output.dense."),
    ("temporal_fc.", "temporal_dense."),
    ("norm1.", "layernorm_before."),
    ("attn.qkv.", "attention.attention.qkv."),
    ("attn.proj.", "attention.output.dense."),
    ("norm2.", "layernorm_after."),
    ("mlp.fc1.", "intermediate.dense."),
    ("mlp.fc2.", "output.dense."),
)
_HF_OUTER = (
    ("cls_token", "timesformer.embeddings.cls_token"),
    ("pos_embed", "timesformer.embeddings.position_embeddings"),
    ("time_embed", "timesformer.embeddings.time_embeddings"),
    ("patch_embed.proj.", "timesformer.embeddings.patch_embeddings.projection."),
    ("norm.", "timesformer.layernorm."),
    ("head.", "classifier."),
)
_HF_LAYER = re.compile(r"timesformer\.encoder\.layer\.(\d+)\.")
_BLOCK = re.compile(r"blocks\.(\d+)\.")


@dataclass(frozen=True)
class Transformer:
    """A published transformer under our names.

    Attributes:
        architecture: ``"TimeSformer"``, ``"Motionformer"`` or ``"X-ViT"``.
        class_path, init_args: what to build for it.
        backbone, tasks, classifier: state dicts; the last two are empty where the file has none.
        clip: arguments of the clips it takes.
        meta: method, architecture, licence and notes for the reader.
    """

    architecture: str
    class_path: str
    init_args: dict[str, Any]
    backbone: State
    tasks: State
    classifier: State
    clip: dict[str, Any]
    meta: dict[str, Any] = field(default_factory=dict)


def time_parts(state: State, settings: Mapping[str, Any] | None = None) -> Transformer | None:
    """The parts of a state dict of one of the layouts, ``None`` where it has another.

    Args:
        state: without prefixes of ``nn.DataParallel``.
        settings: found beside it: of Hugging Face's ``config.json``, or of a training's ``cfg``, as YAML gives them.

    Raises:
        CheckpointError: sizes cannot be read from it.
    """
    facebook = bool(state) and all(key.startswith("model.") for key in state)
    if facebook:
        state = {key.removeprefix("model."): value for key, value in state.items()}
    face = any(key.startswith("timesformer.") for key in state)
    if face:
        state = from_hugging_face(state)
    architecture = _architecture(state)
    if architecture is None:
        return None
    layout = LAYOUTS[architecture]
    tasks = {key: value for key, value in state.items() if key.startswith(TASKS)}
    classifier = {
        key.removeprefix(layout.classifier): value for key, value in state.items() if key.startswith(layout.classifier)
    }
    backbone = {
        _ours(key, layout.names): value
        for key, value in state.items()
        if key not in tasks and not key.startswith(layout.classifier)
    }
    arguments, notes = _arguments(architecture, backbone, settings or {})
    if not tasks:
        notes.append("it has no modules for the temporal tasks; training TIME on it starts them anew")
    authors = facebook or face
    grey, spread = (0.45, 0.225) if authors else (0.5, 0.5)
    clip = {"frames": arguments["frames"], "stride": STRIDE, "size": arguments["size"], "crop": 1.0, "order": "rgb"}
    clip |= {"mean": (grey,) * 3, "std": (spread,) * 3} | ({} if authors else {"sampling": "segments"})
    meta = {
        "method": architecture.lower() if authors else "time",
        "architecture": architecture,
        "licence": _FACEBOOK if authors else LICENCE,
        "notes": notes,
    }
    return Transformer(architecture, layout.class_path, arguments, backbone, tasks, classifier, clip, meta)


def to_published(architecture: str, backbone: State, tasks: State, classifier: State) -> State:
    """Our state dicts under the names that the repository of TIME uses: the reverse of :func:`time_parts`."""
    layout = LAYOUTS[architecture]
    flat = architecture == "Motionformer" and backbone["patch_embed.proj.weight"].ndim == 4
    renamed = {_theirs(key, () if flat else layout.names): value for key, value in backbone.items()}
    return renamed | {f"{layout.classifier}{key}": value for key, value in classifier.items()} | tasks


def to_hugging_face(state: State) -> State:
    """A TimeSformer under published names (classifier ``head.``) as ``TimesformerForVideoClassification`` names it."""
    made: State = {}
    for key, value in state.items():
        if block := _BLOCK.match(key):
            made[f"timesformer.encoder.layer.{block.group(1)}.{_theirs(key[block.end() :], _HF_BLOCK)}"] = value
        else:
            made[_theirs(key, _HF_OUTER)] = value
    return made


def from_hugging_face(state: State) -> State:
    """The reverse of :func:`to_hugging_face`."""
    made: State = {}
    for key, value in state.items():
        if layer := _HF_LAYER.match(key):
            made[f"blocks.{layer.group(1)}.{_ours(key[layer.end() :], _HF_BLOCK)}"] = value
        else:
            made[_ours(key, _HF_OUTER)] = value
    return made


def _architecture(state: Iterable[str]) -> str | None:
    keys = set(state)
    if "base_model.temp_embed" in keys:
        return "X-ViT"
    if "blocks.0.attn.qkv.weight" not in keys:
        return None
    if "time_embed" in keys:
        return "TimeSformer"
    return "Motionformer" if {"temp_embed", "st_embed"} & keys else None


def _arguments(architecture: str, backbone: State, settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What to build for these weights, and notes on what had to be supposed."""
    notes = []
    times = "time_embed" if architecture == "TimeSformer" else "temp_embed"
    joint = "st_embed" in backbone
    try:
        dim, patch = len(backbone["patch_embed.proj.weight"]), backbone["patch_embed.proj.weight"].shape[-1]
        rows = backbone["pos_embed"].shape[1]
        frames = (backbone["st_embed"].shape[1] - 1) // (rows - 1) if joint else backbone[times].shape[1]
    except (KeyError, IndexError, TypeError) as error:
        raise CheckpointError(f"it looks like {architecture}, whose sizes it does not tell ({error})") from error
    side = round((rows - 1) ** 0.5)
    if side * side + 1 != rows:
        raise CheckpointError(f"its pos_embed has {rows} rows, expected one and a square grid")
    heads = _setting(settings, "num_attention_heads", "NUM_HEADS")
    if heads is None:
        heads = max(1, dim // 64)
        if dim != 768:
            notes.append(f"weights do not tell the number of heads; supposed: {heads}, one for 64 channels")
    if dim % heads:
        raise CheckpointError(f"{heads} heads do not divide its {dim} channels")
    depth = len({found.group(1) for key in backbone if (found := _BLOCK.match(key))})
    arguments: dict[str, Any] = {"frames": frames, "size": side * patch, "patch": patch}
    arguments |= {"dim": dim, "depth": depth, "heads": heads}
    if architecture == "TimeSformer" and "blocks.0.temporal_fc.weight" not in backbone:
        arguments["attention"] = "joint"
    if architecture == "Motionformer":
        arguments |= _of_motionformer(backbone, frames, settings)
    if architecture == "X-ViT":
        arguments["shift_div"] = _setting(settings, "SHIFT_DIV") or 4
    return arguments, notes


def _of_motionformer(backbone: State, frames: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What its weights tell beside the sizes. A position embedding that a joint one replaces is taken out."""
    kernel = backbone["patch_embed.proj.weight"].shape
    found: dict[str, Any] = {"value_slip": _setting(settings, _SLIP, kind=bool) is not False}
    if "blocks.0.attn.proj_kv.weight" not in backbone:
        found = {"attention": "joint"}
    if len(kernel) == 5:
        found |= {"tube": kernel[2], "frames": frames * kernel[2]}
    if "st_embed" in backbone:
        del backbone["pos_embed"]
        found["position"] = "joint"
    return found


def _setting(settings: Any, *names: str, kind: Any = int) -> Any:
    """The first whole number above 0, or value of another ``kind``, under one of ``names`` at any depth."""
    if not isinstance(settings, Mapping):
        return None
    for key, value in settings.items():
        if key in names and type(value) is kind and (kind is not int or value > 0):
            return value
    return next((found for v in settings.values() if (found := _setting(v, *names, kind=kind)) is not None), None)


def settings_for(architecture: str, backbone: Any) -> str:
    """What :func:`time_parts` needs to know of a network of ours beside its weights, as YAML: the reverse of it."""
    told: dict[str, Any] = {"NUM_HEADS": backbone.heads}
    if architecture == "X-ViT":
        told["SHIFT_DIV"] = backbone.shift_div
    if architecture == "Motionformer" and backbone.attention == "trajectory":
        told[_SLIP] = backbone.value_slip
    return yaml.safe_dump({"VIT": told})


def training_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a training file keeps as YAML under ``cfg``; nothing where it keeps none that can be read."""
    text = content.get("cfg")
    if isinstance(text, str) and len(text) < 100_000:
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError:
            return {}
        return found if isinstance(found, dict) else {}
    return {}


def _ours(key: str, names: Names) -> str:
    for ours, theirs in names:
        if theirs and key.startswith(theirs):
            return ours + key[len(theirs) :]
    return key


def _theirs(key: str, names: Names) -> str:
    for ours, theirs in names:
        if key.startswith(ours):
            return theirs + key[len(ours) :]
    return key


def check_tasks(tasks: State) -> None:
    """See that the modules of the temporal tasks are there all or none.

    Raises:
        CheckpointError: some are, with the names of those that are not.
    """
    wanted = [f"{name}{part}" for name in TASKS for part in ("weight", "bias")]
    if lacking := [key for key in wanted if key not in tasks]:
        raise CheckpointError(
            f"of the temporal tasks' 14 tensors it lacks {listed(lacking)}; drop them or find the rest"
        )
