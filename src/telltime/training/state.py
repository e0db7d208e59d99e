"""The whole state of a training in one file: tensors as safetensors, plain facts as JSON in its header.

One file, replaced in one step, cannot be half old and half new after a ``kill -9``.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from telltime.media.files import whole
from telltime.training.errors import RunError
from telltime.training.optim import full, like

FORMAT = 1


def model_state(method: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, whole, contiguous and on the CPU, in memory of their own.

    Every process must ask, since parameters may be spread over them.
    """
    return {name: _own(value) for name, value in method.state_dict().items()}


def optimiser_state(method: nn.Module, optimiser: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What the optimiser remembers of each parameter: tensors by ``parameter/entry``, and the rest as JSON values."""
    tensors: dict[str, Tensor] = {}
    rest: dict[str, Any] = {}
    for name, parameter in method.named_parameters():
        for entry, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{entry}"] = _own(value)
            else:
                rest[f"{name}/{entry}"] = value
    return tensors, rest


def save(
    path: Path, model: dict[str, Tensor], optimiser: tuple[dict[str, Tensor], dict[str, Any]], facts: dict[str, Any]
) -> None:
    """Write a state file, whole or not at all.

    Args:
        path: ends in ``.safetensors``.
        model: from :func:`model_state`.
        optimiser: from :func:`optimiser_state`.
        facts: JSON values: position, schedule, sums.
    """
    tensors = {f"model/{name}": value for name, value in model.items()}
    tensors |= {f"optimiser/{name}": value for name, value in optimiser[0].items()}
    header = {"format": FORMAT, "facts": facts, "optimiser": optimiser[1]}
    with whole(path) as beside:
        save_file(tensors, beside, metadata={"telltime_run_state": json.dumps(header)})


def load(path: Path, method: nn.Module, optimiser: Optimizer) -> dict[str, Any]:
    """Put a saved state back into ``method`` and ``optimiser``, and return its facts.

    Raises:
        RunError: the file cannot be read, or does not fit the method.
    """
    header, tensors = _read(path)
    model = {name[6:]: value for name, value in tensors.items() if name.startswith("model/")}
    _fill_model(path, method, model)

    saved: dict[str, dict[str, Any]] = {}
    for key, value in [*tensors.items(), *((f"optimiser/{k}", v) for k, v in header["optimiser"].items())]:
        if key.startswith("optimiser/"):
            name, entry = key[10:].rsplit("/", 1)
            saved.setdefault(name, {})[entry] = value
    names = {id(parameter): name for name, parameter in method.named_parameters()}
    state: dict[int, dict[str, Any]] = {}
    position = 0
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            entries = saved.get(names[id(parameter)])
            if entries is not None:
                state[position] = {entry: _as_before(entry, value, parameter) for entry, value in entries.items()}
            position += 1
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return header["facts"]


def facts_of(path: Path) -> dict[str, Any]:
    """The facts of a state file, without reading its tensors.

    Raises:
        RunError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["telltime_run_state"])["facts"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads(file.metadata()["telltime_run_state"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error
    if header["format"] != FORMAT:
        raise RunError(f"{path} is of format {header['format']}, this telltime reads {FORMAT}; start a new run folder")
    return header, tensors


def _unreadable(path: Path) -> RunError:
    return RunError(f"{path} is no readable run state; start again with another --out")


def _fill_model(path: Path, method: nn.Module, saved: dict[str, Tensor]) -> None:
    present = method.state_dict()
    odd = sorted(set(present) ^ set(saved))
    odd += [name for name in present if name in saved and present[name].shape != saved[name].shape]
    if odd:
        raise RunError(f"{path} does not fit the recipe's model (at {odd[0]}); resume with the recipe it was made with")
    with torch.no_grad():
        for name, value in present.items():
            value.copy_(like(saved[name], value))


def _as_before(entry: str, value: Any, parameter: Tensor) -> Any:
    """A moment with its parameter's memory layout, so that the same arithmetic runs over it in the same order."""
    if not isinstance(value, Tensor):
        return value
    if entry != "step" and value.shape == parameter.shape:
        return like(value, parameter.detach())
    return value.clone()


def _own(value: Tensor) -> Tensor:
    return full(value.detach()).cpu().clone(memory_format=torch.contiguous_format)
