"""How the benchmarks measure: runs in turn, medians and spreads, the environment beside every number."""

import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from telltime.media.files import whole

RESULTS = Path(__file__).parent / "results"

Rows = Sequence[Sequence[object]]


def environment() -> dict[str, Any]:
    """The machine and the versions a number was measured with."""
    import torch

    packages = ("torch", "torchvision", "av", "numpy", "pillow", "opencv-python-headless")
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def alternate(
    ways: dict[str, Callable[[int], object]],
    repeats: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, list[float]]:
    """Seconds of each way, run in turn (A B A B ...), so that a busy moment of the machine meets all of them.

    Args:
        ways: called with the number of the round; what they return is thrown away after the clock stopped.
        clock: ``time.process_time`` counts the work of all threads and no waiting; ``time.perf_counter`` is the wall.
    """
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-warmup, repeats):
        for name, way in ways.items():
            start = clock()
            kept = way(turn)
            elapsed = clock() - start
            del kept
            if turn >= 0:
                taken[name].append(elapsed)
    return taken


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median, quartiles and count of a row of measurements."""
    low, middle, high = np.percentile(np.asarray(seconds), [25, 50, 75])
    return {"median": float(middle), "q25": float(low), "q75": float(high), "runs": len(seconds)}


def ratio(baseline: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """How many times the baseline takes what ours takes, with the quartiles over the rounds; above 1 is a gain."""
    return spread(np.asarray(baseline) / np.asarray(ours))


def milliseconds(seconds: Sequence[float]) -> str:
    """``"12.3 (11.9-12.8)"``: median and quartiles in ms."""
    s = spread(seconds)
    return f"{1e3 * s['median']:.1f} ({1e3 * s['q25']:.1f}-{1e3 * s['q75']:.1f})"


def table(title: str, header: Sequence[str], rows: Rows) -> None:
    """Print rows in columns, under a title."""
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for number, row in enumerate(cells):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))
    sys.stdout.flush()


def write(name: str, results: dict[str, Any], folder: Path = RESULTS) -> Path:
    """``folder/name.json`` with the results and the environment, whole or not at all."""
    path = folder / f"{name}.json"
    with whole(path) as beside:
        beside.write_text(json.dumps({"environment": environment(), **results}, indent=2) + "\n")
    return path
