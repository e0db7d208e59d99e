"""A network as a row of parts, so that those in front can run once and without gradient."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class State(NamedTuple):
    """Pictures part of the way through a network.

    Attributes:
        values: tokens ``[N, n, C]`` or maps ``[N, C, h, w]``; before the first part the pictures.
        grid: height and width of the grid of patches; of maps ``(0, 0)``.
        rope: rotary positions, the same for all pictures, where the network has them.
    """

    values: Tensor
    grid: tuple[int, int] = (0, 0)
    rope: Tensor | None = None

    def take(self, which: Any) -> "State":
        """The same of some of the pictures, as an index of the first axis chooses them."""
        return self._replace(values=self.values[which])


Part = Callable[[State], State]


class MapParts:
    """A network of maps up to one of its stages, in parts where it is a plain chain of its modules.

    Whether it is one is seen by trying. One that is not is a single part: nothing of it runs ahead.

    Args:
        network: any of timm's with ``forward_intermediates``.
        stage: which feature map, as timm's ``feature_info`` numbers them; None for the last there is, which the
            network pools.
    """

    def __init__(self, network: Any, stage: int | None) -> None:
        self.network, self.stage = network, stage
        last = _last(network) if stage is None else str(list(network.feature_info)[stage]["module"])
        self.names, self.modules = self._chain(last)
        if self.names and not self._is_chain():
            self.names, self.modules = [], []

    def part_of(self, parameter: str) -> int | None:
        """Which of :meth:`parts` a parameter belongs to; None when it has no share in the features."""
        if not self.names:
            return 0
        return next((i for i, name in enumerate(self.names) if parameter.startswith(f"{name}.")), None)

    def parts(self) -> list[Part]:
        if not self.names:
            return [lambda state: State(self._whole(state.values))]
        return [lambda state, module=module: State(module(state.values)) for module in self.modules]  # type: ignore[misc]

    def _whole(self, images: Tensor) -> Tensor:
        if self.stage is None:
            return self.network.forward_features(images)
        maps = self.network.forward_intermediates(
            images, indices=[self.stage], output_fmt="NCHW", intermediates_only=True
        )
        return maps[0]

    def _chain(self, last: str) -> tuple[list[str], list[nn.Module]]:
        """Names and modules up to ``last``, what is sequential taken apart; nothing if there is no such module."""
        names, modules = [], []
        for name, module in self.network.named_children():
            inner = [(name, module)]
            if isinstance(module, nn.Sequential) and (self.stage is None or last.startswith(f"{name}.")):
                inner = [(f"{name}.{key}", each) for key, each in module.named_children()]
            for full, each in inner:
                names.append(full)
                modules.append(each)
                if full == last:
                    return names, modules
            if name == last:
                return names, modules
        return [], []

    @torch.no_grad()
    def _is_chain(self) -> bool:
        weight = next(self.network.parameters())
        if weight.is_meta:
            return False
        mode = self.network.training
        self.network.eval()
        picture = torch.linspace(-1, 1, 3 * 64 * 64, dtype=weight.dtype, device=weight.device).sin().view(1, 3, 64, 64)
        try:
            values = picture
            for module in self.modules:
                values = module(values)
            return torch.equal(values, self._whole(picture))
        except (RuntimeError, TypeError, AttributeError, AssertionError):
            return False
        finally:
            self.network.train(mode)


_BEHIND = ("global_pool", "pool", "classifier", "fc", "head", "flatten")
"""What timm calls the modules behind a network's last map."""


def _last(network: Any) -> str:
    """The module that gives a network's last map."""
    names = [name for name, _ in network.named_children()]
    return next((before for before, name in pairwise(names) if name in _BEHIND), names[-1])
