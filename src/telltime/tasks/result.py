"""What every evaluation returns and writes."""

import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from telltime.media.files import whole


@dataclass
class Result:
    """Scores of one protocol, ready to be written as ``result.json``.

    Attributes:
        task: verb of the command line, e.g. ``"neighbours"``.
        protocol: which variant, e.g. ``"frozen"``.
        metrics: name to number; names say their averaging, shares are 0 to 1.
        model, data: what was measured on what, as names and hashes.
        records: how many videos were used.
        dropped: how many were not, each with a line in ``dropped.jsonl``.
        seconds: wall time of the evaluation.
        details: arrays and tables for the report only (confusion, neighbours, per-class); not written to JSON.
    """

    task: str
    protocol: str
    metrics: dict[str, float]
    model: dict[str, Any]
    data: dict[str, Any]
    records: int
    dropped: int = 0
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """The machine-readable form, with the versions of what computed it."""
        shown = {k: v for k, v in vars(self).items() if k != "details"}
        return shown | {"versions": versions()}

    def write(self, folder: Path) -> Path:
        """Write ``folder/result.json`` whole and return its path."""
        path = folder / "result.json"
        with whole(path) as beside:
            beside.write_text(json.dumps(self.to_json(), indent=2) + "\n")
        return path


def versions() -> dict[str, str]:
    """Versions of Python and the libraries that decide a number."""
    found = {"python": platform.python_version()}
    for name in ("telltime", "torch", "torchvision", "av", "numpy", "scikit-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
