"""Published files of image transformers and of what was tuned from them, taken apart by their keys and shapes.

Every backbone in a file is found by its patch embedding, whatever stands before its keys. Known are

* DINO and DINOv2, bare or as saved in training (``student``, ``teacher``), and timm's own state dicts;
* TimeT (``feature_extractor.backbone.*``, and ``teacher.backbone.*`` where a teacher was trained along), its training
  states (``model``) and its linear probe (``model.*``);
* the authors' later layout, MoSiC's too (``feature_extractor.model.*``, ``mlp_head.*``, ``teacher.model.*``);
* Leopart (``model.*``) and NeCo, which are plain backbones with a head beside them;

each with ``module.`` in front or not. What is of no use is named, never dropped unseen.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from telltime.checkpoints.errors import CheckpointError, listed

State = dict[str, Tensor]
STUDENT, TEACHER = "student", "teacher"
_PATCHES = "patch_embed.proj.weight"
_TIMES = ("time_embed", "temp_embed", "st_embed")
_WRAPPERS = ("module", "model", "_orig_mod", "state_dict")
_CONTAINERS = ("state_dict", "model", "model_state_dict", "ema", "model_ema")
_TEACHERS = ("teacher", "momentum", "ema", "model_ema")
_CHUNKED = re.compile(r"^blocks\.\d+\.(\d+\.)")
_BLOCK = re.compile(r"^blocks\.(\d+)\.")
_SWIGLU = {"mlp.w12.": "mlp.fc1.", "mlp.w3.": "mlp.fc2."}
_OUTER = ("cls_token", "pos_embed", "reg_token", "patch_embed.proj.weight", "patch_embed.proj.bias")
_NORM = ("norm.weight", "norm.bias")
_INNER = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2", "ls1", "ls2")
_CHANGING = ("norm_pre.", "patch_embed.norm", "patch_embed.backbone", "rope", "reg_token", "register_tokens", "cls_pos")
_NUMBERS_OF_A_HEAD = 64


class VitShape(NamedTuple):
    """Sizes of a plain vision transformer.

    Attributes:
        patch: pixels of a patch, each way.
        dim: numbers of a token.
        depth: blocks.
        heads: of attention; not in the weights, so one for 64 numbers, as all published ones have.
        mlp: numbers in the middle of a block's MLP.
        grid: patches, each way, that it has positions for.
        registers: tokens beside class and patches.
        class_token: whether there is one.
        class_position: whether the class token has a position of its own.
        layer_scale: whether blocks scale what they add (DINOv2).
        gated: whether the MLPs are gated (SwiGLU, DINOv2 giant).
    """

    patch: int
    dim: int
    depth: int
    heads: int
    mlp: int
    grid: int
    registers: int = 0
    class_token: bool = True
    class_position: bool = True
    layer_scale: bool = False
    gated: bool = False

    def told(self) -> str:
        """As in the literature: ``"ViT-S/16"``, or with its sizes."""
        letter = {(192, 12): "Ti", (384, 12): "S", (768, 12): "B", (1024, 24): "L", (1536, 40): "g"}
        name = letter.get((self.dim, self.depth))
        registers = f" with {self.registers} registers" if self.registers else ""
        return f"ViT-{name or f'{self.depth}x{self.dim}'}/{self.patch}{registers}"


@dataclass(frozen=True)
class DenseParts:
    """A published file taken apart.

    Attributes:
        method: ``"timet"``, ``"timet-clean"`` (its later layout), ``"dino"``, ``"dinov2"`` or ``"vit"``.
        which: ``"student"`` or ``"teacher"`` where the file says so, otherwise ``""``.
        shape: of the backbone.
        backbone: its state dict under timm's names.
        head, prototypes: those of TimeT and of what follows it; empty and ``None`` elsewhere.
        unused: keys of the file that are left out.
        notes: what a reader should know.
    """

    method: str
    which: str
    shape: VitShape
    backbone: State
    head: State = field(default_factory=dict)
    prototypes: Tensor | None = None
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def holds_backbone(content: Mapping[str, Any]) -> bool:
    """Whether the file holds a transformer of pictures with its patches; one of videos has embeddings of time too."""
    try:
        keys = _flat(content)
    except CheckpointError:
        return False
    of_videos = any(key.endswith(_TIMES) or ".temporal_" in key for key in keys)
    return not of_videos and any(key.endswith(_PATCHES) for key in keys)


def dense_parts(content: Mapping[str, Any], which: str | None = None, heads: int | None = None) -> DenseParts:
    """Take the content of a checkpoint file apart.

    Args:
        content: as :func:`telltime.checkpoints.unpickle.load_published` has read it.
        which: ``"student"`` or ``"teacher"``, where a file has both. DINO's own evaluation takes the teacher, so files
            of its training need no choice; TimeT's do.
        heads: of attention, which weights do not tell; by default one for 64 numbers.

    Raises:
        CheckpointError: there is no whole backbone in it, there are several and nothing says which, or the heads do not
            divide its width.
    """
    if which not in (None, STUDENT, TEACHER):
        raise CheckpointError(f"--which is {STUDENT} or {TEACHER}, not {which!r}")
    state = _flat(content)
    found = {key[: -len(_PATCHES)]: _kind(key[: -len(_PATCHES)]) for key in state if key.endswith(_PATCHES)}
    if not found:
        raise CheckpointError(f"its keys are of no image transformer: no {_PATCHES} among {listed(list(state))}")
    prefix, taken, note = _chosen(found, state, which)
    method = _method(prefix, state)
    backbone, shape, left = _backbone({k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)})
    if heads is not None:
        if heads < 1 or shape.dim % heads:
            raise CheckpointError(f"{heads} heads do not divide a width of {shape.dim}")
        shape = shape._replace(heads=heads)
    head, prototypes, used = _beside(prefix, state) if method.startswith("timet") else ({}, None, [])
    rest = [key for key in state if not key.startswith(prefix) and key not in used]
    unused = [f"{prefix}{key}" for key in left] + rest
    assumed = "" if heads else f"{shape.heads} heads are assumed: the file does not say"
    notes = tuple(filter(None, (assumed, note)))
    return DenseParts(method, taken, shape, backbone, head, prototypes, tuple(unused), notes)


def _flat(content: Mapping[str, Any]) -> State:
    """All tensors of weights in a file, student and teacher under their names."""
    if any(key in content for key in (STUDENT, TEACHER)):
        parts = {f"{who}.": content[who] for who in (STUDENT, TEACHER) if isinstance(content.get(who), Mapping)}
    else:
        inside = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
        parts = {"": inside}
    found = {
        f"{before}{key}": value
        for before, part in parts.items()
        for key, value in part.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }
    if not found:
        raise CheckpointError("it has no state_dict of tensors")
    return {key: value.float() if value.is_floating_point() else value for key, value in found.items()}


def _kind(prefix: str) -> str:
    """Whether a backbone with this before its keys is a student, a teacher, or says nothing of it."""
    words = [word for word in prefix.split(".") if word and word not in _WRAPPERS]
    if any(word.startswith(_TEACHERS) for word in words):
        return TEACHER
    return STUDENT if words[:1] == [STUDENT] or words[:1] == ["feature_extractor"] else ""


def _chosen(found: Mapping[str, str], state: State, which: str | None) -> tuple[str, str, str]:
    """What stands before the keys of the backbone that is meant, whose it is, and a note on the choice."""
    teachers = [prefix for prefix, kind in found.items() if kind == TEACHER]
    others = [prefix for prefix, kind in found.items() if kind != TEACHER]
    note = ""
    if which is None and teachers and others:
        if not any(".head.last_layer." in key or "dino_head." in key for key in state):
            raise CheckpointError(
                f"it holds a student ({_shown(others[0])}) and a teacher ({_shown(teachers[0])}); "
                f"say --which {STUDENT} or --which {TEACHER}"
            )
        which, note = TEACHER, f"the teacher is taken, as DINO's own evaluation does; --which {STUDENT} takes the other"
    if which is not None and not teachers and found[others[0]] != STUDENT:
        raise CheckpointError(f"it says nothing of student and teacher; leave --which {which} out")
    candidates = {None: teachers + others, TEACHER: teachers, STUDENT: others}[which]
    if not candidates:
        there = STUDENT if others else TEACHER
        raise CheckpointError(f"it holds no {which}, only the {there} ({_shown((others or teachers)[0])})")
    if len(candidates) > 1:
        raise CheckpointError(f"it holds several backbones: {', '.join(map(_shown, candidates))}; keep one of them")
    taken = candidates[0]
    return taken, (which or found[taken]) if teachers or found[taken] else "", note


def _shown(prefix: str) -> str:
    return f"{prefix}*" if prefix else "keys without a prefix"


def _method(prefix: str, state: State) -> str:
    if _top(prefix) + "prototypes" in state and _heads(prefix, state):
        return "timet" if prefix.endswith("backbone.") else "timet-clean"
    if any(key.startswith(prefix + "blocks.") and ".ls1." in key for key in state):
        return "dinov2"
    return "dino" if any("last_layer.weight_" in key for key in state) else "vit"


def _top(prefix: str) -> str:
    """What stands before the keys of the whole method that a backbone is part of."""
    words = prefix.split(".")
    inside = [i for i, word in enumerate(words) if word == "feature_extractor" or word.startswith(_TEACHERS)]
    return "".join(f"{word}." for word in words[: inside[0]]) if inside else ""


def _heads(prefix: str, state: State) -> str:
    """What stands before the keys of the projection head that belongs to a backbone; empty when there is none."""
    top, own = _top(prefix), prefix.removesuffix("backbone.").removesuffix("model.")
    names = (f"{own}head.", f"{top}teacher_mlp_head." if _kind(prefix) == TEACHER else f"{top}mlp_head.")
    return next((name for name in names if f"{name}0.weight" in state), "")


def _beside(prefix: str, state: State) -> tuple[State, Tensor | None, list[str]]:
    """TimeT's projection head and prototypes of the same half as its backbone, and the keys they have."""
    before = _heads(prefix, state)
    used = [key for key in state if key.startswith(before)]
    head = {key[len(before) :]: state[key] for key in used}
    name = _top(prefix) + ("teacher_prototypes" if _kind(prefix) == TEACHER else "prototypes")
    return head, state.get(name), used + ([name] if name in state else [])


