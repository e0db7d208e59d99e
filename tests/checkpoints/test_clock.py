import json
import math

import numpy as np
import pytest
import torch

import telltime
from telltime.backbones.image_tower import ImageTower
from telltime.backbones.time_heads import CosineHead, SoftHead
from telltime.checkpoints._clock_files import named_tower, published_parts
from telltime.checkpoints.calibration import Calibration, hours_prior
from telltime.checkpoints.clock import CheckpointError, Clock, load_clock
from telltime.checkpoints.model import load as load_model

TINY = "test_efficientnet@random"


@pytest.fixture(scope="module")
def tower():
    return named_tower({"name": TINY, "profile": "reference", "size": 32})


@pytest.fixture
def clock(tower):
    torch.manual_seed(0)
    head = SoftHead(dim=tower.dim)
    torch.nn.init.normal_(head.out.weight)
    calibration = Calibration(1.7, 0.4, 0.01, hours_prior([12.0, 13.0, 9.0]), tuple(np.linspace(0, 1, 50)))
    mean, scale = torch.randn(tower.dim), torch.rand(tower.dim) + 0.5
    return Clock(head, tower, calibration, mean, scale, 2.5, keep_tower=True, meta={"photos": ["a" * 32]})


@pytest.mark.parametrize("keep", [True, False])
def test_saved_and_loaded_it_says_the_same(clock, tmp_path, keep, monkeypatch):
    clock.keep_tower = keep
    if not keep:
        monkeypatch.setattr("telltime.checkpoints.clock.named_tower", lambda arguments: clock.tower)
    again = load_clock(clock.save(tmp_path / "clock"))
    pictures = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        first, second = (each.density(each.tower(pictures)) for each in (clock, again))
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(first.sum(1), torch.ones(3))
    assert again.calibration == clock.calibration
    assert again.meta == clock.meta
    features = torch.randn(4, clock.dim)
    torch.testing.assert_close(again.scores(features), clock.scores(features))
    assert again.density(features, 24).shape == (4, 24)
    assert again.arc(again.density(features), 0.8).start.shape == (4,)
    with pytest.raises(ValueError, match="features are"):
        again.density(torch.zeros(2, 3))


def test_half_precision_is_nearly_the_same(clock, tmp_path):
    features = torch.randn(4, clock.dim)
    again = load_clock(
        Clock(clock.head, None, clock.calibration, clock.mean, clock.scale, 2.5).save(tmp_path, half=True)
    )
    torch.testing.assert_close(again.density(features), clock.density(features), atol=2e-3, rtol=0.05)
    with pytest.raises(CheckpointError, match="no image tower"):
        _ = again.tower


def test_a_tower_with_other_weights_is_refused(clock, tmp_path, monkeypatch):
    clock.keep_tower = False
    folder = clock.save(tmp_path / "clock")
    other = ImageTower("test_efficientnet", "reference", 32, pretrained=False)
    monkeypatch.setattr("telltime.checkpoints.clock.named_tower", lambda arguments: other)
    with pytest.raises(CheckpointError, match="not those it was trained with"):
        load_clock(folder)


def test_damaged_and_foreign_folders_are_named(clock, tmp_path, tiny_model):
    folder = clock.save(tmp_path / "clock")
    config = json.loads((folder / "config.json").read_text())
    config["calibration"]["temperature"] = -1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="not that of a clock"):
        load_clock(folder)
    with pytest.raises(CheckpointError, match="tells no time"):
        load_clock(tiny_model.save(tmp_path / "clips"))
    with pytest.raises(CheckpointError, match="tells the time of photos"):
        load_model(clock.save(tmp_path / "again"))
    assert telltime.load(tmp_path / "again").digest() == clock.digest()
    with pytest.raises(CheckpointError, match="tells no time"):
        load_clock("resnet18")


def published(golden, stored):
    """A state dict as published, filled by the golden rule, with as many classes as the stored logits."""
    state = golden.fill(CosineHead(stored["gallery_logits"].shape[1]).state_dict(), int(stored["seed"]))
    return state | {"logit": torch.tensor(math.log(1 / 0.07))}


