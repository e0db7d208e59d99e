"""Batch norms of a network in evaluation folded into the convolutions before them: the same function, fewer passes."""

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval


def folded(network: nn.Module) -> nn.Module:
    """A copy of ``network`` for evaluation, without gradient, its batch norms folded where one follows a convolution.

    What follows is told by the order of definition. Callers that cannot know whether it is the order of use compare the
    two networks' outputs.
    """
    found = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(found.modules()):
        children = list(parent._modules)
        for name, after in pairwise(children):
            convolution, norm = parent._modules[name], parent._modules[after]
            if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                continue
            if norm.num_features != convolution.out_channels or norm.running_mean is None:
                continue
            parent._modules[name] = fuse_conv_bn_eval(convolution, norm)
            parent._modules[after] = getattr(norm, "act", nn.Identity())
    return found


def fast_in_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 faster than in float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    told = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and bool(told and told())
