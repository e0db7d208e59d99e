"""What evaluations that train share: batches as a network takes them, and a layer on top of it."""

import torch
from torch import Tensor, nn

from telltime.checkpoints.model import ClipSpec, Model
from telltime.clips.item import Item
from telltime.views.tclr import augment

_FACTS = ("clips", "index", "label", "start")


def augmented(batch: Item, clip: ClipSpec, device: torch.device, views: list[int] | None = None) -> Tensor:
    """Views of TCLR's readers, augmented on the device and scaled for a network.

    Args:
        batch: ``clips`` uint8 ``[B, V, T, 3, S, S]`` in the network's channel order, and what was settled for each.
        views: which of the ``V`` views; all by default.

    Returns:
        float32 ``[B * V, 3, T, S, S]``, video after video.
    """

    def chosen(value: Tensor) -> Tensor:
        return (value if views is None else value[:, views]).flatten(0, 1)

    draws = {key: chosen(value) for key, value in batch.items() if key not in _FACTS}
    return normalised(augment(chosen(batch["clips"]).to(device), draws), clip)


def normalised(clips: Tensor, clip: ClipSpec) -> Tensor:
    """Float clips ``[N, 3, T, H, W]`` in 0..1 less the network's mean, over its standard deviation."""
    for values, change in ((clip.mean, torch.sub), (clip.std, torch.div)):
        if values is not None:
            clips = change(clips, clips.new_tensor(values).view(3, 1, 1, 1))
    return clips


def channels_of(model: Model) -> int:
    """Length of a model's pooled features."""
    return int(getattr(model.backbone, "channels"))  # noqa: B009, a module's attributes are typed as tensors


def new_classifier(channels: int, classes: int, seed: int) -> nn.Linear:
    """A linear layer with the usual initialisation, from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Linear(channels, classes)
