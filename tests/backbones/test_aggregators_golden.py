"""Outputs, gradients, statistics and shapes of the published aggregators and the comparator."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from telltime.backbones.comparator import VideoComparator
from telltime.backbones.recurrent import GRU, LSTM
from telltime.backbones.tca_encoder import TCAEncoder, packed
from telltime.backbones.vlad import NetVLAD, NeXtVLAD

NAME = "tca_aggregators.npz"
CASES = ("netvlad", "netvlad_raw", "nextvlad", "lstm", "gru")


def aggregator(case: str, expected: dict[str, np.ndarray]) -> nn.Module:
    dim, clusters, out, _, frames = expected["meta"].tolist()
    vlad = {"dim": dim, "clusters": clusters, "out": out, "dropout": 0.0, "padded_to": frames}
    if case == "nextvlad":
        return NeXtVLAD(**vlad, groups=4)
    if case.startswith("netvlad"):
        return NetVLAD(**vlad, normalize=case == "netvlad", alpha=1.0 if case == "netvlad" else 2.0)
    hidden = expected[f"{case}_eval"].shape[1]
    return {"lstm": LSTM, "gru": GRU}[case](dim, hidden, dropout=0.0, padded_to=frames)


@pytest.mark.parametrize("case", CASES)
def test_outputs(golden: Any, case: str) -> None:
    expected = golden.npz(NAME)
    made = aggregator(case, expected)
    made.load_state_dict(golden.fill(made.state_dict(), golden.tca_seed + 3))
    padded = torch.from_numpy(expected["x"]).transpose(1, 2).clone().requires_grad_()
    rows = packed(padded, torch.from_numpy(expected["lens"]))
    with torch.no_grad():
        vectors, frames = made.eval()(rows)
    np.testing.assert_allclose(vectors, expected[f"{case}_eval"], atol=2e-6)
    if f"{case}_encode" in expected:
        np.testing.assert_allclose(torch.stack(list(frames)), expected[f"{case}_encode"], atol=2e-6)
    else:
        np.testing.assert_allclose(frames[0], expected[f"{case}_encode0"], atol=2e-6)
    vectors, _ = made.train()(rows)
    np.testing.assert_allclose(vectors.detach(), expected[f"{case}_train"], atol=5e-6)
    (vectors * golden.tensor(f"agg_w_{case}", vectors.shape, golden.tca_seed)).sum().backward()
    assert padded.grad is not None
    valid = padded.detach().abs().sum(-1, keepdim=True) > 0
    theirs = torch.from_numpy(expected[f"{case}_grad_x"]).transpose(1, 2)
    np.testing.assert_allclose(padded.grad * valid, theirs * valid, atol=1e-5, rtol=2e-5)
    for key, parameter in made.named_parameters():
        assert parameter.grad is not None
        np.testing.assert_allclose(
            parameter.grad.norm(), expected[f"{case}_gradnorm/{key}"], rtol=2e-4, atol=2e-5, err_msg=key
        )
    buffers = dict(made.named_buffers())
    for key, theirs in expected.items():
        if key.startswith(f"{case}_buffer/"):
            np.testing.assert_allclose(buffers[key.split("/")[1]], theirs, atol=1e-6, err_msg=key)


def test_first_assignment_of_netvlad(golden: Any) -> None:
    expected = golden.npz(NAME)
    clusters, dim = expected["init_centroids"].shape
    alpha = float(expected["init_alpha"])
    made = NetVLAD(dim, clusters, 8, alpha=alpha)
    made.centroids.data = torch.from_numpy(expected["init_centroids"])
    np.testing.assert_allclose(2 * alpha * made.centroids.detach()[..., None], expected["init_conv_weight"], rtol=1e-6)
    fresh = NetVLAD(dim, clusters, 8, alpha=alpha)
    torch.testing.assert_close(fresh.conv.weight, 2 * alpha * fresh.centroids[..., None])
    torch.testing.assert_close(fresh.conv.bias, -alpha * fresh.centroids.norm(dim=1))
    np.testing.assert_allclose(-alpha * made.centroids.detach().norm(dim=1), expected["init_conv_bias"], rtol=1e-5)


def test_comparator(golden: Any) -> None:
    expected = golden.npz("tca_similarity.npz")
    made = VideoComparator()
    made.load_state_dict(golden.fill(made.state_dict(), golden.tca_seed + 6))
    queries, targets = expected["comparator_q"].tolist(), expected["comparator_t"].tolist()
    for row, query in enumerate(queries):
        for column, target in enumerate(targets):
            product = torch.from_numpy(expected[f"q{query}"] @ expected[f"t{target}"].T)[None]
            with torch.no_grad():
                forth, both = made.score(product), made.score(product, symmetric=True)
            np.testing.assert_allclose(forth, expected["chamfer_comparator"][row, column], atol=1e-6)
            np.testing.assert_allclose(both, expected["symmetric_comparator"][row, column], atol=1e-6)
    product = torch.from_numpy(expected[f"q{queries[0]}"] @ expected[f"t{targets[-1]}"].T)[None]
    with torch.no_grad():
        np.testing.assert_allclose(made(product)[0], expected["comparator_matrix"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tca", TCAEncoder),
        ("tca_2_layers", lambda: TCAEncoder(layers=2)),
        ("netvlad", NetVLAD),
        ("nextvlad", NeXtVLAD),
        ("lstm", LSTM),
        ("gru", GRU),
        ("video_comparator", VideoComparator),
    ],
)
def test_published_keys_and_shapes(golden: Any, name: str, make: Any) -> None:
    with torch.device("meta"):
        state = make().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == golden.json("tca_checkpoint_keys.json")[name]
