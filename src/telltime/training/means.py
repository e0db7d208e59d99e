"""Running means that stay on the device until they are asked for."""

from typing import Any

import torch
from torch import Tensor


class Means:
    """Sums and counts of named 0-d tensors; adding never waits for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            value = value.detach().double()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1

    def clear(self) -> None:
        self._sums.clear()
        self._counts.clear()

    def __len__(self) -> int:
        return max(self._counts.values(), default=0)

    def sums(self) -> Tensor:
        """float64 ``[names]`` on the CPU, names in sorted order; waits for the device."""
        if not self._sums:
            return torch.zeros(0, dtype=torch.float64)
        return torch.stack([self._sums[name] for name in sorted(self._sums)]).cpu()

    def means(self, sums: Tensor | None = None) -> dict[str, float]:
        """Name to mean, of ``sums`` if given."""
        values = (self.sums() if sums is None else sums).tolist()
        return {name: value / self._counts[name] for name, value in zip(sorted(self._sums), values, strict=True)}

    def state_dict(self, sums: Tensor | None = None) -> dict[str, Any]:
        """JSON: name to its sum, exactly, and its count."""
        values = (self.sums() if sums is None else sums).tolist()
        return {name: [value, self._counts[name]] for name, value in zip(sorted(self._sums), values, strict=True)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        self._sums = {name: torch.tensor(v[0], dtype=torch.float64, device=device) for name, v in state.items()}
        self._counts = {name: int(v[1]) for name, v in state.items()}
