"""Pictures and words: through a stand-in always, through the library where it is installed."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch

from telltime.checkpoints.clip_pair import TEMPLATES, ClipPair, load_clip_pair, words_of
from telltime.checkpoints.errors import CheckpointError


class StandIn(torch.nn.Module):
    """Features are mean colours, and the numbers of the letters."""

    def __init__(self, wrapped):
        super().__init__()
        self.weight, self.wrapped = torch.nn.Parameter(torch.ones(1)), wrapped

    def _given(self, rows):
        return SimpleNamespace(pooler_output=rows) if self.wrapped else rows

    def get_image_features(self, pixel_values):
        return self._given(pixel_values.mean((2, 3)))

    def get_text_features(self, input_ids, attention_mask):
        return self._given((input_ids * attention_mask).float())


def letters(texts, **_):
    rows = torch.tensor([[ord(letter) for letter in text[:3]] for text in texts])
    return {"input_ids": rows, "attention_mask": torch.ones_like(rows), "other": rows}


@pytest.mark.parametrize("wrapped", [False, True])
def test_pictures_keep_their_gradient_and_words_have_none(wrapped):
    pair = ClipPair(StandIn(wrapped), letters, 8)
    pictures = torch.rand(2, 3, 20, 30, requires_grad=True)
    pair.image(pictures).sum().backward()
    assert pictures.grad[:, :, :, :4].abs().sum() == 0  # the middle square alone is seen
    assert pictures.grad.abs().sum() > 0
    assert pair.templated("night").shape == (len(TEMPLATES), 3)


def test_hours_have_names():
    assert [words_of(hour) for hour in (0, 6, 12, 19, 21, 23.9)] == ["night", "dawn", "noon", "sunset", "dusk", "night"]
    assert all(template.count("{}") == 1 for template in TEMPLATES)


def test_without_the_library_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(CheckpointError, match="pip install transformers"):
        load_clip_pair("somewhere")


def test_a_saved_clip_is_read_by_the_library(tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 300, "max_position_embeddings": 16, "eos_token_id": 299, "bos_token_id": 298}
    vision = {**sizes, "image_size": 28, "patch_size": 14}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    names = [chr(33 + i) for i in range(94)] + [f"{chr(33 + i)}</w>" for i in range(94)]
    vocabulary = {name: i for i, name in enumerate(names)} | {"<|startoftext|>": 298, "<|endoftext|>": 299}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt")).save_pretrained(tmp_path)
    pair = load_clip_pair(str(tmp_path))
    assert pair.size == 28
    assert pair.text(["noon", "a photo at night"]).shape == (2, 12)
    pictures = torch.rand(1, 3, 40, 30, requires_grad=True)
    found = pair.image(pictures)
    assert found.shape == (1, 12)
    found.sum().backward()
    assert pictures.grad.abs().sum() > 0
    with pytest.raises(CheckpointError, match="gives no CLIP"):
        load_clip_pair(str(tmp_path / "nowhere"))
