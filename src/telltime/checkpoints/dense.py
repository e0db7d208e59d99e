"""Encoders of places by name: loaded from wherever they were published or saved, and saved with what was tuned along.

>>> encoder = load_dense("efficientnet-lite0")                  # comes with the package
>>> encoder = load_dense("TimeT.pth", which="student")          # a published file
>>> encoder(encoder.prepare(frames)).shape                      # [N, channels, h, w]
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.resolve import Source, resolve

if TYPE_CHECKING:
    import torch
    from torch import nn

    from telltime.backbones.dense import DenseEncoder
    from telltime.checkpoints._dense_files import DenseParts
    from telltime.checkpoints.dense_model import DenseModel

DEFAULT = "efficientnet-lite0"
KIND = "dense"
STUDENT, TEACHER = "student", "teacher"
_ENCODER = "telltime.backbones.dense.DenseEncoder"


def find_dense(model: str | Path = DEFAULT) -> Source:
    """Decide what ``model`` names, without importing torch.

    Returns:
        ``"timm"`` (a name, the embedded one among them), ``"folder"`` (a saved model), ``"published"`` (a checkpoint
        file), ``"recipe"`` or ``"hub"``.

    Raises:
        CheckpointError: nothing answers to the name, or what does gives no features of places.
    """
    name = str(model)
    if name.replace("_", "-") == DEFAULT and not Path(name).exists():
        return Source("timm", DEFAULT)
    path = Path(name).expanduser()
    if path.is_file() and path.suffix == ".safetensors" and not (path.parent / "config.json").is_file():
        return Source("published", str(path))
    source = resolve(model)
    if source.kind == "folder":
        kind = _config(Path(source.name)).get("kind", "clips")
        if kind != KIND:
            raise CheckpointError(f"{name} holds a model {_OTHERS.get(kind, 'of another kind')}, {_EXPECTED}")
    if source.kind == "recipe" and "telltime.methods.timet." not in Path(source.name).read_text(encoding="utf-8"):
        raise CheckpointError(f"{name} is a recipe of another method, {_EXPECTED}")
    return source


_OTHERS = {"clips": "of clips", "describer": "that describes whole frames", "clock": "that tells the time of photos"}
_EXPECTED = (
    f"which gives no features of places; give {DEFAULT}, a timm name, a run of TimeT, its model folder, or a published "
    "file of TimeT, DINO, Leopart or NeCo"
)


def load_dense(
    model: str | Path = DEFAULT,
    which: str | None = None,
    device: "str | torch.device" = "cpu",
    heads: int | None = None,
) -> "DenseEncoder":
    """The encoder that ``model`` names, in evaluation mode.

    Args:
        model: ``"efficientnet-lite0"`` (the weights come with the package); a timm name, whose weights are downloaded
            unless they lie in timm's cache (``NAME@random`` needs none); a run of TimeT or a saved model's folder; a
            recipe of TimeT (the encoder that its training begins with); a published file, see
            :mod:`telltime.checkpoints._dense_files`; or ``hf-hub:OWNER/NAME``.
        which: ``"student"`` or ``"teacher"``, where there are both. Runs and saved models give the student by default,
            files of DINO's training the teacher, and TimeT's published files must be asked.
        device: where to put it.
        heads: of attention in a published file, whose weights do not tell; by default one for 64 numbers.

    Raises:
        CheckpointError: nothing answers to the name, or what does is damaged, unknown, unsafe or ambiguous.
    """
    found = load_dense_model(model, which, heads)
    return found.encoder.to(device).eval()


def load_dense_model(model: str | Path = DEFAULT, which: str | None = None, heads: int | None = None) -> "DenseModel":
    """The same with projection head and prototypes, where there are any, and with what is known of its making."""
    from telltime.checkpoints.dense_model import DenseModel

    if which not in (None, STUDENT, TEACHER):
        raise CheckpointError(f"--which is {STUDENT} or {TEACHER}, not {which!r}")
    source = find_dense(model)
    if source.kind == "folder":
        return saved_dense(Path(source.name), which)
    if source.kind == "published":
        return published_dense(Path(source.name), which, heads=heads)
    if source.kind == "hub":
        return _hub(source.name, which)
    if which is not None:
        raise CheckpointError(f"{model} has no student and teacher; leave --which out")
    if source.kind == "recipe":
        return DenseModel(_of_recipe(Path(source.name)), meta={"method": "timet", "source": f"recipe {model}"})
    return DenseModel(_named(source.name), meta={"method": "encoder", "source": source.name})


def published_dense(
    path: Path, which: str | None = None, content: Mapping[str, Any] | None = None, heads: int | None = None
) -> "DenseModel":
    """The encoder in a file that a method's authors published, or in one that :mod:`timm_file` has written.

    Args:
        which, heads: as of :func:`load_dense`.
        content: of the file, where it was read already.

    Raises:
        CheckpointError: the file is unsafe or damaged, it holds no image network, or nothing says which of two.
    """
    from telltime.checkpoints._dense_files import dense_parts
    from telltime.checkpoints.timm_file import read_timm_file

    if content is None and path.suffix == ".safetensors":
        architecture, content = read_timm_file(path)
        if architecture is not None and which is not None:
            raise CheckpointError(f"{path} holds no student and teacher; leave --which out")
        if architecture is not None:
            return _of_timm_file(path, architecture, content)
    if content is None:
        from telltime.checkpoints.unpickle import load_published

        content = load_published(path)
    try:
        return _assembled(dense_parts(content, which, heads), path.name)
    except CheckpointError as error:
        raise type(error)(f"{path}: {error}") from error


def _assembled(parts: "DenseParts", source: str) -> "DenseModel":
    """The model of a published file's parts; sizes are compared before memory is taken."""
    from telltime.checkpoints._vit import arguments_of
    from telltime.checkpoints.build import check_fits
    from telltime.checkpoints.dense_model import DenseModel, projection_of

    weights = {f"network.{key}": value for key, value in parts.backbone.items()}
    arguments = arguments_of(parts.shape)
    encoder = _built(arguments)
    check_fits(encoder, weights, "the file")
    encoder.load_state_dict(weights)
    notes = [*parts.notes, *([f"left out: {_grouped(parts.unused)}"] if parts.unused else [])]
    meta = {
        "method": parts.method,
        "kind": "published",
        "architecture": parts.shape.told(),
        "source": source,
        "licence": _LICENCES.get(parts.method, "see where you have it from"),
        "notes": notes,
    } | ({"which": parts.which} if parts.which else {})
    return DenseModel(encoder, projection_of(parts.head), parts.prototypes, meta=meta)


