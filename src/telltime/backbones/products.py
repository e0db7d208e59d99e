"""Linear layers by the faster of the two libraries that PyTorch multiplies with on a CPU."""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor

_ONEDNN = platform.machine().lower() in ("x86_64", "amd64") and torch.backends.mkldnn.is_available()
_LEAST = 1 << 15
"""Numbers that go in: PyTorch keeps smaller convolutions from oneDNN."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``F.linear`` of rows ``[N, I]`` with ``[O, I]`` and ``[O]``: ``[N, O]``, equal but for rounding.

    Without gradients, in float32 and on x86, it goes through oneDNN as a convolution of one pixel, because the BLAS of
    PyTorch's packages uses half the width of other makers' processors than Intel's. Everything else is ``F.linear``.
    """
    if not (_ONEDNN and _plain(x) and _plain(weight) and x.ndim == 2 and x.numel() >= _LEAST):
        return F.linear(x, weight, bias)
    count = len(x)
    if count % 2:
        x = F.pad(x, (0, 0, 0, 1))
    # Two pictures of one column, channels last: no copy. The dilation does nothing to a kernel of one pixel, but
    # PyTorch hands dilated kernels to oneDNN with one thread too.
    pictures = x.contiguous().unflatten(0, (2, -1, 1)).permute(0, 3, 1, 2)
    out = F.conv2d(pictures, weight[:, :, None, None], bias, dilation=2)
    return out.permute(0, 2, 3, 1).reshape(-1, len(weight))[:count]


def _plain(values: Tensor) -> bool:
    tracked = torch.is_grad_enabled() and values.requires_grad
    return values.device.type == "cpu" and values.dtype == torch.float32 and not tracked
