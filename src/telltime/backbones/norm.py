"""Batch normalisation for several views in one forward, each with statistics of its own.

A contrastive method that forwards its views one after the other normalises each by its own batch. Views laid out one
after the other in a single batch, ``[V * B, ...]``, are faster, but an ordinary batch norm would mix them.
:class:`ViewBatchNorm` does not: outputs, gradients and running statistics are those of ``V`` forwards in that order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class ViewBatchNorm(_BatchNorm):
    """Batch norm of 2 to 5 axes ``[V * B, C, ...]`` with batch statistics per view; parameters as ``nn.BatchNorm``'s.

    In training, view after view updates the running statistics and counts in ``num_batches_tracked``. A view with a
    single value a channel has no variance: it is normalised with the running statistics and updates nothing.

    Attributes:
        views: how many views the batch holds, one after the other; set by :func:`sharing`.
        sync: whether statistics are those of all processes; set by :func:`sharing`.
        update: whether running statistics are updated; cleared by :func:`frozen_statistics`.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(channels, eps, momentum)
        self.views = 1
        self.sync = False
        self.update = True

    @classmethod
    def convert(cls, module: nn.Module) -> nn.Module:
        """``module`` with every ``BatchNorm1d``, ``2d`` and ``3d`` inside replaced; parameters and buffers are kept."""
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            if not (module.affine and module.track_running_stats and module.momentum):
                raise ValueError(f"per-view statistics need weights, running statistics and a momentum: {module}")
            norm = cls(module.num_features, module.eps, module.momentum)
            norm._parameters, norm._buffers = module._parameters, module._buffers
            return norm.train(module.training)
        for name, child in module.named_children():
            setattr(module, name, cls.convert(child))
        return module

    def forward(self, x: Tensor) -> Tensor:
        synced = self.sync and dist.is_initialized() and dist.get_world_size() > 1
        if len(x) % self.views and self.training:
            raise ValueError(f"a batch of {len(x)} does not hold {self.views} views of one size")
        if not self.training or (not synced and x.numel() == self.views * x.shape[1]):
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        running = (self.running_mean, self.running_var) if self.update else (None, None)
        if self.update:
            self.num_batches_tracked += self.views
        normalise = _NormaliseOverProcesses if synced else _Normalise
        return normalise.apply(x, self.weight, self.bias, *running, self.views, self.momentum, self.eps)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes from 2."""


@contextmanager
def sharing(module: nn.Module, views: int, sync: bool = False) -> Iterator[None]:
    """Inside, a forward of ``module`` holds ``views`` views; ``sync`` takes their statistics over all processes."""
    norms = [m for m in module.modules() if isinstance(m, ViewBatchNorm)]
    before = [(norm.views, norm.sync) for norm in norms]
    for norm in norms:
        norm.views, norm.sync = views, sync
    try:
        yield
    finally:
        for norm, state in zip(norms, before, strict=True):
            norm.views, norm.sync = state


@contextmanager
def frozen_statistics(module: nn.Module) -> Iterator[None]:
    """Inside, training forwards of ``module`` leave running statistics alone: for recomputing activations."""
    norms = [m for m in module.modules() if isinstance(m, ViewBatchNorm)]
    before = [norm.update for norm in norms]
    for norm in norms:
        norm.update = False
    try:
        yield
    finally:
        for norm, update in zip(norms, before, strict=True):
            norm.update = update


class _Normalise(torch.autograd.Function):
    """Every view through the native kernel, written straight into its part of one output of the same memory format."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        views: int,
        momentum: float,
        eps: float,
    ) -> Tensor:
        out = torch.empty_like(x)
        mean, invstd = weight.new_empty(2, views, len(weight))
        for part, to, *stats in zip(x.chunk(views), out.chunk(views), mean, invstd, strict=True):
            torch.native_batch_norm(
                part, weight, bias, running_mean, running_var, True, momentum, eps, out=(to, *stats)
            )
        ctx.save_for_backward(x, weight, mean, invstd)
        ctx.eps = eps
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, invstd = ctx.saved_tensors
        views = len(mean)
        grad_x = torch.empty_like(x)
        grad_weight, grad_bias = torch.empty_like(mean), torch.empty_like(mean)
        for v, (part, to, back) in enumerate(zip(x.chunk(views), grad_x.chunk(views), grad.chunk(views), strict=True)):
            gradient, grad_weight[v], grad_bias[v] = torch.ops.aten.native_batch_norm_backward(
                back, part, weight, None, None, mean[v], invstd[v], True, ctx.eps, [True, True, True]
            )
            to.copy_(gradient)
        return grad_x, grad_weight.sum(0), grad_bias.sum(0), None, None, None, None, None


class _NormaliseOverProcesses(torch.autograd.Function):
    """The same with moments summed over processes, whose batches may differ in size: one reduction each way."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        views: int,
        momentum: float,
        eps: float,
    ) -> Tensor:
        axes = [0, *range(2, x.ndim)]
        parts = x.chunk(views)
        dtype = weight.dtype
        moments = [torch.var_mean(part.to(dtype), axes, correction=0) for part in parts]
        var, mean = (torch.stack(each).double() for each in zip(*moments, strict=True))
        count = mean.new_full((views, 1), parts[0].numel() // x.shape[1])
        sums = torch.cat([count, count * mean, count * (var + mean.square())], dim=1)
        dist.all_reduce(sums)
        count, mean, square = sums.split([1, *[x.shape[1]] * 2], dim=1)
        mean = mean / count
        var = (square / count - mean.square()).clamp_min(0)
        if running_mean is not None and running_var is not None:
            for view_mean, view_var in zip(mean, var * count / (count - 1), strict=True):
                running_mean.lerp_(view_mean.to(running_mean.dtype), momentum)
                running_var.lerp_(view_var.to(running_var.dtype), momentum)
        mean, var, count = mean.to(dtype), var.to(dtype), count.to(dtype)
        out = torch.empty_like(x)
        unused = weight.new_empty(2, 0)
        for part, to, m, v in zip(parts, out.chunk(views), mean, var, strict=True):
            torch.native_batch_norm(part, weight, bias, m, v, False, 0.0, eps, out=(to, *unused))
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps = eps
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var, count = ctx.saved_tensors
        views = len(mean)
        grad_x = torch.empty_like(x)
        by_parameter = mean.new_empty(2, *mean.shape)
        for v, (part, to, back) in enumerate(zip(x.chunk(views), grad_x.chunk(views), grad.chunk(views), strict=True)):
            gradient, by_parameter[0, v], by_parameter[1, v] = torch.ops.aten.native_batch_norm_backward(
                back, part, weight, mean[v], var[v], None, None, False, ctx.eps, [True, True, True]
            )
            to.copy_(gradient)
        grad_weight, grad_bias = by_parameter.sum(1)
        dist.all_reduce(by_parameter)
        # The statistics depend on x as well: what flows through them is, a channel, a line in x.
        invstd = (var + ctx.eps).rsqrt()
        slope = -weight * invstd.square() * by_parameter[0] / count
        offset = -weight * invstd * by_parameter[1] / count - slope * mean
        shape = (1, -1) + (1,) * (x.ndim - 2)
        for part, to, a, b in zip(x.chunk(views), grad_x.chunk(views), slope, offset, strict=True):
            to += torch.addcmul(b.view(shape), part.to(a.dtype), a.view(shape))
        return grad_x, grad_weight, grad_bias, None, None, None, None, None