_LICENCES = {
    "timet": "BSD-3-Clause-Clear, as the repository of TimeT, without a patent grant",
    "dino": "Apache-2.0, as the repository of DINO",
    "dinov2": "Apache-2.0, as the repository of DINOv2; ask the authors where it was tuned further",
}


def _grouped(keys: tuple[str, ...]) -> str:
    """Keys by what they begin with, and how many there are of each."""
    counts: dict[str, int] = {}
    for key in keys:
        words = key.split(".")
        start = ".".join(words[:2]) + ".*" if len(words) > 2 else key
        counts[start] = counts.get(start, 0) + 1
    shown = [key if n == 1 and not key.endswith("*") else f"{key} ({n})" for key, n in counts.items()]
    return ", ".join(shown[:8]) + (f" and {len(shown) - 8} more" if len(shown) > 8 else "")


def _of_timm_file(path: Path, architecture: Mapping[str, Any], state: Mapping[str, Any]) -> "DenseModel":
    from telltime.checkpoints.build import check_fits
    from telltime.checkpoints.dense_model import DenseModel

    encoder = _built(dict(architecture) | {"pretrained": False})
    weights = {f"network.{key}": value for key, value in state.items()}
    check_fits(encoder, weights, str(path))
    encoder.load_state_dict(weights)
    return DenseModel(encoder, meta={"method": "encoder", "kind": "published", "source": path.name, "notes": []})


def saved_dense(folder: Path, which: str | None = None) -> "DenseModel":
    """A model that :meth:`DenseModel.save` wrote.

    Raises:
        CheckpointError: it is damaged or of another kind, or holds no teacher and one is asked for.
    """
    from telltime.checkpoints.dense_model import from_state
    from telltime.checkpoints.folder import read_folder

    config, state = read_folder(folder)
    if config.get("kind") != KIND:
        raise CheckpointError(f"{folder} holds a model of another kind, {_EXPECTED}")
    try:
        made = from_state(config, state)
        return made.of(which) if which else made
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def _built(arguments: Mapping[str, Any]) -> "DenseEncoder":
    """An encoder with weights of seed 0, to be loaded over."""
    from telltime.backbones.dense import DenseEncoder
    from telltime.checkpoints.build import build_seeded

    made = build_seeded(_ENCODER, {**arguments, "pretrained": False})
    assert isinstance(made, DenseEncoder)
    return made


def _named(name: str) -> "DenseEncoder":
    """An encoder with the weights that its name stands for; ``NAME@random`` has random ones, always the same."""
    from telltime.backbones.dense import DenseEncoder
    from telltime.checkpoints.build import build_seeded

    architecture, _, tag = name.partition("@")
    try:
        made = build_seeded(_ENCODER, {"name": architecture, "pretrained": tag != "random"})
    except CheckpointError:
        raise
    except Exception as error:  # whatever network and hub may do
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"{name}: timm's weights cannot be had ({first}); {DEFAULT} needs no download, {architecture}@random none"
        ) from error
    assert isinstance(made, DenseEncoder)
    return made


def _of_recipe(path: Path) -> "DenseEncoder":
    """The encoder that a recipe's training begins with."""
    import yaml

    from telltime.backbones.dense import DenseEncoder
    from telltime.checkpoints.build import build_seeded

    try:
        encoder: nn.Module = build_seeded(
            **yaml.safe_load(path.read_text(encoding="utf-8"))["method"]["init_args"]["encoder"]
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its method names no encoder that can be built ({error})") from error
    if not isinstance(encoder, DenseEncoder):
        raise CheckpointError(f"{path}: its encoder gives no features of places")
    return encoder


def _hub(name: str, which: str | None) -> "DenseModel":
    from huggingface_hub import snapshot_download

    try:
        return saved_dense(Path(snapshot_download(name, allow_patterns=["model.safetensors", "config.json"])), which)
    except CheckpointError:
        raise
    except Exception as error:  # whatever network and hub may do
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"hf-hub:{name}: the hub gives no encoder ({first})") from error


def _config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder, empty where it cannot be read: reading the model says what is wrong."""
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"kind": KIND}
    return found if isinstance(found, dict) else {"kind": KIND}
