"""Where a training runs: device, precision, and how processes share it. All of accelerate's work is asked for here."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator, DistributedDataParallelKwargs
from torch import Tensor, nn
from torch.optim import Optimizer

from telltime.training.errors import TrainingError


def start_processes(device: str = "auto", static_graph: bool = True) -> Accelerator:
    """Join the processes that ``torchrun`` started, if it did, and find the device of this one.

    Args:
        device: ``"auto"`` takes a GPU if there is one, ``"cpu"`` never does.
        static_graph: every step uses the same parameters the same number of times.
    """
    cpu = device == "cpu" or not torch.cuda.is_available()
    ddp = DistributedDataParallelKwargs(
        broadcast_buffers=False, gradient_as_bucket_view=True, static_graph=static_graph
    )
    return Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[ddp])


def leave_processes() -> None:
    """Part from the other processes, if there are any; nothing can be trained together afterwards."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def precision(choice: str, device: torch.device) -> torch.dtype | None:
    """The type of autocast, ``None`` for plain float32.

    ``"auto"`` is bfloat16 on CUDA devices that multiply it (compute capability 8.0 and above), elsewhere float32. On
    CPUs that have it (``avx512_bf16``, ``amx_bf16``) ``"bf16"`` is about twice as fast, but gradients of very narrow
    3-D convolutions were seen to change from run to run there: it has to be asked for.
    """
    if choice == "fp32":
        return None
    if choice == "bf16":
        return torch.bfloat16
    if choice == "auto":
        fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if fast else None
    raise TrainingError(f"precision must be auto, bf16 or fp32, not {choice!r}")


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Only algorithms that give the same bits each time, on CPU; the caller's settings and random state come back."""
    before = torch.are_deterministic_algorithms_enabled()
    warn = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    threads = torch.get_num_threads()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            if device.type == "cpu":
                torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
                torch.use_deterministic_algorithms(True, warn_only=True)
            yield
        finally:
            torch.use_deterministic_algorithms(before, warn_only=warn)
            torch.set_num_threads(threads)
            torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]


def place(method: nn.Module, device: torch.device) -> None:
    """Move to the device, and lay the weights of 3-D convolutions out with channels last."""
    method.to(device)
    for parameter in method.parameters():
        if parameter.ndim == 5:
            laid_out = torch.empty_like(parameter.data, memory_format=torch.channels_last_3d)
            parameter.data = laid_out.copy_(parameter.data)


def share(method: nn.Module, optimiser: Optimizer, accelerator: Accelerator, fsdp: bool) -> nn.Module:
    """What to call for a forward whose gradients are averaged over processes; the method itself when there is one.

    With ``fsdp`` parameters, gradients and optimiser state are spread over the processes (FSDP2), and the optimiser,
    which must not have stepped yet, is pointed at the spread parameters.
    """
    if accelerator.num_processes == 1:
        return method
    if not fsdp:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*broadcast_buffers.*")
            return accelerator.prepare_model(method)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    names = {id(p): name for name, p in method.named_parameters()}
    fully_shard(method, mesh=init_device_mesh(accelerator.device.type, (accelerator.num_processes,)))
    spread = dict(method.named_parameters())
    for group in optimiser.param_groups:
        group["params"] = [spread[names[id(p)]] for p in group["params"]]
    return method


@contextmanager
def held_back(model: Any, hold: bool) -> Iterator[None]:
    """Within, gradients stay in their process when ``hold``: all but the last backward of an accumulated step."""
    if not hold:
        yield
    elif hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(False)
        yield
        model.set_requires_gradient_sync(True)
    elif hasattr(model, "no_sync"):
        with model.no_sync():
            yield
    else:
        yield


class Together:
    """Small agreements between processes over gloo, so that no GPU has to be waited for."""

    def __init__(self, accelerator: Accelerator, patience: timedelta | None = None) -> None:
        """``patience``: how long one may wait for the others; by default half an hour."""
        self.many = accelerator.num_processes > 1
        self.world = accelerator.num_processes
        self._group: Any = dist.new_group(backend="gloo", timeout=patience) if self.many else None

    def every(self, flags: list[bool]) -> list[bool]:
        """Which of the flags are set in every process."""
        if not self.many:
            return flags
        agreed = torch.tensor(flags, dtype=torch.uint8)
        dist.all_reduce(agreed, dist.ReduceOp.MIN, group=self._group)
        return agreed.bool().tolist()

    def mean(self, values: Tensor) -> Tensor:
        """The mean over processes of a tensor on the CPU."""
        if not self.many:
            return values
        dist.all_reduce(values, group=self._group)
        return values / self.world

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.many:
            dist.barrier(group=self._group)
