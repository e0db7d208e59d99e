"""Where a generator of pictures comes from, said without importing torch."""

from pathlib import Path

from telltime.checkpoints.errors import CheckpointError

ADVICE = (
    "editing needs a generator: a StyleGAN2 checkpoint in the layout of the PyTorch port stylegan2-pytorch, with its "
    "weights under 'g_ema'; for landscapes TICL used sg2-lhq-1024.pt (LHQ, 1024 pixels)"
)


def find_generator(path: str | Path) -> Path:
    """The file; a :class:`CheckpointError` that says what to get where there is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; {ADVICE}")
    return path
