"""The files that the methods' authors published, recognised by their keys and renamed to ours.

TCLR (Dave et al., CVIU 2022) has two kinds: pre-training files, whose ``state_dict`` holds a backbone under ``0.`` and
a projection head under ``1.``, and linear-evaluation files, whose backbone has no prefix and ends in ``fc``. Either may
carry ``module.`` in front, as ``nn.DataParallel`` writes it. Files around TCA are told apart in
:mod:`telltime.checkpoints.published_tca`, those of TIME in :mod:`telltime.checkpoints.published_time`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from telltime.checkpoints._clock_files import is_published
from telltime.checkpoints._dense_files import holds_backbone
from telltime.checkpoints.errors import CheckpointError, listed
from telltime.checkpoints.pickles import Inert
from telltime.checkpoints.published_tca import tca_parts
from telltime.checkpoints.published_time import check_tasks, time_parts, training_settings

State = dict[str, Tensor]
_BACKBONES = {
    "R3D-18": "telltime.backbones.r3d.R3D18",
    "R(2+1)D-18": "telltime.backbones.r3d.R2Plus1D18",
    "PRP R3D": "telltime.backbones.r3d_prp.PRPR3D",
}
_WRAPPERS = ("state_dict", "bb_state_dict", "model_state", "model")
_PUBLISHED_CLASSES = 102


@dataclass(frozen=True)
class Published:
    """A published file under our names.

    Attributes:
        kind: ``"pre-training"``, ``"classifier"``, ``"backbone"``, of TCA's family ``"encoder"``, of TIME's with the
            modules of its tasks ``"training"``.
        architecture: name as in the literature, e.g. ``"R3D-18"``.
        class_path, init_args: what to build for it.
        backbone, head, classifier: state dicts; empty where the file has none.
        meta: what else the file says (epoch, best loss), the method, its licence and notes for the reader.
        head_of: class and arguments of the head, where it is not TCLR's.
        clip: arguments of the clips it takes, where they are not TCLR's.
        reads: what the classifier takes.
    """

    kind: str
    architecture: str
    class_path: str
    init_args: dict[str, Any]
    backbone: State
    head: State
    classifier: State
    meta: dict[str, Any] = field(default_factory=dict)
    head_of: dict[str, Any] = field(default_factory=dict)
    clip: dict[str, Any] = field(default_factory=dict)
    reads: Literal["pooled", "class"] = "pooled"


def recognise(content: Mapping[str, Any]) -> Published:
    """The parts of a checkpoint file that :func:`~telltime.checkpoints.unpickle.load_published` has read.

    Raises:
        CheckpointError: its keys are none of the published layouts, or something other than a tensor stands among them.
    """
    state = _without_module(_state(content))
    if is_published(state):
        raise CheckpointError("it tells the time of photos, it is no model of clips; give it to 'telltime when'")
    if holds_backbone(state):
        raise CheckpointError(
            "it is an image transformer, no model of clips; it serves 'telltime segment' and the dense evaluations"
        )
    if (of_tca := tca_parts(state)) is not None:
        found, _ = of_tca
        return Published(
            "encoder", found.architecture, found.class_path, found.init_args, found.state, {}, {}, found.meta
        )
    if (of_time := of_time_family(state, training_settings(content))) is not None:
        if isinstance(content.get("epoch"), int):
            of_time.meta["epoch"] = content["epoch"]
        return of_time
    two_parts = any(key.startswith(("0.", "1.")) for key in state)
    backbone = _below(state, "0.") if two_parts else {k: v for k, v in state.items() if not k.startswith("fc.")}
    head = _below(state, "1.") if two_parts else {}
    classifier = {} if two_parts else _below(state, "fc.")
    stray = [key for key in state if two_parts and not key.startswith(("0.", "1."))]
    if stray:
        raise CheckpointError(f"beside the backbone (0.) and head (1.) it has unknown keys: {listed(stray)}")
    architecture, width = _architecture(backbone)
    notes = []
    classes = len(classifier["weight"]) if "weight" in classifier else 0
    if classes == _PUBLISHED_CLASSES:
        notes.append("102-way classifier with 1-based labels: output 0 was never trained, output k is class k")
    elif classes and not {"state_dict", "bb_state_dict"} & content.keys():
        raise CheckpointError(
            f"it looks like torchvision's {classes}-way {architecture}, whose last stage and pixels differ from TCLR's"
        )
    elif classes == 400:
        classifier = {}
        notes.append("the 400-way fc was never trained and is left out")
    meta: dict[str, Any] = {
        "method": "tclr",
        "architecture": architecture,
        "licence": "MIT, as the repository of TCLR; its training videos have terms of their own",
        "notes": notes,
    }
    for key in ("epoch", "best_score", "learning_rate"):
        if isinstance(content.get(key), int | float):
            meta[key] = float(content[key]) if key != "epoch" else int(content[key])
    kind = "pre-training" if head else "classifier" if classifier else "backbone"
    return Published(kind, architecture, _BACKBONES[architecture], {"width": width}, backbone, head, classifier, meta)


def of_time_family(state: State, settings: Mapping[str, Any]) -> Published | None:
    """The parts of a video transformer's state dict, ``None`` where it is none.

    Args:
        settings: found beside it.

    Raises:
        CheckpointError: of the temporal tasks' modules some are there and some are not.
    """
    found = time_parts(state, settings)
    if found is None:
        return None
    head_of: dict[str, Any] = {}
    if found.tasks:
        check_tasks(found.tasks)
        sizes = {"channels": found.init_args["dim"], "frames": len(found.tasks["temp_head.weight"])}
        head_of = {"class_path": "telltime.backbones.time_task_heads.TemporalHeads", "init_args": sizes}
    return Published(
        "training" if found.tasks else "classifier" if found.classifier else "backbone",
        found.architecture,
        found.class_path,
        found.init_args,
        found.backbone,
        found.tasks,
        found.classifier,
        found.meta,
        head_of,
        found.clip,
        "class" if found.classifier else "pooled",
    )


def _state(content: Mapping[str, Any]) -> State:
    """The dictionary of tensors inside: under one of the usual names, or the file itself."""
    found = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(found, Mapping) or not found:
        raise CheckpointError("it has no state_dict of tensors")
    for key, value in found.items():
        if isinstance(value, Inert):
            raise CheckpointError(f"{key} among its weights is an object of {value.name}, expected a tensor")
        if not isinstance(value, Tensor) or not isinstance(key, str):
            raise CheckpointError(f"{key!s:.60} among its weights is a {type(value).__name__}, expected a tensor")
    return dict(found)


def _without_module(state: State) -> State:
    """Keys without ``nn.DataParallel``'s prefix."""
    return _below(state, "module.") if all(key.startswith("module.") for key in state) else state


def _below(state: State, prefix: str) -> State:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _architecture(backbone: State) -> tuple[str, int]:
    """Name and width of the network with these keys."""
    if "conv1.temporal_spatial_conv.weight" in backbone:
        return "PRP R3D", len(backbone["conv1.temporal_spatial_conv.weight"])
    if "layer4.0.conv1.0.0.weight" in backbone:
        raise CheckpointError("it is torchvision's R(2+1)D-18, whose last stage differs from TCLR's")
    if "stem.3.weight" in backbone:
        return "R(2+1)D-18", len(backbone["stem.3.weight"])
    if "stem.0.weight" in backbone:
        return "R3D-18", len(backbone["stem.0.weight"])
    raise CheckpointError(f"its keys are of no published network telltime knows: {listed(list(backbone))}")
