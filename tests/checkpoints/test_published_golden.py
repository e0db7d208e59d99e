"""Published files, imitated key by key, give the published features and scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import telltime
from telltime.checkpoints.model import Model

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


def published(golden: Any, name: str) -> dict[str, Tensor]:
    """The state of a published file, from its list of keys."""
    shapes = golden.json(f"tclr_{name}_keys.json")
    empty = {
        key: torch.zeros(shape, dtype=torch.int64 if "num_batches" in key else None) for key, shape in shapes.items()
    }
    return golden.fill(empty, golden.seed)


def loaded(folder: Path, state: dict[str, Tensor], prefix: str) -> Model:
    content = {"epoch": 1, "state_dict": {prefix + key: value for key, value in state.items()}}
    torch.save(content, folder / "model.pth")
    return telltime.load(folder / "model.pth")


@pytest.mark.parametrize(("name", "short", "prefix"), [("r3d18_mlp", "r3d", "module."), ("r2plus1d18_mlp", "r2p1", "")])
@torch.no_grad()
def test_retrieval_features_are_the_published_ones(
    golden: Any, name: str, short: str, prefix: str, tmp_path: Path
) -> None:
    expected = golden.npz("tclr_retrieval_features.npz")[f"{short}_feature2048"]
    model = loaded(tmp_path, published(golden, name), prefix)
    found = model.encode(golden.tensor("tclr/clip_ret", (len(expected), 3, 16, 64, 64), golden.seed))
    np.testing.assert_allclose(found.slices.flatten(1), expected, **CLOSE)


@torch.no_grad()
def test_scores_of_a_classifier_file_are_the_published_ones(golden: Any, tmp_path: Path) -> None:
    expected = golden.npz("tclr_linear_forward.npz")["logits_eval"]
    network = {key[2:]: value for key, value in published(golden, "r3d18_mlp").items() if key.startswith("0.")}
    layout = published(golden, "r3d18_classifier")
    state = {key: value if key.startswith("fc.") else network[key] for key, value in layout.items()}
    model = loaded(tmp_path, state, "module.")
    assert model.classifier is not None
    clips = golden.tensor("tclr/clip_lin", (len(expected), 3, 16, 64, 64), golden.seed)
    np.testing.assert_allclose(model.classifier(model.encode(clips).pooled), expected, **CLOSE)


def test_the_small_network_and_its_head_load(golden: Any, tmp_path: Path) -> None:
    state = published(golden, "r3dprp_mlp")
    model = loaded(tmp_path, state, "module.")
    assert model.head is not None
    ours = {f"0.{key}": value for key, value in model.backbone.state_dict().items()}
    ours |= {f"1.{key}": value for key, value in model.head.state_dict().items()}
    assert ours.keys() == state.keys()
    assert all(torch.equal(ours[key], state[key]) for key in state)


def test_the_imitated_file_of_an_old_torch_says_which_weights_it_lacks(golden: Any) -> None:
    with pytest.raises(telltime.checkpoints.model.CheckpointError, match=r"amp19\.pth: .*does not fit.* lacks"):
        telltime.load(golden.path("tclr_checkpoint_amp19.pth"))
