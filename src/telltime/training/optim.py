"""Parameter groups, and what is done to gradients before a step."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def parameter_groups(module: nn.Module, decay_norms: bool = True) -> list[dict[str, Any]]:
    """Groups for an optimiser from ``torch.optim``, of the parameters that need a gradient.

    Unless ``decay_norms``, biases and the scales of norms (parameters of fewer than two dimensions) are a group of
    their own without weight decay.
    """
    wanted = [p for p in module.parameters() if p.requires_grad]
    if decay_norms:
        return [{"params": wanted}]
    flat = [p for p in wanted if p.ndim < 2]
    deep = [p for p in wanted if p.ndim >= 2]
    groups: list[dict[str, Any]] = [{"params": deep}, {"params": flat, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


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
