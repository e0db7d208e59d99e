"""Networks of this package from the names of their classes, and those names from networks."""

import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from telltime.checkpoints.errors import CheckpointError, listed
from telltime.checkpoints.folder import weights_hash


def build(class_path: str, init_args: Mapping[str, Any] | None = None) -> nn.Module:
    """The module ``class_path(**init_args)``; arguments of the form ``{"class_path", "init_args"}`` are built first.

    Raises:
        CheckpointError: the class is not a network of this package, or does not take these arguments.
    """
    module, _, name = class_path.rpartition(".")
    found: Any = None
    if class_path.startswith("telltime.") and all(part.isidentifier() for part in class_path.split(".")):
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            raise CheckpointError(f"there is no {class_path} in this telltime ({error})") from error
    if not (inspect.isclass(found) and issubclass(found, nn.Module) and found.__module__.startswith("telltime.")):
        raise CheckpointError(f"{class_path} is no network of telltime; only those are built")
    args = {
        key: build(**value) if isinstance(value, Mapping) and "class_path" in value else value
        for key, value in (init_args or {}).items()
    }
    try:
        return found(**args)
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"{class_path} cannot be built from {dict(args)}: {error}") from error


def describe(module: nn.Module) -> dict[str, Any]:
    """What :func:`build` needs for ``module``: every argument of its class, read from the attribute of that name."""
    kind = type(module)
    args = {}
    for name in inspect.signature(kind).parameters:
        if not hasattr(module, name):
            raise CheckpointError(
                f"{kind.__qualname__} cannot be saved: it keeps no attribute {name!r} of its argument"
            )
        value = getattr(module, name)
        args[name] = describe(value) if isinstance(value, nn.Module) else value
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": args}


def digest_of(module: nn.Module) -> str:
    """A hash of a network's class, arguments and weights: 32 hexadecimal digits."""
    made = [describe(module), weights_hash(module.state_dict())]
    return hashlib.blake2b(json.dumps(made, sort_keys=True).encode(), digest_size=16).hexdigest()


def check_fits(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """See that ``state`` has the keys and shapes of ``module``, and say which differ.

    Raises:
        CheckpointError: a key is missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    problems = []
    if missing := [key for key in wanted if key not in state]:
        problems.append(f"lacks {listed(missing)}")
    if unknown := [key for key in state if key not in wanted]:
        problems.append(f"has unknown {listed(unknown)}")
    if differing := [
        f"{key} ({list(state[key].shape)}, expected {list(wanted[key].shape)})"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]:
        problems.append(f"has other shapes in {listed(differing)}")
    if problems:
        raise CheckpointError(f"{what} does not fit {type(module).__name__}: it {', it '.join(problems)}")


def build_seeded(class_path: str, init_args: Mapping[str, Any] | None = None, seed: int = 0) -> nn.Module:
    """The same with weights drawn from ``seed``; the caller's random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(class_path, init_args)
