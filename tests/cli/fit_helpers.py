"""Small real videos, and the command line in a process that can be killed."""

import os
from pathlib import Path

import numpy as np

TINY = [
    "--set", "method.backbone.width=4", "--set", "method.reader.size=16", "--set", "method.dim=8",
    "--set", "method.reader.short=drop", "--set", "batch_size=4", "--set", "precision=fp32", "--set", "log_every=1",
    "--set", "save_every=1", "--set", "epochs=3", "--set", "schedule.warmup=0", "--set", "data.split=all",
]  # fmt: skip


def write(path: Path, seed: int, frames: int = 66) -> Path:
    """A small video of coarse moving noise."""
    from telltime.media.write import write_video

    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    write_video(path, (np.roll(picture, 2 * i, 1) for i in range(frames)), rate=25, codec="mpeg4")
    return path


def fit(*arguments: object, tiny: bool = True) -> int:
    """``telltime fit tclr-small`` with these arguments, small enough for a test."""
    import torch

    from telltime.cli.main import main

    torch.set_num_threads(1)
    return main(["fit", "tclr-small", *(TINY if tiny else []), *map(str, arguments)])


def fit_in_a_group(arguments: list[str]) -> None:
    """The same in a process group of its own, whose end is the process's exit code."""
    os.setpgrp()
    os._exit(fit(*arguments))
