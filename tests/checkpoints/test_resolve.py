"""What a MODEL names: local things first, and an answer at once when nothing does."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import telltime
from telltime.backbones.r3d import R3D18
from telltime.checkpoints import resolve as module
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.model import Model
from telltime.checkpoints.resolve import Source, resolve, timm_architectures

RECIPE = """\
method:
  class_path: telltime.methods.tclr.TCLR
  init_args:
    backbone: {class_path: telltime.backbones.r3d.R3D18, init_args: {width: 4}}
    reader: {class_path: telltime.views.readers.TCLRReader, init_args: {size: 32, frames: 8, order: rgb, ratio: 2}}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "tclr-tiny.yaml").write_text(RECIPE)
    monkeypatch.setattr(module, "RECIPES", recipes)


def test_local_files_and_folders_come_first() -> None:
    Path("tclr-tiny").write_bytes(b"a file")
    assert resolve("tclr-tiny") == Source("published", "tclr-tiny")
    Model(R3D18(4)).save(Path("resnet18"))
    assert resolve("resnet18") == Source("folder", "resnet18")
    Model(R3D18(4)).save(Path("owner/name"))
    assert resolve("owner/name").kind == "folder"


def test_names_are_told_apart() -> None:
    assert resolve("tclr-tiny").kind == "recipe"
    assert resolve("recipes/tclr-tiny.yaml").kind == "recipe"
    assert resolve("resnet18") == Source("timm", "resnet18")
    assert resolve("resnet18.a1_in1k@random") == Source("timm", "resnet18.a1_in1k@random")
    assert resolve("hf-hub:someone/some-model") == Source("hub", "someone/some-model")


@pytest.mark.parametrize(
    "name", ["model.pth", "./someone/model", "recipes/other", "/nowhere/model", "a/b/c", "~/no-such-thing", "runs/mine"]
)
def test_a_path_that_is_not_there_is_never_asked_of_the_hub(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such file or folder"):
        resolve(name)


def test_only_what_says_so_is_asked_of_the_hub() -> None:
    with pytest.raises(CheckpointError, match="a model on the hub is hf-hub:someone/some-model"):
        resolve("someone/some-model")
    with pytest.raises(CheckpointError, match="hf-hub:OWNER/NAME"):
        resolve("hf-hub:../model")


def test_near_names_are_offered() -> None:
    with pytest.raises(CheckpointError, match=r"tried .*recipe.*timm.*hub.*did you mean tclr-tiny"):
        resolve("tclr-tyny")
    with pytest.raises(CheckpointError, match=r"did you mean .*resnet18"):
        resolve("resnet81")
    Path("runs").mkdir()
    Path("runs/second").mkdir()
    with pytest.raises(CheckpointError, match="did you mean runs/second"):
        resolve("runs/secnod")


def test_folders_without_a_model_say_what_is_missing() -> None:
    Path("run").mkdir()
    with pytest.raises(CheckpointError, match=r"expected model\.safetensors and config\.json"):
        resolve("run")
    Path("run/recipe.yaml").write_text("")
    with pytest.raises(CheckpointError, match="saved no model yet"):
        resolve("run")


def test_timm_names_are_those_timm_knows() -> None:
    import timm

    found = timm_architectures()
    assert found >= set(timm.list_models())


def test_a_recipe_gives_its_network_with_the_same_random_weights_each_time() -> None:
    torch.manual_seed(1)
    first = telltime.load("tclr-tiny")
    torch.manual_seed(2)
    assert telltime.load("tclr-tiny").digest() == first.digest()
    assert (first.clip.frames, first.clip.size, first.clip.order) == (8, 32, "rgb")
    assert first.backbone.channels == 32
    assert first.meta["notes"] == ["not trained"]


def test_a_recipe_without_a_network_is_named() -> None:
    for text in ("method: 3", "{", "other: 1", "method: {class_path: x, init_args: {}}"):
        Path("bad.yaml").write_text(text)
        with pytest.raises(CheckpointError, match=r"bad\.yaml"):
            telltime.load("bad.yaml")


@pytest.mark.parametrize("name", ["resnet10t@random", "test_vit@random"])
def test_image_networks_embed_frames_and_average_them(name: str, tmp_path: Path) -> None:
    model = telltime.load(name)
    assert model.clip.order == "rgb"
    assert model.clip.mean is not None
    clips = torch.randint(256, (2, 3, 3, model.clip.size, model.clip.size), dtype=torch.uint8)
    found = model.features(clips)
    assert found.pooled.shape == (2, model.backbone.channels)
    alone = torch.stack([model.features(clips[:, i : i + 1]).pooled for i in range(3)]).mean(0)
    torch.testing.assert_close(found.pooled, alone, atol=1e-4, rtol=1e-4)
    again = telltime.load(model.save(tmp_path / "saved"))
    assert torch.equal(again.features(clips).pooled, found.pooled)
    assert telltime.load(name).digest() == model.digest()


def test_a_hub_that_cannot_be_reached_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*args: object, **kwargs: object) -> str:
        raise OSError("the network is unreachable\nand so on")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        CheckpointError, match=r"hf-hub:someone/some-model: the hub gives no model \(the network is unreachable\)"
    ):
        telltime.load("hf-hub:someone/some-model")


def test_a_hub_folder_loads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub

    model = Model(R3D18(4))
    model.save(tmp_path / "cache")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **kwargs: str(tmp_path / "cache"))
    assert telltime.load("hf-hub:someone/some-model").digest() == model.digest()


def test_resolving_imports_nothing_heavy() -> None:
    code = (
        "import sys; from telltime.checkpoints.resolve import resolve\n"
        "try: resolve('resnet81')\n"
        "except Exception as error: assert type(error).__name__ == 'CheckpointError', error\n"
        "heavy = {'torch', 'timm', 'numpy', 'torchvision'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
