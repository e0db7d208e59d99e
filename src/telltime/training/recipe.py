"""Recipes: YAML that names classes and their arguments, checked key by key before anything is built."""

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from telltime.training.errors import RecipeError
from telltime.training.keys import check_options
from telltime.training.validation import Validator

Tree = dict[str, Any]


@dataclass
class Data:
    """What is trained on: a data set by name, as ``telltime.datasets.load`` takes it."""

    name: str = "folder"
    split: str = "train"
    fold: int = 1
    root: str | None = None
    annotation: str | None = None


@dataclass
class Bad:
    """What happens to media that cannot be read; past ``max_share`` of the videos left out the training ends."""

    mode: Literal["raise", "skip"] = "raise"
    max_share: float = 0.5


@dataclass(kw_only=True)
class Options:
    """The keys of a recipe that name no class.

    Attributes:
        description: a sentence for people.
        batch_size: videos in a batch, over all processes.
        drop_last: leave out the last batch of an epoch when it is smaller.
        decay_norms: whether weight decay also acts on biases and the scales of norms.
        rates: shares of the learning rate for parameters whose names begin alike, such as ``{encoder: 0.1}``.
        validation: looks at the method on records that are held out of the training, if it shall be.
        workers: processes that read videos; changes nothing but the speed.

    The rest is described at :class:`telltime.training.loop.Settings`.
    """

    description: str = ""
    data: Data = field(default_factory=Data)
    batch_size: int = 8
    drop_last: bool = False
    epochs: int = 1
    max_steps: int | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    decay_norms: bool = True
    rates: dict[str, float] = field(default_factory=dict)
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    compile: bool = False
    fsdp: bool = False
    device: Literal["auto", "cpu"] = "auto"
    seed: int = 0
    workers: int = 2
    bad_media: Bad = field(default_factory=Bad)
    validation: Validator | None = None
    log_every: int = 10
    save_every: int | None = None
    keep_every: int = 0


CLASSES = ("method", "optimiser", "schedule")
"""The keys of a recipe that name a class and its arguments; a recipe must have them."""

FREE_ON_RESUME = (
    "description", "data.root", "data.annotation", "max_steps", "workers", "save_every", "keep_every",
)  # fmt: skip
"""Keys that may change between a run's start and its resume, since they change no number."""


class _Loader(yaml.SafeLoader):
    """YAML in which ``1e-3`` is a number and a key may not come twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = [key.value for key, _ in node.value]
        for key in seen:
            if seen.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key '{key}' comes twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def shipped() -> dict[str, Path]:
    """Names of the recipes in the package, and their files."""
    folder = Path(str(files("telltime") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find(recipe: str) -> Path:
    """The file of a shipped recipe's name, or of a path.

    Raises:
        RecipeError: there is none.
    """
    known = shipped()
    if recipe in known:
        return known[recipe]
    path = Path(recipe)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    if path.suffix in (".yaml", ".yml"):
        raise RecipeError(f"there is no recipe file {recipe}; the shipped recipes are {', '.join(known)}")
    near = difflib.get_close_matches(recipe, known, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? (" if near else "("
    raise RecipeError(f"there is no recipe '{recipe}'; {hint}shipped are {', '.join(known)}; a file ends in .yaml)")


def read(path: Path) -> Tree:
    """The raw tree of a recipe file.

    Raises:
        RecipeError: the file is no YAML mapping.
    """
    try:
        tree = yaml.load(path.read_text(), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise RecipeError(f"{path} holds no keys; a recipe names at least method, optimiser and schedule")
    return tree


def override(tree: Tree, assignments: list[str]) -> None:
    """Apply ``key.path=value`` in place; the value is YAML, and ``init_args`` may be left out of the path.

    Raises:
        RecipeError: an assignment has no ``=``, a value is no YAML, or a path leads through a plain value.
    """
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not all(key.split(".")):
            raise RecipeError(f"--set {assignment}: expected key.path=value, for example --set optimiser.lr=1e-4")
        try:
            value = yaml.load(text, _Loader)
        except yaml.YAMLError as error:
            raise RecipeError(f"--set {assignment}: the value is no valid YAML") from error
        put(tree, key, value)


def put(tree: Tree, key: str, value: Any) -> None:
    """Set one value at a dotted path, in place."""
    *path, last = key.split(".")
    node = tree
    for name in path:
        node = _inside(node, name)
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
        if not isinstance(node, dict):
            raise RecipeError(f"--set {key}: '{name}' holds a plain value, nothing lies below it")
    _inside(node, last)[last] = value


def _inside(node: Tree, name: str) -> Tree:
    """Where ``name`` belongs: the arguments of a class, or the node itself."""
    if "class_path" in node and name not in ("class_path", "init_args"):
        if node.get("init_args") is None:
            node["init_args"] = {}
        return node["init_args"]
    return node


def draft(recipe: str, assignments: list[str] | None = None, values: Tree | None = None) -> tuple[str, Tree]:
    """Find, read and override a recipe, and check its keys that need no class to be imported.

    Args:
        recipe: a shipped recipe's name or a path to a YAML file.
        assignments: ``key.path=value`` strings, from the command line.
        values: dotted path to value, applied last; ``None`` values are left out.

    Returns:
        Name and raw tree.

    Raises:
        RecipeError: anything is wrong with it; the message names the key and the nearest valid one.
    """
    name, tree = Path(recipe).stem, read(find(recipe))
    override(tree, assignments or [])
    for key, value in (values or {}).items():
        if value is not None:
            put(tree, key, value)
    check_options(name, tree, Options, CLASSES)
    return name, tree


def differences(old: Tree, new: Tree, free: tuple[str, ...] = ()) -> list[str]:
    """Dotted keys at which two trees differ, each with both values, those in ``free`` left out."""
    before, after = dict(_leaves(old)), dict(_leaves(new))
    nothing = object()
    return [
        f"{key} ({before.get(key, 'absent')} -> {after.get(key, 'absent')})"
        for key in dict.fromkeys([*before, *after])
        if key not in free and before.get(key, nothing) != after.get(key, nothing)
    ]


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, tree
