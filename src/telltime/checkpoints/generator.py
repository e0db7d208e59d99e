"""Generators of pictures: checkpoints of StyleGAN2 in the layout of its PyTorch port."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from telltime.backbones.stylegan2 import StyleGAN2
from telltime.checkpoints.build import check_fits
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.generator_file import ADVICE, find_generator
from telltime.checkpoints.unpickle import load_published


class Generator(NamedTuple):
    """A generator that was loaded.

    Attributes:
        network: in evaluation mode, frozen.
        mean: ``[1, style_dim]``, the mean style that came with the file; ``None`` where none did.
    """

    network: StyleGAN2
    mean: Tensor | None


def load_generator(path: str | Path) -> Generator:
    """A StyleGAN2 from a checkpoint file; its sizes are told by its shapes, and nothing in it is run.

    Raises:
        CheckpointError: there is no such file, or it holds no such generator.
    """
    path = find_generator(path)
    content: Any = load_published(path)
    state = content.get("g_ema", content)
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path}: 'g_ema' holds no weights; {ADVICE}")
    weights = {str(key).removeprefix("module."): value.float() for key, value in state.items()}
    mean = content.get("latent_avg", weights.pop("latent_avg", None))
    arguments = _arguments(weights, path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = StyleGAN2(**arguments)
    # Files converted from the original lack what is no weight: the stored noise, and the filters.
    kept = {key: value for key, value in network.state_dict().items() if _GIVEN.search(key) and key not in weights}
    check_fits(network, weights | kept, str(path))
    network.load_state_dict(weights | kept)
    if not isinstance(mean, Tensor) or mean.numel() != network.style_dim:
        mean = None
    return Generator(network.eval().requires_grad_(False), None if mean is None else mean.float().view(1, -1))


_GIVEN = re.compile(r"^noises\.|\.kernel$")


def _arguments(weights: Mapping[str, Tensor], path: str | Path) -> dict[str, Any]:
    """Sizes of the generator that has these weights."""
    try:
        channels = [int(weights["conv1.conv.weight"].shape[1])]
        while (key := f"convs.{2 * len(channels) - 2}.conv.weight") in weights:
            channels.append(int(weights[key].shape[1]))
        mapping = 0
        while f"style.{mapping + 1}.weight" in weights:
            mapping += 1
        style_dim = int(weights["conv1.conv.modulation.weight"].shape[1])
    except (KeyError, IndexError):
        raise CheckpointError(f"{path}: its keys are not those of a StyleGAN2 generator; {ADVICE}") from None
    if len(channels) < 2 or not mapping:
        raise CheckpointError(f"{path}: its keys are not those of a StyleGAN2 generator; {ADVICE}")
    return {"size": 2 << len(channels), "style_dim": style_dim, "mapping": mapping, "channels": channels}
