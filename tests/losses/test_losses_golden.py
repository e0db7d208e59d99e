"""Values and gradients of the published losses."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from telltime.losses.contrast import instance_contrast, nt_xent
from telltime.losses.temporal_contrast import global_local, local_local

CLOSE = {"atol": 2e-6, "rtol": 2e-5}


def leaf(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array).requires_grad_()


@pytest.mark.parametrize("similarity", ["dot", "cos"])
@pytest.mark.parametrize(
    ("inputs", "case", "temperature"), [("ic", "T0.1", 0.1), ("ic", "T0.5", 0.5), ("ic_u", "u", 0.1)]
)
def test_nt_xent(golden: Any, inputs: str, case: str, temperature: float, similarity: str) -> None:
    expected = golden.npz("tclr_losses.npz")
    a, b = leaf(expected[f"{inputs}_zis"]), leaf(expected[f"{inputs}_zjs"])
    loss = nt_xent(a, b, temperature, cosine=similarity == "cos")
    loss.backward()
    np.testing.assert_allclose(loss.detach(), expected[f"ic_{case}_{similarity}_loss"], **CLOSE)
    np.testing.assert_allclose(a.grad, expected[f"ic_{case}_{similarity}_grad_zis"], **CLOSE)
    np.testing.assert_allclose(b.grad, expected[f"ic_{case}_{similarity}_grad_zjs"], **CLOSE)


def test_instance_contrast_of_two_views(golden: Any) -> None:
    expected = golden.npz("tclr_losses.npz")
    views = leaf(np.stack([expected["ic_zis"], expected["ic_zjs"]]))
    loss = instance_contrast(views, 0.1)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), expected["ic_T0.1_dot_loss"], **CLOSE)
    np.testing.assert_allclose(views.grad[0], expected["ic_T0.1_dot_grad_zis"], **CLOSE)


def test_local_local(golden: Any) -> None:
    expected = golden.npz("tclr_losses.npz")
    a, b = leaf(expected["ll_d0"]), leaf(expected["ll_d1"])
    losses = local_local(a, b)
    losses.sum().backward()
    np.testing.assert_allclose(losses.detach(), expected["ll_per_video"], **CLOSE)
    np.testing.assert_allclose(losses.sum().detach(), expected["ll_sum"], **CLOSE)
    np.testing.assert_allclose(a.grad, expected["ll_grad_d0"], **CLOSE)
    np.testing.assert_allclose(b.grad, expected["ll_grad_d1"], **CLOSE)


def test_global_local(golden: Any) -> None:
    expected = golden.npz("tclr_losses.npz")
    slices, clips = leaf(expected["gl_lsr"]), leaf(expected["gl_gdr"])
    loss = 4 * global_local(slices, clips).mean()
    loss.backward()
    np.testing.assert_allclose(loss.detach(), expected["gl_loss"], **CLOSE)
    np.testing.assert_allclose(slices.grad, expected["gl_grad_lsr"], **CLOSE)
    np.testing.assert_allclose(clips.grad, expected["gl_grad_gdr"], **CLOSE)
