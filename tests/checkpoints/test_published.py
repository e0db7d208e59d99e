"""Published layouts: recognised whatever their prefixes, and refused with the keys that do not match."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import telltime
from telltime.backbones.r3d import R3D18, R2Plus1D18
from telltime.backbones.r3d_prp import PRPR3D
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.model import Model, convert
from telltime.checkpoints.published import recognise
from telltime.methods.tclr import ProjectionHead

NETS = {"R3D-18": R3D18, "R(2+1)D-18": R2Plus1D18, "PRP R3D": PRPR3D}
State = dict[str, Tensor]


def pretrained(architecture: str = "R3D-18", width: int = 4) -> State:
    """Weights as a pre-training of this width saves them."""
    torch.manual_seed(1)
    parts = nn.Sequential(NETS[architecture](width), ProjectionHead(8 * width, 6))
    return dict(parts.state_dict())


def classifier(classes: int = 102) -> State:
    torch.manual_seed(1)
    fc = nn.Linear(32, classes).state_dict()
    return dict(R3D18(4).state_dict()) | {f"fc.{key}": value for key, value in fc.items()}


def under(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def file_of(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "model.pth")
    return folder / "model.pth"


def same(model: Model, state: State, prefix: str = "0.") -> bool:
    ours = model.backbone.state_dict()
    return all(torch.equal(value, state[prefix + key]) for key, value in ours.items())


@pytest.mark.parametrize("architecture", NETS)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_pre_training_files_load_with_and_without_module(architecture: str, prefix: str, tmp_path: Path) -> None:
    state = pretrained(architecture)
    content = {"epoch": 248, "state_dict": under(prefix, state), "optimizer": {}, "learning_rate": 1e-4}
    model = telltime.load(file_of(tmp_path, content))
    assert type(model.backbone) is NETS[architecture]
    assert same(model, state)
    assert model.head is not None
    assert all(torch.equal(value, state[f"1.{key}"]) for key, value in model.head.state_dict().items())
    assert model.classifier is None
    assert not model.training
    assert model.meta["kind"] == "pre-training"
    assert (model.meta["architecture"], model.meta["epoch"], model.meta["source"]) == (architecture, 248, "model.pth")
    assert model.clip == telltime.checkpoints.model.ClipSpec(16, 2, 112, 0.8, "bgr")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_classifier_files_keep_their_classifier(prefix: str, tmp_path: Path) -> None:
    state = classifier()
    model = telltime.load(file_of(tmp_path, {"epoch": 30, "state_dict": under(prefix, state)}))
    assert same(model, state, "")
    assert model.classifier is not None
    assert torch.equal(model.classifier.weight, state["fc.weight"])
    assert model.meta["kind"] == "classifier"
    assert "1-based" in model.meta["notes"][0]
    clips = torch.randint(256, (1, 4, 3, 16, 16), dtype=torch.uint8)
    assert model.classify(clips).shape == (1, 102)


@pytest.mark.parametrize("prefix", ["", "module.", "0.", "module.0."])
@pytest.mark.parametrize("wrap", ["state_dict", "bb_state_dict", None])
def test_a_backbone_alone_loads_under_any_prefix(prefix: str, wrap: str | None, tmp_path: Path) -> None:
    state = dict(R3D18(4).state_dict())
    moved = under(prefix, state)
    model = telltime.load(file_of(tmp_path, {wrap: moved} if wrap else moved))
    assert same(model, state, "")
    assert model.head is None


def test_an_untrained_400_way_fc_is_left_out_and_told(tmp_path: Path) -> None:
    model = telltime.load(file_of(tmp_path, {"state_dict": classifier(400)}))
    assert model.classifier is None
    assert "left out" in model.meta["notes"][0]


def test_what_a_temporary_file_says_beside_is_kept() -> None:
    content = {"state_dict": pretrained(), "best_score": 9.7173, "scheduler_epoch": 2, "learning_rate": 1e-4}
    assert recognise(content).meta["best_score"] == 9.7173


def test_a_pickled_scaler_beside_the_weights_does_no_harm(tmp_path: Path) -> None:
    state = pretrained()
    content = {"state_dict": state, "amp_scaler": torch.amp.GradScaler("cpu")}
    model = telltime.load(file_of(tmp_path, content))
    assert same(model, state)


def test_torchvisions_own_networks_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="torchvision's 400-way R3D-18"):
        telltime.load(file_of(tmp_path, classifier(400)))
    stock = {"stem.0.weight": torch.zeros(1), "layer4.0.conv1.0.0.weight": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"torchvision's R\(2\+1\)D-18"):
        telltime.load(file_of(tmp_path, stock))


def test_keys_that_do_not_match_are_named(tmp_path: Path) -> None:
    state = pretrained()
    for key in ("0.layer3.1.conv2.0.weight", "1.fc1.bias"):
        lacking = {k: v for k, v in state.items() if k != key}
        with pytest.raises(CheckpointError, match=rf"model\.pth: .*lacks .*{key[2:]}"):
            convert(file_of(tmp_path, {"state_dict": lacking}))
    with pytest.raises(CheckpointError, match=r"unknown backbone\.layer9\.weight"):
        convert(file_of(tmp_path, {"state_dict": state | {"0.layer9.weight": torch.zeros(1)}}))
    with pytest.raises(
        CheckpointError, match=r"other shapes in backbone\.layer1\.0\.conv1\.1\.bias \(\[5\], expected \[4\]\)"
    ):
        convert(file_of(tmp_path, {"state_dict": state | {"0.layer1.0.conv1.1.bias": torch.zeros(5)}}))
    with pytest.raises(CheckpointError, match=r"unknown keys: 2\.weight"):
        convert(file_of(tmp_path, {"state_dict": state | {"2.weight": torch.zeros(1)}}))


def test_objects_among_the_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"0\.extra among its weights is an object of .*Linear"):
        convert(file_of(tmp_path, {"state_dict": pretrained() | {"0.extra": nn.Linear(1, 1)}}))
    with pytest.raises(CheckpointError, match=r"0\.extra among its weights is a list"):
        convert(file_of(tmp_path, {"state_dict": pretrained() | {"0.extra": [1]}}))


@pytest.mark.parametrize("content", [{}, {"state_dict": {}}, {"state_dict": 3}, {"a": torch.zeros(1)}, {"a": 1}])
def test_files_of_other_programs_are_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        convert(file_of(tmp_path, content))


def test_weights_that_claim_a_huge_network_are_refused_before_it_is_built(tmp_path: Path) -> None:
    state = pretrained() | {"0.stem.0.weight": torch.zeros(1).expand(10**6, 3, 1, 1, 1).clone()}
    with pytest.raises(CheckpointError, match="does not fit"):
        convert(file_of(tmp_path, {"state_dict": state}))
