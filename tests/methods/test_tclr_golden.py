"""TCLR against the published objective, head and a whole training step."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from telltime.backbones.r3d import R3D18, R2Plus1D18
from telltime.backbones.r3d_prp import PRPR3D
from telltime.methods.tclr import TCLR

TERMS = {"ic2": "ic_global", "ic1": "ic_local", "local_local": "local_local", "global_local": "global_local"}
CLIPS = [f"{version}{kind}" for kind in ("sparse",) for version in ("", "a_")]
CLIPS += [f"{version}dense{j}" for version in ("", "a_") for j in range(4)]


def published_key(key: str) -> str:
    return key.replace("backbone.", "0.", 1).replace("head.", "1.", 1)


def filled(golden: Any, net: nn.Module) -> TCLR:
    method = TCLR(net, lambda video, rng: {})
    state = golden.fill({published_key(key): value for key, value in method.state_dict().items()}, golden.seed)
    method.load_state_dict({key: state[published_key(key)] for key in method.state_dict()})
    return method


def test_keys_are_the_published_ones_in_their_order(golden: Any) -> None:
    with torch.device("meta"):
        keys = {published_key(key): list(v.shape) for key, v in TCLR(R3D18(), print).state_dict().items()}
    published = golden.json("tclr_r3d18_mlp_keys.json")
    assert keys == published
    assert list(keys) == list(published)


def test_objective(golden: Any) -> None:
    expected = golden.npz("tclr_objective.npz")
    sparse = torch.from_numpy(expected["sparse"]).requires_grad_()
    dense = torch.from_numpy(expected["dense"]).requires_grad_()
    method = TCLR(R3D18(width=4), lambda video, rng: {})
    step = method.objective(sparse[:, 0], sparse[:, 1:].transpose(1, 2), dense.transpose(1, 2))
    step.loss.backward()
    for theirs, ours in TERMS.items():
        np.testing.assert_allclose(step.logs[ours], expected[f"losses_{theirs}"], rtol=1e-5)
    np.testing.assert_allclose(step.loss.detach(), expected["loss_total"], rtol=1e-5)
    np.testing.assert_allclose(sparse.grad, expected["grad_sparse"], atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(dense.grad, expected["grad_dense"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "net", "clip"),
    [("r3d18", R3D18, "clip"), ("r2plus1d18", R2Plus1D18, "clip_r2p1"), ("r3dprp", PRPR3D, "clip_prp")],
)
@torch.no_grad()
def test_head_of_mean_and_slices(golden: Any, name: str, net: type[nn.Module], clip: str) -> None:
    expected = golden.npz(f"tclr_{name}_eval.npz")
    method = filled(golden, net()).eval()
    clips = len(expected["head_d"])
    size = 112 if name == "r3d18" or clips == 1 else 64
    embedding = method.embed(golden.tensor(f"tclr/{clip}", (clips, 3, 16, size, size), golden.seed))
    pooled = method.head(embedding.pooled)
    np.testing.assert_allclose(pooled, expected["head_d"], atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(pooled, expected["head_s_global"], atol=1e-5, rtol=1e-4)
    slices = torch.stack([method.head(part) for part in embedding.slices.unbind(-1)], dim=1)
    np.testing.assert_allclose(slices, expected["head_s_slices"], atol=1e-5, rtol=1e-4)
    if "pooled" in expected:
        np.testing.assert_allclose(embedding.pooled, expected["pooled"], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_training_statistics_call_by_call(golden: Any) -> None:
    """A global forward calls the head five times, a local one once; each call has statistics of its own."""
    expected = golden.npz("tclr_r3d18_train.npz")
    method = filled(golden, R3D18()).train()
    clip = golden.tensor("tclr/clip_train", (len(expected["d"]), 3, 16, 56, 56), golden.seed)

    def same(prefix: str) -> None:
        state = {published_key(key): value for key, value in method.state_dict().items()}
        for key in expected:
            if key.startswith(prefix):
                np.testing.assert_allclose(state[key.removeprefix(prefix)], expected[key], atol=1e-5, rtol=1e-4)

    embedding = method.embed(clip)
    np.testing.assert_allclose(method.head(embedding.pooled), expected["s_global"], atol=2e-5, rtol=1e-3)
    slices = torch.stack([method.head(part) for part in embedding.slices.unbind(-1)], dim=1)
    np.testing.assert_allclose(slices, expected["s_slices"], atol=2e-5, rtol=1e-3)
    same("after_s:")
    np.testing.assert_allclose(method.head(method.embed(clip).pooled), expected["d"], atol=2e-5, rtol=1e-3)
    same("after_d:")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_step_in_double_precision(golden: Any) -> None:
    """Loss, gradient, parameters after Adam and batch statistics of one published step."""
    expected = golden.npz("tclr_trainstep.npz")
    videos = golden.npz("tclr_objective.npz")["sparse"].shape[2]
    size = {3: 40, 4: 32}[videos]
    views = torch.cat(
        [golden.tensor(f"tclr/trainstep/{name}", (videos, 16, 3, size, size), golden.seed) for name in CLIPS]
    )
    method = filled(golden, R3D18()).double().train()
    parameters = {published_key(name): p for name, p in method.named_parameters()}
    assert list(parameters) == list(expected["param_names"])
    optimiser = torch.optim.Adam(method.parameters(), 1e-3, weight_decay=1e-9)

    step = method(views.transpose(1, 2).double())
    step.loss.backward()
    np.testing.assert_allclose(step.loss.item(), expected["loss_total"], rtol=1e-10)
    for theirs, ours in TERMS.items():
        np.testing.assert_allclose(step.logs[ours], expected[f"losses_{theirs}"], rtol=1e-10)
    counted = [i for i, name in enumerate(parameters) if name != "1.fc1.bias"]
    grads = [p.grad for p in parameters.values() if p.grad is not None]
    assert len(grads) == len(parameters)
    np.testing.assert_allclose([grads[i].norm() for i in counted], expected["grad_norm"][counted], rtol=1e-8)
    probes = np.stack([probe(grad) for grad in grads])
    np.testing.assert_allclose(probes[counted], expected["grad_probe"][counted], rtol=1e-6, atol=1e-11)

    optimiser.step()
    after = np.stack([probe(p.detach()) for p in parameters.values()])
    np.testing.assert_allclose(after[counted], expected["param_probe_after"][counted], rtol=1e-6, atol=1e-9)
    norms = [p.detach().norm() for p in parameters.values()]
    np.testing.assert_allclose([norms[i] for i in counted], expected["param_norm_after"][counted], rtol=1e-8)
    state = {published_key(key): value for key, value in method.state_dict().items()}
    for key in expected:
        if key.startswith("after:"):
            np.testing.assert_allclose(state[key.removeprefix("after:")], expected[key], rtol=1e-9, atol=1e-12)


def probe(values: Tensor) -> np.ndarray:
    flat = values.flatten().numpy()
    return flat[np.linspace(0, flat.size - 1, 5).astype(int)]