@pytest.mark.golden_files("ticl_forward_c*.npz")
def test_a_published_checkpoint_without_clip(golden, tmp_path, file):
    stored = golden.npz(file)
    torch.save(published(golden, stored), tmp_path / "TICL_adapter_v1_best.pth")
    clock = load_clock(tmp_path / "TICL_adapter_v1_best.pth", tower=False)
    features = torch.from_numpy(stored["features"])
    np.testing.assert_allclose(clock.scores(features).numpy(), stored["gallery_logits"], atol=3e-6)
    np.testing.assert_allclose(clock.embed(features).numpy(), stored["image_embedding"], atol=3e-6)


def test_a_published_checkpoint_with_clip(golden, tmp_path):
    golden.needs("ticl_image_path.npz")
    file = golden.npz("ticl_image_path.npz")
    config, clip = golden.mini_clip(int(file["seed"]))
    torch.save(published(golden, file) | clip, tmp_path / "full.pth")
    heads = config["vision_config"]["num_attention_heads"]
    parts = published_parts(tmp_path / "full.pth", heads)
    head = CosineHead(parts.classes, parts.dim, parts.hidden)
    head.load_state_dict(parts.head)
    assert parts.tower is not None
    parts.tower.precision = "float32"
    with torch.no_grad():
        features = parts.tower.rows(torch.from_numpy(file["images"]))
        np.testing.assert_allclose(features.numpy(), file["clip_features"], atol=2e-5)
        np.testing.assert_allclose(head.eval()(features).numpy(), file["gallery_logits"], atol=2e-5)
    assert "text_model" in parts.notes[0]


def test_a_tower_by_name_is_had_at_first_use_and_not_lost_by_saving(tmp_path, tower, monkeypatch):
    torch.save(CosineHead(12).state_dict(), tmp_path / "some.pth")
    asked = []

    def named(arguments):
        asked.append(dict(arguments))
        return ImageTower("test_efficientnet", "reference", 32, pretrained=False)

    monkeypatch.setattr("telltime.checkpoints.clock.named_tower", named)
    clock = telltime.load(tmp_path / "some.pth")
    again = telltime.load(clock.save(tmp_path / "clock"))
    assert clock.has_tower
    assert again.has_tower
    assert not asked
    assert again.digest() == clock.digest()
    assert again.meta["method"] == "ticl"
    assert again.tower is again.tower
    assert asked == [{"name": "clip-vit-large-patch14", "profile": "reference"}]


def test_clip_that_cannot_be_had_is_named_without_false_advice(tmp_path, monkeypatch):
    torch.save(CosineHead(12).state_dict(), tmp_path / "some.pth")

    def offline(*_):
        raise OSError("no network")

    monkeypatch.setattr("telltime.checkpoints._clock_files.build_seeded", offline)
    with pytest.raises(CheckpointError, match=r"clip-vit-large-patch14.*no network\)$"):
        load_clock(tmp_path / "some.pth")


def test_a_published_checkpoint_is_no_model_of_clips(tmp_path):
    torch.save(CosineHead(12).state_dict(), tmp_path / "some.pth")
    with pytest.raises(CheckpointError, match=r"some.pth.*telltime when"):
        load_model(tmp_path / "some.pth")


@pytest.mark.parametrize("damage", ["missing", "stray", "shape", "other"])
def test_a_published_checkpoint_that_is_not_whole(tmp_path, damage):
    state = dict(CosineHead(12).state_dict())
    if damage == "missing":
        del state["time_encoder.TimeEnc.capsule.5.running_var"]
    elif damage == "stray":
        state["queue"] = torch.zeros(3)
    elif damage == "shape":
        state["time_encoder.TimeEnc.head.0.bias"] = torch.zeros(7)
    else:
        state = {"weight": torch.zeros(3)}
    torch.save(state, tmp_path / "some.pth")
    with pytest.raises(
        CheckpointError,
        match={"missing": "lacks", "stray": "unknown", "shape": "shapes"}.get(damage, "no checkpoint of TICL"),
    ):
        load_clock(tmp_path / "some.pth", tower=False)
