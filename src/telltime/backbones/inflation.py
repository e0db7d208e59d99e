"""Networks of clips that start from a network of images.

What both have is copied. Attention over time starts as the attention over space of its block, with a last layer of
zeros, and embeddings of time start at 0: at first a clip is seen as its frames, one by one. Patches that span frames
take the image's weights in their middle frame and zeros in the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from telltime.backbones.transformer import resized_positions

State = Mapping[str, Tensor]
_OF_TIME = {"temporal_attn.": "attn.", "temporal_norm1.": "norm1."}
_ZEROS = ("time_embed", "temp_embed", "temporal_fc.weight", "temporal_fc.bias")
_UNUSED = ("head.", "head_dist.", "fc_norm.", "pre_logits.", "attn_pool.", "reg_token", "dist_token")


@dataclass
class Inflation:
    """What each weight began with: key of a network of clips to key of the image network, and the rest.

    Attributes:
        copied: taken as they are, or with the patches, grid or frames of this network.
        zeros: set to 0.
        kept: as they were initialised.
        unused: keys of the image network that have no place here.
    """

    copied: dict[str, str] = field(default_factory=dict)
    zeros: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def inflate(module: nn.Module, state: State) -> Inflation:
    """Start ``module`` from the weights of a vision transformer under timm's names.

    Layer scales are multiplied into the layer before them, missing biases are 0, a position embedding of another grid
    is interpolated. What the image network has beside blocks of attention and MLP (a classifier, registers) is left
    out and told.

    Raises:
        ValueError: the image network computes something else, or has other sizes; nothing was changed.
    """
    image = _plain(state)
    found = Inflation()
    made: dict[str, Tensor] = {}
    used: set[str] = set()
    for key, own in module.state_dict().items():
        source = _source(key)
        if key.endswith(_ZEROS):
            made[key] = torch.zeros_like(own)
            found.zeros.append(key)
        elif source in image:
            made[key] = _fitted(key, image[source].to(own), own)
            found.copied[key] = source
            used.add(source)
        elif key.startswith("blocks.") and key.endswith("qkv.bias"):
            made[key] = torch.zeros_like(own)
            found.zeros.append(key)
        else:
            found.kept.append(key)
    unused = [key for key in image if key not in used]
    if strange := [key for key in unused if not key.startswith(_UNUSED)]:
        raise ValueError(
            f"the image network has {_some(strange)}, for which {type(module).__name__} has no place; "
            f"take a plain vision transformer of {len(_blocks(module.state_dict()))} blocks"
        )
    if lacking := [key for key in found.kept if _of_image(key)]:
        raise ValueError(
            f"the image network has no {_some(lacking)}; take a plain vision transformer of as many blocks"
        )
    module.load_state_dict(made, strict=False)
    found.unused = unused
    return found


def start_from(module: nn.Module, image: str) -> str:
    """Inflate ``image``: a timm name, a file of weights (safetensors, or of ``torch.save``), or nothing.

    Returns:
        An empty name, for ``module`` to keep: weights that are saved are loaded over these, so building it again needs
        neither file nor network.

    Raises:
        ValueError: the image network does not fit, or there is none of this name.
    """
    if not image:
        return ""
    try:
        inflate(module, _image_state(image))
    except ValueError as error:
        raise ValueError(f"{image}: {error}") from error
    return ""


def _image_state(image: str) -> State:
    if Path(image).is_file():
        if image.endswith(".safetensors"):
            from safetensors.torch import load_file

            return load_file(image)
        content = torch.load(image, map_location="cpu", weights_only=True)
        return next((content[key] for key in ("model", "state_dict", "model_state") if key in content), content)
    import timm

    name, _, tag = image.partition("@")
    if not timm.is_model(name):
        raise ValueError("there is neither a file nor a timm network of this name")
    try:
        return dict(timm.create_model(name, pretrained=tag != "random", num_classes=0).state_dict())
    except (OSError, RuntimeError) as error:
        raise ValueError(f"timm's weights cannot be had ({error})") from error


def _plain(state: State) -> dict[str, Tensor]:
    """The weights without layer scales, and with a row for the class token in the position embedding."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    for name, layer in (("ls1.gamma", "attn.proj"), ("ls2.gamma", "mlp.fc2")):
        for key in [key for key in plain if key.endswith(f".{name}")]:
            scale = plain.pop(key)
            before = key.removesuffix(name) + layer
            plain[f"{before}.weight"] = scale[:, None] * plain[f"{before}.weight"]
            plain[f"{before}.bias"] = scale * plain[f"{before}.bias"]
    positions = plain.get("pos_embed")
    if positions is not None and round(positions.shape[1] ** 0.5) ** 2 == positions.shape[1]:
        plain["pos_embed"] = torch.cat([positions.new_zeros(1, 1, positions.shape[2]), positions], 1)
    return plain


def _source(key: str) -> str:
    """The image network's key for a key of this network."""
    if key == "st_embed":
        return "pos_embed"
    for part, other in _OF_TIME.items():
        key = key.replace(f".{part}", f".{other}")
    return key


def _fitted(key: str, value: Tensor, own: Tensor) -> Tensor:
    """``value`` in the shape of ``own``, by the rules of the module's head; never by repeating or cutting numbers."""
    if key in ("pos_embed", "st_embed") and value.shape[-1] == own.shape[-1]:
        side = round((own.shape[1] - 1) ** 0.5)
        if key == "pos_embed":
            return resized_positions(value, side, side) if value.shape != own.shape else value
        frames = (own.shape[1] - 1) // (value.shape[1] - 1)
        value = torch.cat([value[:, :1], value[:, 1:].repeat(1, frames, 1)], 1)
    if own.ndim == 5 and value.ndim == 4 and value.shape == (*own.shape[:2], *own.shape[3:]):
        inflated = torch.zeros_like(own)
        inflated[:, :, own.shape[2] // 2] = value
        return inflated
    if value.shape != own.shape:
        raise ValueError(f"its {key} is {list(value.shape)}, expected {list(own.shape)}: width or patches differ")
    return value


def _of_image(key: str) -> bool:
    """Whether every image network that is none too different has this key."""
    inner = key.partition(".")[2].partition(".")[2]
    of_block = key.startswith("blocks.") and inner.startswith(("norm1.", "norm2.", "mlp.", "attn.qkv.", "attn.proj."))
    return of_block or key.startswith(("patch_embed.", "pos_embed", "norm."))


def _blocks(state: State) -> set[str]:
    return {key.split(".")[1] for key in state if key.startswith("blocks.")}


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