def _backbone(raw: State) -> tuple[State, VitShape, list[str]]:
    """A backbone under timm's names, its shape, and the keys that are of no use to it."""
    state = {_renamed(key): value for key, value in raw.items()}
    if "register_tokens" in state and "cls_token" in state:  # DINOv2's class token carries its position there
        positions = _needed(state, "pos_embed")
        state["reg_token"] = state.pop("register_tokens")
        state["cls_token"] = state["cls_token"] + positions[:, :1]
        state["pos_embed"] = positions[:, 1:]
    shape = _shape(state)
    wanted = [key for key in _OUTER if key in state] + [key for key in _NORM if key in state]
    blocks = [key for key in state if _BLOCK.match(key)]
    strange = [key for key in blocks if not _BLOCK.sub("", key).startswith(tuple(f"{part}." for part in _INNER))]
    strange += [key for key in state if key not in wanted and key.startswith(_CHANGING)]
    if strange:
        raise CheckpointError(f"its transformer has parts that are not known here: {listed(strange)}")
    kept = set(wanted) | set(blocks)
    return {key: state[key] for key in (*wanted, *blocks)}, shape, [key for key in state if key not in kept]


def _renamed(key: str) -> str:
    """A key under timm's name: blocks of DINOv2's training come in chunks, its gated MLPs have other names."""
    key = _CHUNKED.sub(r"blocks.\1", key)
    for old, new in _SWIGLU.items():
        key = key.replace(old, new)
    return key


