"""The published assignments."""

from typing import Any

import numpy as np
import torch

from telltime.losses.sinkhorn import sinkhorn


def test_assignments(golden: Any) -> None:
    expected = golden.npz("timet_sinkhorn.npz")
    cases = [name[6:] for name in expected if name.startswith("config")]
    assert cases
    for case in cases:
        *_, epsilon, iterations = expected[f"config{case}"].tolist()
        scores = torch.from_numpy(expected[f"scores{case}"])
        q = sinkhorn(scores.flatten(0, 1), epsilon, int(iterations)).view_as(scores)
        np.testing.assert_allclose(q, expected[f"q{case}"], atol=5e-6)
