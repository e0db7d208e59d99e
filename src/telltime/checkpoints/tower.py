"""The image tower that a name stands for: what turns photos into features.

>>> tower = load_tower("efficientnet-lite0")                 # comes with the package
>>> tower = load_tower("clip-vit-large-patch14", profile="reference")
>>> tower = load_tower("runs/mine")                          # of a model that tells the time
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.resolve import Source, resolve

if TYPE_CHECKING:
    from telltime.backbones.image_tower import ImageTower

DEFAULT = "efficientnet-lite0"
CLIP = "clip-vit-large-patch14"
PROFILES = ("own", "reference", "clip")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def find_tower(model: str | Path = DEFAULT) -> Source:
    """Decide what ``model`` names, without importing torch.

    Returns:
        ``"timm"`` for a name that :class:`~telltime.backbones.image_tower.ImageTower` takes, ``"clip"`` for CLIP's
        published weights (a file, or a folder with ``config.json``), ``"clock"`` for a model that tells the time.

    Raises:
        CheckpointError: nothing answers to the name, or what does looks at no photos.
    """
    name = str(model)
    plain = name.replace("_", "-").removeprefix("openai/")
    if plain in (DEFAULT, CLIP) and not Path(name).exists():
        return Source("timm", plain)
    if (config := _hub_config(Path(name))) is not None:
        if not isinstance(config.get("vision_config"), dict):
            raise CheckpointError(f"{name}: config.json tells of no CLIP: expected vision_config in it")
        return Source("clip", name)
    source = resolve(model)
    if source.kind == "folder":
        kind = json.loads((Path(source.name) / "config.json").read_text(encoding="utf-8")).get("kind")
        if kind == "clock":
            return Source("clock", name)
    if source.kind == "published":
        return Source("file", source.name)
    if source.kind == "hub":
        return Source("clock", name)
    if source.kind == "timm":
        return source
    raise CheckpointError(
        f"{name} looks at no photos; give {DEFAULT}, {CLIP}, a timm name, a model that tells the time, or a folder "
        "with CLIP's published weights"
    )


def looks_at_photos(model: str | Path) -> bool:
    """Whether :func:`find_tower` finds something, other than a checkpoint file, which may be anything."""
    try:
        return find_tower(model).kind != "file"
    except (CheckpointError, OSError, ValueError):
        return False


def load_tower(model: str | Path = DEFAULT, profile: str | None = None, size: int | None = None) -> "ImageTower":
    """The tower that ``model`` names, in evaluation mode, on the CPU.

    Args:
        model: ``"efficientnet-lite0"``, ``"clip-vit-large-patch14"``, a timm name (``NAME@random`` downloads nothing),
            a run or folder of a model that tells the time, or CLIP's published weights.
        profile: how pictures are made ready, see :mod:`telltime.backbones.image_tower`; by default the model's own.
        size: side of the pictures; by default the model's own.

    Raises:
        CheckpointError: nothing answers to the name, the weights cannot be had, or a model that tells the time takes
            pictures made ready in another way.
    """
    source = find_tower(model)
    given: dict[str, Any] = {"profile": profile or "own"} | ({} if size is None else {"size": size})
    if source.kind == "timm":
        from telltime.checkpoints._clock_files import named_tower

        return named_tower({"name": source.name, **given}, f"{DEFAULT} needs no download")
    if source.kind == "clock":
        return _of_clock(source.name, profile, size)
    found = _clip(Path(source.name), given)
    return found if found is not None else _of_clock(source.name, profile, size)


def _of_clock(model: str, profile: str | None, size: int | None) -> "ImageTower":
    from telltime.checkpoints.clock import load_clock

    tower = load_clock(model).tower
    for what, asked, there in (("profile", profile, tower.profile), ("size", size, tower.size)):
        if asked not in (None, there):
            raise CheckpointError(f"{model} was trained with {what} {there!r}, not {asked!r}; leave --{what} out")
    return tower


def _clip(path: Path, given: dict[str, Any]) -> "ImageTower | None":
    """A tower from CLIP's published weights; ``None`` when the file holds no CLIP."""
    from telltime.backbones import clip_vision
    from telltime.backbones.image_tower import ImageTower
    from telltime.checkpoints.build import check_fits

    config = _hub_config(path)
    state = _weights(path)
    try:
        vision = clip_vision.vision_part(state)
    except ValueError as error:
        if config is None:
            return None
        raise CheckpointError(f"{path}: {error}") from error
    try:
        shape = clip_vision.shape_of(vision, None if config is None else clip_vision.shape_from(config).heads)
        tower = ImageTower("clip", shape=shape._asdict(), pretrained=False, **given)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    weights = {f"network.{key}": value.float() for key, value in clip_vision.timm_state(vision).items()}
    check_fits(tower, weights, f"{path}: the CLIP tower")
    tower.load_state_dict(weights)
    return tower


def _weights(path: Path) -> dict[str, Any]:
    if path.is_dir():
        path = next((path / name for name in _WEIGHTS if (path / name).is_file()), path / _WEIGHTS[0])
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: the weights cannot be read ({error})") from error
    from telltime.checkpoints.unpickle import load_published

    content = load_published(path)
    inner = content.get("state_dict", content)
    return inner if isinstance(inner, dict) else content


def _hub_config(path: Path) -> dict[str, Any] | None:
    """``config.json`` of a folder as the hub has it; ``None`` for folders of this package and all else."""
    file = path / "config.json"
    if not file.is_file():
        return None
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({error})") from error
    return None if not isinstance(config, dict) or "format" in config else config
