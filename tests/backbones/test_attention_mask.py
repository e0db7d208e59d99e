"""The foreground by attention, as published and on grids of any size."""

from typing import Any

import numpy as np
import torch

from telltime.backbones.attention_mask import attention_mask, without_islands


def test_published_masks(golden: Any) -> None:
    expected = golden.npz("timet_attention.npz")
    seed, (count, heads, side) = int(expected["seed"]), expected["config"].tolist()
    whole = (3 * golden.tensor("timet.attention", (count, heads, side**2 + 1, side**2 + 1), seed)).softmax(-1)
    mask = attention_mask(whole[:, :, 0, 1:].unflatten(2, (side, side)))
    np.testing.assert_array_equal(mask, expected["mask"].astype(bool))
    features = golden.tensor("timet.attention.features", (1, count, side**2, 8), seed)
    masked = features.mean(-1) * mask.flatten(2).transpose(0, 1)
    np.testing.assert_allclose(masked, expected["masked_mean"], atol=1e-6)


def test_what_is_attended_to_is_kept() -> None:
    attention = torch.full((2, 3, 9, 7), 1e-3)
    attention[:, :, 2:5, 3:6] = 1
    expected = torch.zeros(2, 1, 9, 7, dtype=torch.bool)
    expected[:, :, 2:5, 3:6] = True
    kept = attention_mask(attention, keep=0.65, blur=0.3)
    assert (kept <= expected).all()
    assert kept.sum() >= 10
    assert attention_mask(torch.rand(1, 1, 1, 2)).shape == (1, 1, 1, 2)


def test_islands_of_one_and_two_go_and_three_stay() -> None:
    def mask(*rows: str) -> torch.Tensor:
        return torch.tensor([[each == "x" for each in row] for row in rows])[None, None]

    before = mask("x....xx", ".......", "..x...x", ".x...x.", "......x", "xx.....", "xx....x")
    after = mask(".......", ".......", "......x", ".....x.", "......x", "xx.....", "xx.....")
    assert torch.equal(without_islands(before), after)