def _needed(state: State, key: str) -> Tensor:
    if key not in state:
        raise CheckpointError(f"its transformer lacks {key}")
    return state[key]


def _shape(state: State) -> VitShape:
    """Sizes as the shapes of the weights tell.

    Raises:
        CheckpointError: weights are missing or do not fit each other.
    """
    patches = _needed(state, _PATCHES)
    if patches.ndim != 4 or patches.shape[1] != 3 or patches.shape[2] != patches.shape[3]:
        raise CheckpointError(f"its patch embedding is {list(patches.shape)}, expected [dim, 3, patch, patch]")
    dim, patch = int(patches.shape[0]), int(patches.shape[-1])
    numbers = sorted({int(match.group(1)) for key in state if (match := _BLOCK.match(key))})
    if not numbers or numbers != list(range(len(numbers))):
        raise CheckpointError(f"its blocks are not numbered from 0 without a gap: {numbers}")
    for key in (*(key for key in _NORM), *(f"blocks.{numbers[-1]}.{part}.weight" for part in _INNER[:6])):
        _needed(state, key)
    positions = _needed(state, "pos_embed")
    if positions.ndim != 3 or positions.shape[-1] != dim:
        raise CheckpointError(f"its pos_embed is {list(positions.shape)}, expected [1, places, {dim}]")
    class_token = "cls_token" in state
    places, registers = int(positions.shape[1]), int(state["reg_token"].shape[1]) if "reg_token" in state else 0
    side = round(places**0.5)
    of_class = class_token and side * side != places
    side = round((places - of_class) ** 0.5)
    if side * side != places - of_class:
        raise CheckpointError(f"its pos_embed has {places} places, which are no square of patches")
    first, second = (state[f"blocks.0.mlp.{part}.weight"].shape for part in ("fc1", "fc2"))
    return VitShape(
        patch,
        dim,
        len(numbers),
        max(1, dim // _NUMBERS_OF_A_HEAD),
        int(first[0]),
        side,
        registers,
        class_token,
        of_class,
        "blocks.0.ls1.gamma" in state,
        int(first[0]) == 2 * int(second[1]),
    )
