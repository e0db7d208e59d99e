"""Published files of TCA's family, in every wrapping they come in."""

from pathlib import Path

import pytest
import torch

from telltime.backbones.comparator import VideoComparator
from telltime.backbones.tca_encoder import TCAEncoder
from telltime.checkpoints.encoder import load_comparator, load_encoder
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.model import convert, load
from telltime.clips.ragged import Ragged

ENCODER = TCAEncoder(16, 2, heads=8, feedforward=24)
BARE = ENCODER.state_dict()
MOCO = (
    {f"encoder_q.{k}": v for k, v in BARE.items()}
    | {f"encoder_k.{k}": v + 1 for k, v in BARE.items()}
    | {"queue": torch.rand(16, 5), "queue_ptr": torch.zeros(1, dtype=torch.int64)}
)


def saved(folder: Path, state: object) -> Path:
    torch.save(state, folder / "model.pth")
    return folder / "model.pth"


@pytest.mark.parametrize(
    "state", [BARE, MOCO, {"state_dict": BARE}, {f"module.{k}": v for k, v in MOCO.items()}],
    ids=["bare", "training state", "wrapped", "parallel"],
)  # fmt: skip
def test_the_encoder_is_found(tmp_path: Path, state: dict) -> None:
    found = load_encoder(saved(tmp_path, state))
    assert isinstance(found, TCAEncoder)
    assert (found.dim, found.layers, found.feedforward, found.training) == (16, 2, 24, False)
    assert all(torch.equal(value, BARE[key]) for key, value in found.state_dict().items())


def test_of_the_coarse_student_its_transformer_is_taken(tmp_path: Path) -> None:
    twin = TCAEncoder(16, feedforward=24, final_norm=True)
    state = {k.replace("transformer_encoder.", "transformer."): v for k, v in twin.state_dict().items()}
    path = saved(tmp_path, state | {"netvlad.centroids": torch.rand(2, 16), "attention.transform.bias": torch.rand(16)})
    frames = Ragged.of([torch.rand(3, 16), torch.rand(1, 16)])
    with torch.no_grad():
        torch.testing.assert_close(load_encoder(path)(frames)[0], twin.eval()(frames)[0])
    assert any("netvlad.centroids" in note for note in convert(path).meta["notes"])


@pytest.mark.parametrize("prefix", ["", "visil_head."])
def test_the_comparator_with_and_without_its_prefix(tmp_path: Path, prefix: str) -> None:
    twin = VideoComparator()
    path = saved(tmp_path, {f"{prefix}{k}": v for k, v in twin.state_dict().items()})
    matrices = torch.rand(1, 6, 9)
    with torch.no_grad():
        torch.testing.assert_close(load_comparator(path)(matrices), twin(matrices))
    with pytest.raises(CheckpointError, match="holds no encoder"):
        load_encoder(path)


def test_a_converted_file_is_a_model_like_any_other(tmp_path: Path) -> None:
    convert(saved(tmp_path, MOCO)).save(tmp_path / "model")
    assert load(tmp_path / "model").meta["method"] == "tca"
    assert all(torch.equal(v, BARE[k]) for k, v in load_encoder(tmp_path / "model").state_dict().items())
    with pytest.raises(CheckpointError, match="holds no comparator"):
        load_comparator(tmp_path / "model")


def test_strange_keys_and_missing_ones_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"classifier\.weight"):
        load_encoder(saved(tmp_path, MOCO | {"classifier.weight": torch.rand(2, 2)}))
    with pytest.raises(CheckpointError, match=r"norm2\.bias"):
        load_encoder(saved(tmp_path, {k: v for k, v in BARE.items() if not k.endswith("1.norm2.bias")}))
    with pytest.raises(CheckpointError, match="lacks"):
        load_encoder(saved(tmp_path, {"transformer_encoder.layers.0.norm1.weight": torch.rand(16)}))
