"""Labels carried by the published propagation, on square clips and on DINO's rectangular grids."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.losses.forwarding import forward_labels


def drifting(golden: Any, name: str, frames: int, height: int, width: int, dim: int, seed: int) -> Tensor:
    """``[1, frames, dim, h, w]``: a pattern that moves a column a frame, under noise."""
    base = golden.tensor(f"{name}.base", (height, width, dim), seed)
    noise = golden.tensor(f"{name}.noise", (frames, height * width, dim), seed).unflatten(1, (height, width))
    moved = torch.stack([base.roll(t, dims=1) for t in range(frames)])
    return (moved + 0.3 * noise).permute(0, 3, 1, 2)[None]


def test_square_clips(golden: Any) -> None:
    expected = golden.npz("timet_forward.npz")
    seed = int(expected["seed"])
    cases = [name[6:] for name in expected if name.startswith("config")]
    assert cases
    for case in cases:
        frames, side, dim, labels, last, radius, topk = expected[f"config{case}"].tolist()
        features = drifting(golden, f"timet.forward.{case}", frames, side, side, dim, seed)
        first = golden.tensor(f"timet.forward.{case}.seg", (1, labels, side, side), seed).softmax(1)
        carried = forward_labels(features, first, last, radius, topk)
        np.testing.assert_allclose(carried[0], expected[f"out{case}"], atol=2e-6)


def test_rectangles_of_dino(golden: Any) -> None:
    expected = golden.npz("timet_vos_dino.npz")
    frames, height, width, dim, labels, last, radius, topk = expected["config"].tolist()
    features = drifting(golden, "timet.vos", frames, height, width, dim, int(expected["seed"]))
    first = F.one_hot(torch.from_numpy(expected["first"]).long(), labels).permute(0, 3, 1, 2)
    carried = forward_labels(features, first, last, radius, topk)
    np.testing.assert_allclose(carried[0], expected["soft"], atol=2e-6)
