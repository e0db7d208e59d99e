"""Outputs and gradients of the published encoder."""

from typing import Any

import numpy as np
import pytest
import torch

from telltime.backbones.tca_encoder import TCAEncoder, packed

NAME = "tca_encoder.npz"


def encoder(golden: Any, dim: int, layers: int, offset: int) -> TCAEncoder:
    made = TCAEncoder(dim, layers, dropout=0.0)
    made.load_state_dict(golden.fill(made.state_dict(), golden.tca_seed + offset))
    return made.eval()


@pytest.mark.parametrize("filling", ["zero", "noise"])
@pytest.mark.parametrize("case", ["full", "deep"])
def test_vectors_and_frames(golden: Any, case: str, filling: str) -> None:
    expected = golden.npz(NAME)
    dim, layers, videos, frames = expected[f"{case}_meta"].tolist()
    lengths = torch.from_numpy(expected[f"{case}_lens"])
    rows = packed(golden.tca_clips(f"enc_{case}", videos, dim, frames, lengths, noise=filling == "noise"), lengths)
    with torch.no_grad():
        vectors, encoded = encoder(golden, dim, layers, 1)(rows)
    np.testing.assert_allclose(vectors, expected[f"{case}_{filling}_video"], atol=1e-6)
    theirs = packed(torch.from_numpy(expected[f"{case}_{filling}_frames"]), lengths)
    np.testing.assert_allclose(encoded.rows, theirs.rows, atol=1e-6)


def test_one_video_that_was_padded_to_300(golden: Any) -> None:
    expected = golden.npz(NAME)
    length, dim = expected["pad300_frames"].shape
    offset = 1
    rows = packed(golden.tca_clips("enc_pad300", 1, dim, 300, [length]), torch.tensor([length]))
    with torch.no_grad():
        vectors, encoded = encoder(golden, dim, 1, offset)(rows)
    np.testing.assert_allclose(vectors[0], expected["pad300_video"], atol=1e-6)
    np.testing.assert_allclose(encoded.rows, expected["pad300_frames"], atol=1e-6)


def test_gradients(golden: Any) -> None:
    expected = golden.npz(NAME)
    dim, layers, videos, frames = expected["grad_meta"].tolist()
    lengths = torch.from_numpy(expected["grad_lens"])
    made = encoder(golden, dim, layers, 2).train()
    padded = golden.tca_clips("enc_grad", videos, dim, frames, lengths).requires_grad_()
    vectors, _ = made(packed(padded, lengths))
    np.testing.assert_allclose(vectors.detach(), expected["grad_out"], atol=1e-6)
    (vectors * golden.tensor("enc_grad_w", vectors.shape, golden.tca_seed)).sum().backward()
    assert padded.grad is not None
    np.testing.assert_allclose(padded.grad.transpose(1, 2), expected["grad_x"], atol=1e-5, rtol=1e-5)
    for key, parameter in made.named_parameters():
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad.norm(), expected[f"gradnorm/{key}"], atol=1e-5, rtol=1e-5)
        theirs = expected[f"grad/{key}"]
        np.testing.assert_allclose(parameter.grad[: len(theirs)], theirs, atol=1e-5, rtol=1e-5)
