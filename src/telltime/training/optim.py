"""Parameter groups, and what is done to gradients before a step."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def parameter_groups(
    module: nn.Module, decay_norms: bool = True, rates: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Groups for an optimiser from ``torch.optim``, of the parameters that need a gradient.

    Unless ``decay_norms``, biases and the scales of norms (parameters of fewer than two dimensions) are groups of their
    own without weight decay. ``rates`` gives parameters whose names begin alike a share of the learning rate; of
    several beginnings the first that fits counts, and the groups hold the share as ``rate`` (:func:`scale_rates`).

    Raises:
        ValueError: no parameter's name begins so.
    """
    shares = dict(rates or {})
    sorted_: dict[str, list[nn.Parameter]] = {begin: [] for begin in ("", *shares)}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            begin = next((begin for begin in shares if name.startswith(begin)), "")
            sorted_[begin].append(parameter)
    if lost := [begin for begin in shares if not sorted_[begin]]:
        raise ValueError(f"rates: no parameter that is trained has a name beginning with {lost[0]!r}")
    groups: list[dict[str, Any]] = []
    for begin, wanted in sorted_.items():
        more = {"rate": shares[begin]} if begin in shares else {}
        if decay_norms:
            groups.append({"params": wanted} | more)
            continue
        groups.append({"params": [p for p in wanted if p.ndim >= 2]} | more)
        groups.append({"params": [p for p in wanted if p.ndim < 2], "weight_decay": 0.0} | more)
    return [group for group in groups if group["params"]]


def scale_rates(optimiser: Optimizer) -> Optimizer:
    """Multiply the learning rate of each group by its ``rate``, if it has one; the optimiser itself is returned."""
    for group in optimiser.param_groups:
        group["lr"] *= group.get("rate", 1.0)
    return optimiser


def clip(parameters: Iterable[Tensor], norm: float) -> Tensor:
    """Scale the gradients down to a common norm of at most ``norm``; return the norm before, 0-d, without a sync."""
    total = torch.nn.utils.clip_grad_norm_(parameters, norm)
    return full(total)


def full(tensor: Tensor) -> Tensor:
    """A tensor that may be spread over processes, as one; every process must ask."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def like(saved: Tensor, model: Tensor) -> Tensor:
    """``saved`` with the device, memory layout and spread of ``model``, in memory of its own."""
    if hasattr(model, "full_tensor"):
        from torch.distributed.tensor import distribute_tensor

        return distribute_tensor(saved.to(model.device), model.device_mesh, model.placements)  # type: ignore[attr-defined]
    return torch.empty_like(model, dtype=saved.dtype).copy_(saved)
