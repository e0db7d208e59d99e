"""Encoders of places by name: found without torch, loaded, saved, and told from all else."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from vit_toys import DIM, below, timet, vit

import telltime
from telltime.backbones.dense import DenseEncoder
from telltime.backbones.r3d import R3D18
from telltime.checkpoints.dense import find_dense, load_dense, load_dense_model, saved_dense
from telltime.checkpoints.dense_model import DenseModel
from telltime.checkpoints.describer import load_describer
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.model import Model
from telltime.checkpoints.model import load as load_model
from telltime.checkpoints.resolve import Source
from telltime.methods.timet import TimeT
from telltime.training.start import exporter

FRAMES = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.fixture(scope="module")
def embedded() -> DenseEncoder:
    return load_dense()


def small(seed: int) -> DenseEncoder:
    torch.manual_seed(seed)
    return DenseEncoder("resnet10t", pretrained=False)


def features(encoder: DenseEncoder) -> Tensor:
    with torch.no_grad():
        return encoder(encoder.prepare(FRAMES))


def test_names_are_found_without_torch(tmp_path: Path) -> None:
    code = """
import sys
from telltime.checkpoints.dense import find_dense
print([find_dense(name).kind for name in ("efficientnet-lite0", "efficientnet_lite0", "vit_small_patch16_224@random")])
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['timm', 'timm', 'timm']"


def test_files_and_folders_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(vit(), "efficientnet-lite0")
    assert find_dense("efficientnet-lite0") == Source("published", "efficientnet-lite0")
    with pytest.raises(CheckpointError, match="no such file or folder"):
        find_dense("TimeT.pth")
    with pytest.raises(CheckpointError, match=r"there is no model 'vit_smal_patch16_224'.*vit_small_patch16_224"):
        find_dense("vit_smal_patch16_224")


def test_models_of_other_kinds_are_refused_with_what_they_are(tmp_path: Path) -> None:
    Model(R3D18(2)).save(tmp_path / "clips")
    with pytest.raises(CheckpointError, match="a model of clips, which gives no features of places"):
        load_dense(tmp_path / "clips")
    load_describer("efficientnet-lite0").save(tmp_path / "frames")
    with pytest.raises(CheckpointError, match="describes whole frames"):
        find_dense(tmp_path / "frames")
    with pytest.raises(CheckpointError, match="recipe of another method"):
        find_dense("tclr-small")


def test_the_embedded_encoder_needs_no_download(embedded: DenseEncoder) -> None:
    assert features(embedded).shape == (2, embedded.channels, 4, 4)
    assert not embedded.training
    with pytest.raises(CheckpointError, match="no student and teacher"):
        load_dense(which="teacher")


def test_a_recipe_gives_the_encoder_that_its_training_begins_with(embedded: DenseEncoder) -> None:
    assert find_dense("timet").kind == "recipe"
    begun = load_dense("timet")
    weights = embedded.network.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in begun.network.state_dict().items())


def test_heads_that_weights_do_not_tell_can_be_said(tmp_path: Path) -> None:
    torch.save(vit(), tmp_path / "vit.pth")
    one, four = load_dense(tmp_path / "vit.pth"), load_dense(tmp_path / "vit.pth", heads=4)
    assert not torch.allclose(features(one), features(four))
    DenseModel(four).save(tmp_path / "model")
    assert torch.equal(features(load_dense(tmp_path / "model")), features(four))


def test_random_weights_of_a_name_are_always_the_same() -> None:
    first, again = (load_dense("resnet10t@random") for _ in range(2))
    assert torch.equal(features(first), features(again))


def test_a_run_is_saved_with_its_head_prototypes_and_teacher(tmp_path: Path) -> None:
    method = TimeT(small(0), prototypes=6, head=(8, 4), teacher="ema", queue=16)
    for value in method.teacher.encoder.parameters():
        value.data.add_(0.01 * torch.randn_like(value))
    state = {key: value.clone() for key, value in method.state_dict().items()}
    run = tmp_path / "run"
    export = exporter(method, {"recipe": "timet"})
    for value in method.parameters():
        value.data.zero_()
    export(run / "model", state)
    method.load_state_dict(state)
    student, teacher = load_dense(run), load_dense(run, "teacher")
    assert torch.equal(features(student), features(method.encoder.eval()))
    assert torch.equal(features(teacher), features(method.teacher.encoder.eval()))
    assert torch.equal(features(load_dense(run, "student")), features(student))
    loaded = telltime.load(run)
    assert isinstance(loaded, DenseModel)
    assert torch.equal(loaded.prototypes, method.prototypes)
    rows = torch.randn(2, method.encoder.channels)
    assert torch.equal(loaded.head(rows), method.head(rows))
    assert loaded.meta == {"method": "timet", "recipe": "timet"}
    config = json.loads((run / "model" / "config.json").read_text())
    assert config["kind"] == "dense"
    assert config["digest"] == loaded.digest()


