"""What a MODEL stands for, found out without importing torch so that a wrong one is answered at once."""

import difflib
import importlib.util
import re
from pathlib import Path
from typing import NamedTuple

from telltime.checkpoints.errors import CheckpointError

HUB = "hf-hub:"
RECIPES = Path(__file__).parents[1] / "recipes"
_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_FILES = (".pth", ".pt", ".tar", ".ckpt", ".bin", ".safetensors", ".pkl", ".yaml", ".json")


class Source(NamedTuple):
    """Where a model comes from.

    Attributes:
        kind: ``"folder"`` (a saved model), ``"published"`` (a checkpoint file), ``"recipe"``, ``"timm"`` or ``"hub"``.
        name: path, or the name as given.
    """

    kind: str
    name: str


def resolve(model: str | Path) -> Source:
    """Decide what ``model`` names: files and folders first, then recipes, then timm.

    The network is asked of nothing but what says so: ``hf-hub:OWNER/NAME``, as timm spells it.

    Raises:
        CheckpointError: nothing answers to the name; the message says what was tried and which names are near.
    """
    name = str(model)
    if name.startswith(HUB):
        if not _HUB_ID.fullmatch(name[len(HUB) :]):
            raise CheckpointError(f"{name}: an id on the hub is {HUB}OWNER/NAME")
        return Source("hub", name[len(HUB) :])
    path = Path(name).expanduser()
    if path.is_dir():
        return Source("folder", str(_model_folder(path)))
    if path.is_file():
        return Source(*_file(path))
    if (RECIPES / f"{name}.yaml").is_file():
        return Source("recipe", str(RECIPES / f"{name}.yaml"))
    if path.is_absolute() or name.startswith((".", "~")) or path.suffix in _FILES or path.parent.name:
        near = _near(name, _beside(path))
        hub = f"; a model on the hub is {HUB}{name}" if not near and _HUB_ID.fullmatch(name) else ""
        raise CheckpointError(f"{name}: there is no such file or folder{near}{hub}")
    architecture, _, tag = name.partition("@")
    known = timm_architectures()
    if architecture.partition(".")[0] in known and tag in ("", "random"):
        return Source("timm", name)
    tried = "a run or model folder, a checkpoint file, a recipe, a timm name (NAME or NAME@random), hf-hub:OWNER/NAME"
    raise CheckpointError(
        f"there is no model {name!r}: tried {tried}{_near(name, [*recipes(), *known, *_beside(path)])}"
    )


def recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def timm_architectures() -> set[str]:
    """Names timm registers, read from its source: importing it takes seconds."""
    spec = importlib.util.find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return set()
    found: set[str] = set()
    for folder in spec.submodule_search_locations:
        for path in Path(folder, "models").glob("*.py"):
            found.update(re.findall(r"^@register_model\s+def (\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    return found


def _model_folder(path: Path) -> Path:
    for folder in (path, path / "model"):
        weights = ("model.safetensors", "pytorch_model.bin")
        if (folder / "config.json").is_file() and any((folder / name).is_file() for name in weights):
            return folder
    if (path / "recipe.yaml").is_file():
        raise CheckpointError(f"{path} is a run that has saved no model yet; let its training go on with --resume")
    raise CheckpointError(f"{path} holds no model: expected model.safetensors and config.json, there or in model/")


def _file(path: Path) -> tuple[str, str]:
    if path.suffix in (".yaml", ".yml"):
        return "recipe", str(path)
    if path.suffix in (".safetensors", ".json"):
        return "folder", str(_model_folder(path.parent))
    return "published", str(path)


def _beside(path: Path) -> list[str]:
    """What there is where ``path`` should be, spelt as ``path`` is."""
    folder = path.parent
    return [str(folder / other.name) for other in sorted(folder.iterdir())[:1000]] if folder.is_dir() else []


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.7)
    return f"; did you mean {' or '.join(near)}?" if near else ""
