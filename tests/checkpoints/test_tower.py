"""Which image tower a name stands for."""

import json

import pytest
import torch
from safetensors.torch import save_file

from telltime.backbones.image_tower import ImageTower
from telltime.backbones.time_heads import SoftHead
from telltime.checkpoints.clock import Clock
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.tower import find_tower, load_tower, looks_at_photos


@pytest.fixture(scope="module")
def clip(golden):
    return golden.mini_clip(int(golden.npz("ticl_editing.npz")["seed"]))


def test_names():
    assert find_tower("efficientnet_lite0").name == "efficientnet-lite0"
    assert find_tower("openai/clip-vit-large-patch14") == ("timm", "clip-vit-large-patch14")
    assert find_tower("resnet18@random").kind == "timm"
    assert looks_at_photos("vit_base_patch16_224")
    assert not looks_at_photos("tclr-small")
    with pytest.raises(CheckpointError, match="did you mean resnet18"):
        find_tower("resnet-18")
    with pytest.raises(CheckpointError, match="looks at no photos"):
        find_tower("tclr-small")


def test_random_weights_are_always_the_same():
    first, second = (load_tower("resnet18@random", size=32) for _ in range(2))
    assert first.size == 32
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


@pytest.fixture
def hub(tmp_path):
    """A folder as the hub has it, made of a config and a state dict under the published names."""

    def make(config, state):
        bare = {key.removeprefix("image_encoder.CLIP."): value.contiguous() for key, value in state.items()}
        bare = {key: value for key, value in bare.items() if key.startswith(("vision_model.", "visual_proj"))}
        save_file(bare, tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(json.dumps(config))
        return bare

    return make


def test_a_folder_as_the_hub_has_it_gives_the_published_features(hub, golden, tmp_path):
    golden.needs("ticl_image_path.npz")
    stored = golden.npz("ticl_image_path.npz")
    hub(*golden.mini_clip(int(stored["seed"])))
    tower = load_tower(tmp_path, profile="reference")
    tower.precision = "float32"
    with torch.no_grad():
        found = tower.rows(torch.from_numpy(stored["images"]))
    torch.testing.assert_close(found, torch.from_numpy(stored["clip_features"]), rtol=1e-5, atol=2e-6)


def test_a_folder_as_the_hub_has_it(clip, hub, tmp_path):
    bare = hub(*clip)
    tower = load_tower(tmp_path, profile="reference")
    assert (tower.profile, tower.size, tower.dim) == ("reference", 56, 768)
    del bare["vision_model.post_layernorm.bias"]
    save_file(bare, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"lacks network\.norm\.bias"):
        load_tower(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(CheckpointError, match="no CLIP: expected vision_config"):
        load_tower(tmp_path)


def test_a_checkpoint_file(clip, tmp_path):
    _, state = clip
    torch.save(state, tmp_path / "clip.pth")
    assert find_tower(tmp_path / "clip.pth").kind == "file"
    assert not looks_at_photos(tmp_path / "clip.pth"), "a file may be anything until it is read"
    assert load_tower(tmp_path / "clip.pth").dim == 768
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth: it is no checkpoint of TICL"):
        load_tower(tmp_path / "other.pth")


def test_the_tower_of_a_model_that_tells_the_time(tmp_path):
    tower = ImageTower("resnet18", "clip", size=32, pretrained=False)
    made = Clock(SoftHead(dim=tower.dim), tower, keep_tower=True)
    made.save(tmp_path / "clock")
    assert find_tower(tmp_path / "clock").kind == "clock"
    again = load_tower(tmp_path / "clock")
    assert (again.profile, again.size) == ("clip", 32)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in tower.state_dict().items())
    with pytest.raises(CheckpointError, match="trained with profile 'clip', not 'own'"):
        load_tower(tmp_path / "clock", profile="own")