def test_a_folder_without_a_teacher_says_so(tmp_path: Path) -> None:
    DenseModel(small(0)).save(tmp_path / "model")
    with pytest.raises(CheckpointError, match="holds no teacher"):
        load_dense(tmp_path / "model", "teacher")
    for load in (load_model, load_describer):
        with pytest.raises(CheckpointError, match="is an encoder of places"):
            load(tmp_path / "model")


def test_a_damaged_folder_is_refused(tmp_path: Path) -> None:
    folder = DenseModel(small(0)).save(tmp_path / "model")
    told = json.loads((folder / "config.json").read_text())
    for change in (
        {"backbone": {"class_path": "telltime.backbones.r3d.R3D18", "init_args": {"width": 2}}},
        {"backbone": {"class_path": "os.system", "init_args": {}}},
        {"head": [3, "x"]},
        {"prototypes": [4, 4]},
        {"backbone": 3},
    ):
        (folder / "config.json").write_text(json.dumps(told | change))
        with pytest.raises(CheckpointError, match=str(folder)):
            saved_dense(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_dense(folder)


def test_only_chains_of_linear_layers_are_heads() -> None:
    with pytest.raises(CheckpointError, match="cannot be saved"):
        DenseModel(small(0), nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))).save("nowhere")


@pytest.mark.parametrize(("which", "seed"), [("student", 1), ("teacher", 2)])
def test_a_published_file_gives_the_network_asked_for(tmp_path: Path, which: str, seed: int) -> None:
    torch.save(timet(teacher=True), tmp_path / "TimeT.pth")
    with pytest.raises(CheckpointError, match=r"TimeT\.pth.*--which student or --which teacher"):
        load_dense(tmp_path / "TimeT.pth")
    found = load_dense_model(tmp_path / "TimeT.pth", which)
    expected = vit(seed)
    assert all(torch.equal(found.encoder.network.state_dict()[key], value) for key, value in expected.items())
    assert found.encoder.stride == 16
    assert found.encoder.channels == DIM
    assert found.meta["which"] == which
    assert any(note.startswith("left out:") for note in found.meta["notes"])
    torch.save(expected, tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="is an image transformer, no model of clips"):
        load_model(tmp_path / "plain.pth")
    assert torch.equal(features(found.encoder), features(load_dense(tmp_path / "plain.pth")))


def test_published_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(below("module.", vit(3)), tmp_path / "dino.safetensors")
    torch.save(vit(3), tmp_path / "dino.pth")
    found = load_dense(tmp_path / "dino.safetensors")
    assert torch.equal(features(found), features(load_dense(tmp_path / "dino.pth")))
    (tmp_path / "bad.safetensors").write_bytes(b"not")
    with pytest.raises(CheckpointError, match=r"bad\.safetensors"):
        load_dense(tmp_path / "bad.safetensors")


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return print, ("run",)

    torch.save(vit() | {"x": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"builtins\.print"):
        load_dense(tmp_path / "evil.pth")


def test_weights_of_other_shapes_are_named(tmp_path: Path) -> None:
    torch.save(vit() | {"blocks.1.norm1.weight": torch.zeros(3)}, tmp_path / "bad.pth")
    with pytest.raises(CheckpointError, match=r"bad\.pth.*blocks\.1\.norm1\.weight"):
        load_dense(tmp_path / "bad.pth")


def test_features_of_dinos_published_layout(golden: Any, tmp_path: Path) -> None:
    """ViT-S/16 as published, through a TimeT file, against the reference network's tokens."""
    expected = golden.npz("timet_vits16.npz")
    golden.needs("timet_checkpoint_keys.json")
    seed = int(expected["seed"])
    keys = golden.json("timet_checkpoint_keys.json")["dino_vits16_backbone"]
    plain = golden.fill({key: torch.zeros(shape) for key, shape in keys.items()}, seed)
    torch.save(below("model.feature_extractor.backbone.", plain), tmp_path / "timet.pth")
    found = load_dense(tmp_path / "timet.pth")
    with torch.no_grad():
        grid = found(golden.tensor("timet.vits16", (1, 3, 224, 224), seed))
    tokens = torch.from_numpy(expected["tokens_224_every4"])[1:]
    assert torch.allclose(grid[0].flatten(1).T[:, ::4], tokens, atol=2e-5)
