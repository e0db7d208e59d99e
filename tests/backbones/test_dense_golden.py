"""Tokens and attention of DINO's transformers, square and not."""

from typing import Any

import numpy as np
import pytest
import torch

from telltime.backbones.dense import DenseEncoder


@pytest.mark.parametrize("kind", ["square", "rect"])
def test_a_tiny_transformer(golden: Any, kind: str) -> None:
    expected = golden.npz("timet_vit_tiny.npz")
    seed = int(expected["seed"])
    shape = dict(zip(("patch", "dim", "depth", "heads"), expected["config"].tolist(), strict=True))
    encoder = DenseEncoder("tiny", shape=shape)
    encoder.network.load_state_dict(golden.fill(encoder.network.state_dict(), seed))
    images = golden.tensor(f"timet.vit.{kind}", (2, 3, *expected[f"{kind}_shape"].tolist()), seed)
    with torch.no_grad():
        tokens, attention, grid = encoder.tokens(images), encoder.attention(images), encoder(images)
    np.testing.assert_allclose(tokens, expected[f"{kind}_tokens"], atol=1e-5)
    np.testing.assert_allclose(attention.flatten(2), expected[f"{kind}_attention_cls"][..., 1:], atol=1e-6)
    np.testing.assert_array_equal(grid.flatten(2).mT, tokens[:, 1:])


def test_vit_small(golden: Any) -> None:
    expected = golden.npz("timet_vits16.npz")
    seed = int(expected["seed"])
    encoder = DenseEncoder("vit_small_patch16_224.dino", pretrained=False)
    encoder.network.load_state_dict(golden.fill(encoder.network.state_dict(), seed))
    square, wide = (
        golden.tensor(name, shape, seed)
        for name, shape in (("timet.vits16", (1, 3, 224, 224)), ("timet.vits16.rect", (1, 3, 160, 288)))
    )
    with torch.no_grad():
        np.testing.assert_allclose(encoder.tokens(square)[0, :, ::4], expected["tokens_224_every4"], atol=1e-5)
        np.testing.assert_allclose(encoder.tokens(wide)[0, ::7, ::8], expected["tokens_160x288_every7_8"], atol=1e-5)
        attention = encoder.attention(square)[0].flatten(1)
    np.testing.assert_allclose(attention, expected["cls_attention_224"][:, 1:], atol=1e-6)
