"""Whether every key of a recipe is one that its class takes, before any class is made."""

import difflib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from telltime.training.errors import RecipeError

ALLOWED = ("telltime.", "torch.optim.")
_PLAIN = (str, int, float, bool, list, tuple, dict, set, object)


class _Class:
    """Stands for any class in a table of types."""


def check_options(recipe: str, tree: dict[str, Any], options: type, classes: tuple[str, ...]) -> None:
    """Check the keys of a raw recipe that can be checked without importing the classes it names.

    Args:
        recipe: name, for messages.
        tree: the recipe.
        options: dataclass of the keys that name no class.
        classes: keys that name one; each must be there.

    Raises:
        RecipeError: an unknown key, with the nearest valid one; a missing one; a class from elsewhere than
            :data:`ALLOWED`.
    """
    hints: dict[str, Any] = dict.fromkeys(classes, _Class) | _hints(options)
    _keys(recipe, "", tree, hints, tree, deep=False)
    for entry in classes:
        if tree.get(entry) is None:
            raise RecipeError(f"recipe {recipe}: the key '{entry}' is missing")


def check_classes(recipe: str, tree: dict[str, Any], classes: tuple[str, ...]) -> None:
    """Check the classes of a raw recipe and every key of their arguments.

    Raises:
        RecipeError: an unknown key, with the nearest valid one; a class that does not exist or comes from elsewhere
            than :data:`ALLOWED`.
    """
    for key in classes:
        _value(recipe, key, tree[key], _Class, tree, deep=True)


def _keys(
    recipe: str, where: str, tree: dict[str, Any], hints: dict[str, Any], root: dict[str, Any], deep: bool
) -> None:
    for key, value in tree.items():
        path = f"{where}.{key}" if where else str(key)
        if key not in hints:
            raise RecipeError(f"recipe {recipe}: unknown key '{path}'; {_instead(str(key), where, hints, root)}")
        _value(recipe, path, value, hints[key], root, deep)


def _value(recipe: str, path: str, value: Any, hint: Any, root: dict[str, Any], deep: bool) -> None:
    kinds = list(_kinds(hint))
    records = [kind for kind in kinds if is_dataclass(kind)]
    if isinstance(value, dict) and "class_path" in value:
        _class(recipe, path, value, root, deep)
    elif isinstance(value, dict) and records:
        _keys(recipe, path, value, _hints(records[0]), root, deep)
    elif value is not None and not records and kinds and not any(kind in _PLAIN for kind in kinds):
        raise RecipeError(f"recipe {recipe}: '{path}' names a class: give class_path and init_args below it")


def _class(recipe: str, path: str, node: dict[str, Any], root: dict[str, Any], deep: bool) -> None:
    for key in node:
        if key not in ("class_path", "init_args"):
            raise RecipeError(
                f"recipe {recipe}: unknown key '{path}.{key}'; beside class_path there is only init_args, "
                f"which holds the arguments"
            )
    name = node["class_path"]
    if not isinstance(name, str) or not name.startswith(ALLOWED):
        raise RecipeError(
            f"recipe {recipe}: '{path}.class_path' is {name!r}; classes come from {' or '.join(ALLOWED)} only"
        )
    if not deep:
        return
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RecipeError(
            f"recipe {recipe}: '{path}.class_path': there is no class {name}{_near(module, attribute)}"
        ) from error
    if not inspect.isclass(found) or not found.__module__.startswith(tuple(p.rstrip(".") for p in ALLOWED)):
        raise RecipeError(f"recipe {recipe}: '{path}.class_path': {name} is no class of {' or '.join(ALLOWED)}")
    arguments = node.get("init_args") or {}
    if not isinstance(arguments, dict):
        raise RecipeError(f"recipe {recipe}: '{path}.init_args' must hold keys, not {arguments!r}")
    _keys(recipe, f"{path}.init_args", arguments, _hints(found), root, deep)


def _hints(kind: Any) -> dict[str, Any]:
    """Argument names of a constructor and their types."""
    if is_dataclass(kind):
        types = get_type_hints(kind)
        return {entry.name: types[entry.name] for entry in fields(kind)}
    signature = inspect.signature(kind)
    types = get_type_hints(kind.__init__)
    return {name: types.get(name, object) for name in signature.parameters if name != "params"}


def _kinds(hint: Any) -> Iterator[Any]:
    """The classes that a type is a union of, without None; containers and literals count as plain."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        for argument in get_args(hint):
            yield from _kinds(argument)
    elif origin is Callable:
        yield Callable
    elif hint is not NoneType:
        yield hint if origin is None and inspect.isclass(hint) else object


def _instead(key: str, where: str, hints: dict[str, Any], root: dict[str, Any]) -> str:
    near = difflib.get_close_matches(key, hints, n=1, cutoff=0.5)
    if near:
        return f"did you mean '{near[0]}'?"
    elsewhere = [
        path for path in _paths(root) if path.split(".")[-1] == key and path != (f"{where}.{key}" if where else key)
    ]
    if elsewhere:
        return f"did you mean '{elsewhere[0]}'?"
    return f"known here are {', '.join(hints)}"


def _near(module: str, attribute: str) -> str:
    try:
        names = [name for name, value in vars(import_module(module)).items() if inspect.isclass(value)]
    except ImportError:
        return ""
    near = difflib.get_close_matches(attribute, names, n=1, cutoff=0.5)
    return f"; did you mean {module}.{near[0]}?" if near else ""


def _paths(tree: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            path = f"{prefix}.{key}" if prefix else str(key)
            yield path
            yield from _paths(value, path)
