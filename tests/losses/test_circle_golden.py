"""Values and gradients of the losses TCA was published with, and of the corrected one."""

import re
from typing import Any

import numpy as np
import torch

from telltime.losses.circle import circle, circle_legacy, info_nce

CLOSE = {"atol": 1e-6, "rtol": 2e-5}
NAME = "tca_losses.npz"


def check(expected: dict[str, np.ndarray], case: str, loss: Any, rows: slice = slice(None)) -> None:
    logits = torch.from_numpy(expected["logits"])[rows].clone().requires_grad_()
    value = loss(logits)
    value.backward()
    assert logits.grad is not None
    np.testing.assert_allclose(value.detach(), expected[f"{case}_loss"], **CLOSE)
    np.testing.assert_allclose(logits.grad, expected[f"{case}_grad"], **CLOSE)


def test_circle_losses(golden: Any) -> None:
    expected = golden.npz(NAME)
    seen = set()
    for key in expected:
        case = re.fullmatch(r"circle_(ref|fixed)_m([\d.]+)_g([\d.]+)_loss", key)
        if case:
            loss = circle if case[1] == "fixed" else circle_legacy
            margin, gamma = float(case[2]), float(case[3])
            check(expected, key.removesuffix("_loss"), lambda x, f=loss, m=margin, g=gamma: f(x, m, g))
            seen.add(case[1])
    assert seen == {"ref", "fixed"}


def test_one_row(golden: Any) -> None:
    expected = golden.npz(NAME)
    rows = slice(0, len(expected["circle_ref_row_grad"]))
    check(expected, "circle_ref_row", circle_legacy, rows)


def test_info_nce(golden: Any) -> None:
    expected = golden.npz(NAME)
    cases = [key for key in expected if key.startswith("infonce_t") and key.endswith("_loss")]
    assert cases
    for key in cases:
        temperature = float(key.removeprefix("infonce_t").removesuffix("_loss"))
        check(expected, key.removesuffix("_loss"), lambda x, t=temperature: info_nce(x, t))
