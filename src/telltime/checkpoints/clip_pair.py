"""Networks that know pictures and words, for what is asked in words: CLIP through the library ``transformers``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from telltime.checkpoints.errors import CheckpointError

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)

TEMPLATES = (
    "a photo of {}.",
    "a photo taken at {}.",
    "a landscape at {}.",
    "the same place at {}.",
    "a picture of the scene at {}.",
    "a wide view, {}.",
    "outdoors, {}.",
    "the sky at {}.",
    "the light of {}.",
    "a street at {}.",
)
"""Sentences around a time of day; a direction between two is the mean over them."""

_TIMES = ((5, "night"), (7, "dawn"), (11, "morning"), (14, "noon"), (17, "afternoon"), (20, "sunset"), (22, "dusk"))


def words_of(hour: float) -> str:
    """What people call an hour of the day."""
    return next((name for end, name in _TIMES if hour < end), "night")


class ClipPair:
    """Pictures and words in one space.

    Args:
        model: with ``get_image_features(pixel_values=)`` and ``get_text_features(input_ids=, attention_mask=)``.
        tokenizer: texts to ``input_ids`` and ``attention_mask``.
        size: of the pictures that the network takes.
    """

    def __init__(self, model: Any, tokenizer: Any, size: int) -> None:
        self.model, self.tokenizer, self.size = model.eval().requires_grad_(False), tokenizer, size

    def image(self, pictures: Tensor) -> Tensor:
        """Pictures ``[N, 3, H, W]`` in 0 to 1 to features ``[N, D]``, differentiable; the middle square is seen."""
        height, width = pictures.shape[2:]
        short = min(height, width)
        top, left = (height - short) // 2, (width - short) // 2
        pictures = pictures[:, :, top : top + short, left : left + short]
        pictures = interpolate(pictures, (self.size, self.size), mode="bicubic", antialias=True)
        mean, std = (pictures.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
        return _features(self.model.get_image_features(pixel_values=(pictures - mean) / std))

    @torch.no_grad()
    def text(self, texts: Sequence[str]) -> Tensor:
        """Texts to features ``[n, D]``."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        device = next(self.model.parameters()).device
        given = {key: tokens[key].to(device) for key in ("input_ids", "attention_mask")}
        return _features(self.model.get_text_features(**given))

    def templated(self, words: str) -> Tensor:
        """``words`` in each of :data:`TEMPLATES`, ``[templates, D]``."""
        return self.text([template.format(words) for template in TEMPLATES])


def load_clip_pair(name: str, device: str | torch.device = "cpu") -> ClipPair:
    """A CLIP by the folder it was saved in, or by its id on the hub, from where it is then loaded.

    Raises:
        CheckpointError: the library is not installed, or the name gives no CLIP.
    """
    try:
        from transformers import AutoTokenizer, CLIPModel
    except ImportError:
        raise CheckpointError(
            "words need a CLIP with its text encoder, which the library transformers reads: pip install transformers"
        ) from None
    try:
        model = CLIPModel.from_pretrained(name)
        tokenizer = AutoTokenizer.from_pretrained(name)
        size = int(model.config.vision_config.image_size)
    except Exception as error:  # whatever library, network and hub may do
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{name} gives no CLIP ({first}); give a folder or an id on the hub") from error
    return ClipPair(model.to(device), tokenizer, size)


def _features(found: Any) -> Tensor:
    """The tensor, also where a version of the library wraps it."""
    return found if isinstance(found, Tensor) else found.pooler_output
