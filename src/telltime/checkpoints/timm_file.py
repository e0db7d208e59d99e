"""Encoders as plain timm state dicts, for those who have timm and not this package."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from telltime.backbones.dense import EMBEDDED, DenseEncoder
from telltime.checkpoints._vit import vit_arguments
from telltime.checkpoints.build import check_fits, describe
from telltime.checkpoints.errors import CheckpointError
from telltime.media.files import whole

_KEY = "telltime"
_OURS = {EMBEDDED: "tf_efficientnet_lite0"}


class Written(NamedTuple):
    """How to use a written file with timm alone.

    Attributes:
        lines: of Python.
        mean, std: of RGB in 0..1, which pictures are shifted by and divided by.
    """

    lines: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def write_timm_file(encoder: DenseEncoder, file: str | Path, meta: Mapping[str, Any] | None = None) -> Written:
    """Write the network's weights under timm's names, without any of ours.

    Args:
        encoder: what to write.
        file: ``*.safetensors``; it appears whole.
        meta: where it comes from (JSON values), kept in the file's header.

    Raises:
        CheckpointError: the file has another ending, or timm alone cannot build this network.
    """
    path = Path(file)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: timm's weights are written as .safetensors; end --out in it")
    lines = timm_lines(encoder, path)
    state = {key: value.detach().cpu().contiguous().clone() for key, value in encoder.network.state_dict().items()}
    header = {"format": "pt", _KEY: json.dumps(describe(encoder)["init_args"]), "meta": json.dumps(dict(meta or {}))}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as beside:
        save_file(state, beside, metadata=header)
    return Written(lines, *(tuple(value.flatten().tolist()) for value in (encoder.mean, encoder.std)))


def timm_lines(encoder: DenseEncoder, path: Path) -> tuple[str, ...]:
    """The lines of Python that build the network with timm alone and load ``path`` into it.

    Raises:
        CheckpointError: nothing that timm builds has these weights.
    """
    import timm

    shape: Mapping[str, Any] | None = getattr(encoder, "shape", None)
    if shape is not None:
        arguments = vit_arguments(shape)
        with torch.device("meta"):
            made: Any = timm.models.VisionTransformer(**arguments)
        lines: tuple[str, ...] = (
            "import timm",
            f"model = timm.models.VisionTransformer({_spelt(arguments)})",
            f'timm.models.load_checkpoint(model, "{path}")',
        )
    else:
        name = _OURS.get(encoder.name, encoder.name)
        more = _other_size(encoder, name) | ({"output_stride": encoder.stride} if encoder.deep else {})
        with torch.device("meta"):
            made = timm.create_model(name, num_classes=0, **more)
        given = f", {_spelt(more)}" if more else ""
        lines = ("import timm", f'model = timm.create_model("{name}", num_classes=0{given}, checkpoint_path="{path}")')
    check_fits(made, encoder.network.state_dict(), f"the encoder {encoder.name}")
    return lines


def _other_size(encoder: DenseEncoder, name: str) -> dict[str, Any]:
    """``img_size`` where positions are kept for another size than timm's default."""
    import timm

    positions = getattr(encoder.network, "pos_embed", None)
    if positions is None:
        return {}
    with torch.device("meta"):
        usual: Any = timm.create_model(name, num_classes=0)
    if usual.pos_embed is None or usual.pos_embed.shape == positions.shape:
        return {}
    patch = usual.patch_embed.patch_size[0]
    prefix = usual.pos_embed.shape[1] - usual.patch_embed.num_patches
    return {"img_size": round((positions.shape[1] - prefix) ** 0.5) * patch}


def _spelt(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in arguments.items())


def read_timm_file(path: Path) -> tuple[dict[str, Any] | None, dict[str, Tensor]]:
    """The encoder's arguments, where :func:`write_timm_file` wrote the file, and all of its tensors.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        arguments = json.loads(header[_KEY]) if _KEY in header else None
    except (OSError, SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: the weights cannot be read ({error})") from error
    return arguments if isinstance(arguments, dict) else None, state
