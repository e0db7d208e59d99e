"""Networks that take frame descriptors or their similarities, from wherever they were saved."""

from pathlib import Path

from torch import nn

from telltime.checkpoints.describer import load_describer
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.folder import read_folder
from telltime.checkpoints.model import load
from telltime.checkpoints.resolve import resolve

_TAKES_ROWS = ("telltime.backbones.tca_encoder.", "telltime.backbones.vlad.", "telltime.backbones.recurrent.")
_TAKES_SIMILARITIES = "telltime.backbones.comparator."


def load_encoder(model: str | Path) -> nn.Module:
    """What encodes packed frame descriptors: of a TCA run, a saved model, or a published file; in evaluation mode.

    Raises:
        CheckpointError: nothing answers to the name, or what does is no encoder.
    """
    source = resolve(model)
    if source.kind == "folder" and read_folder(Path(source.name))[0].get("kind") == "describer":
        found = load_describer(model).encoder
    else:
        found = _backbone(model, source.kind)
    if found is None or not f"{type(found).__module__}.".startswith(_TAKES_ROWS):
        raise CheckpointError(f"{model} holds no encoder of frame descriptors")
    return found.eval()


def load_comparator(model: str | Path) -> nn.Module:
    """ViSiL's comparator from a saved model or a published file, with or without the rest of ViSiL beside it.

    Raises:
        CheckpointError: nothing answers to the name, or what does is no comparator.
    """
    found = _backbone(model, resolve(model).kind)
    if found is None or not f"{type(found).__module__}.".startswith(_TAKES_SIMILARITIES):
        raise CheckpointError(f"{model} holds no comparator of frame-by-frame similarities")
    return found.eval()


def _backbone(model: str | Path, kind: str) -> nn.Module | None:
    return load(model).backbone if kind in ("folder", "published", "hub") else None
