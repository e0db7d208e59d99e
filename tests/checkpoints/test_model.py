"""Models: what they make of clips, and that saving and loading change nothing."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import telltime
from telltime.backbones.c3d import C3D
from telltime.backbones.r3d import R3D18, R2Plus1D18
from telltime.backbones.r3d_prp import PRPR3D
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.model import ClipSpec, Model, build
from telltime.media.write import write_video
from telltime.methods.tclr import TCLR, ProjectionHead

SMALL = ClipSpec(frames=8, size=32)


@pytest.fixture
def model() -> Model:
    torch.manual_seed(3)
    net = R3D18(4)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return Model(net, SMALL, ProjectionHead(32, 6), nn.Linear(32, 5), {"method": "tclr", "notes": ["a note"]}).eval()


def clips_of(count: int, seed: int = 0) -> Tensor:
    return torch.randint(256, (count, 8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    path = tmp_path / "clip.mp4"
    write_video(path, (np.roll(base, 2 * i, axis=1) for i in range(40)), codec="mpeg4")
    return path


# What comes out for clips.
def test_features_have_the_shapes_they_say(model: Model) -> None:
    found = model.features(clips_of(3))
    assert found.map.shape == (3, 32, 2, 2, 2)
    torch.testing.assert_close(found.slices, found.map.mean((3, 4)))
    torch.testing.assert_close(found.pooled, found.map.mean((2, 3, 4)))
    assert not found.map.requires_grad


def test_features_do_not_depend_on_the_batch(model: Model) -> None:
    clips = clips_of(5)
    whole = model.features(clips, batch=5).slices
    for batch in (1, 2, 100):
        torch.testing.assert_close(model.features(clips, batch).slices, whole, atol=1e-5, rtol=1e-5)


def test_features_leave_the_model_as_it_was(model: Model) -> None:
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    model.features(clips_of(2))
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_order_and_scale_are_the_models_business(model: Model) -> None:
    clips = clips_of(2)
    found = model.prepare(clips)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(found[:, 0], clips[:, :, 2].float() / 255)
    model.clip = replace(SMALL, order="rgb", mean=(0.1, 0.2, 0.3), std=(1, 2, 4))
    torch.testing.assert_close(model.prepare(clips)[:, 2], (clips[:, :, 2].float() / 255 - 0.3) / 4)


def test_a_bgr_network_sees_rgb_clips_as_its_twin_sees_them_swapped(model: Model) -> None:
    twin = Model(model.backbone, replace(SMALL, order="rgb"))
    clips = clips_of(2)
    torch.testing.assert_close(model.features(clips).map, twin.features(clips.flip(2)).map)


@pytest.mark.parametrize("clips", [clips_of(1).float(), clips_of(1)[0], clips_of(1).transpose(1, 2)])
def test_clips_of_another_form_are_refused(model: Model, clips: Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[N, T, 3, S, S\]"):
        model.features(clips)


def test_training_on_top_has_a_gradient(model: Model) -> None:
    model.train()(clips_of(2)).pooled.sum().backward()
    assert model.backbone.stem[0].weight.grad.abs().sum() > 0


def test_bfloat16_is_near(model: Model) -> None:
    exact, near = (model.features(clips_of(2), bf16=bf16).pooled for bf16 in (False, True))
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, atol=0.1, rtol=0.1)


def test_scores_need_a_classifier(model: Model) -> None:
    assert model.classify(clips_of(2)).shape == (2, 5)
    with pytest.raises(ValueError, match="no classifier"):
        Model(R3D18(4)).classify(clips_of(1))


# Videos.
def test_an_embedding_is_the_mean_of_the_slices_of_all_positions(model: Model, video: Path) -> None:
    found = model.embed(telltime.Video(video), positions=3)
    assert found.shape == (1, 32 * 2)
    assert found.dtype == torch.float32
    clips = model.reader(3)(telltime.Video(video))["clips"]
    assert clips.shape == (3, 8, 3, 32, 32)
    slices = torch.stack([model.features(clip[None]).slices[0] for clip in clips])
    for channel, slice_ in ((0, 0), (5, 1), (31, 1)):
        torch.testing.assert_close(found[0, 2 * channel + slice_], slices[:, channel, slice_].mean())
    torch.testing.assert_close(model.embed(clips), found)


def test_clips_of_a_video_are_rgb_whatever_the_network_wants(model: Model, tmp_path: Path) -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 255
    write_video(tmp_path / "red.mp4", [red] * 30, codec="mpeg4")
    clips = model.reader(1)(telltime.Video(tmp_path / "red.mp4"))["clips"].float()
    assert clips[:, :, 0].mean() > 200
    assert clips[:, :, 2].mean() < 50


def test_a_video_too_short_for_any_clip_is_named(model: Model, tmp_path: Path) -> None:
    write_video(tmp_path / "short.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3, codec="mpeg4")
    with pytest.raises(Exception, match=r"short\.mp4"):
        model.embed(telltime.Video(tmp_path / "short.mp4"))


# Saving and loading.
def test_a_saved_model_is_the_same_model(model: Model, video: Path, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "deep" / "model")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    again = telltime.load(folder)
    assert not again.training
    assert again.digest() == model.digest()
    assert (again.clip, again.meta) == (model.clip, model.meta)
    assert torch.equal(again.embed(telltime.Video(video), 2), model.embed(telltime.Video(video), 2))
    assert torch.equal(again.classify(clips_of(2)), model.classify(clips_of(2)))
    assert torch.equal(again.head(torch.ones(1, 32)), model.head(torch.ones(1, 32)))


def test_a_run_folder_and_either_file_name_the_model(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "run" / "model")
    for name in ("run", "run/", "run/model", "run/model/model.safetensors", "run/model/config.json"):
        assert telltime.load(f"{tmp_path}/{name}").digest() == model.digest()


@pytest.mark.parametrize("net", [R3D18(4, stem_stride=1), R2Plus1D18(4), C3D(2), PRPR3D(2)])
def test_every_backbone_can_be_saved(net: nn.Module, tmp_path: Path) -> None:
    again = telltime.load(Model(net, SMALL).save(tmp_path / "model"))
    clips = clips_of(1)
    assert torch.equal(again.features(clips).map, Model(net, SMALL).features(clips).map)


def test_a_trained_methods_parts_can_be_saved(tmp_path: Path) -> None:
    method = TCLR(R3D18(4), dim=6)
    model = Model(method.backbone, SMALL, method.head)
    assert telltime.load(model.save(tmp_path)).digest() == model.digest()


def test_saving_again_replaces_the_model_and_nothing_else(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    nn.init.zeros_(model.classifier.bias)
    model.save(tmp_path)
    assert telltime.load(tmp_path).digest() == model.digest()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]


def test_a_failed_save_leaves_nothing(model: Model, tmp_path: Path) -> None:
    model.meta["bad"] = object()
    with pytest.raises(TypeError):
        model.save(tmp_path / "model")
    model.meta = {}
    model.backbone = nn.Conv3d(3, 4, 1)
    with pytest.raises(CheckpointError, match="cannot be saved"):
        model.save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_saving_onto_a_file_is_refused(model: Model, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError, match="is a file"):
        model.save(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_digest_tells_weights_clips_and_networks_apart(model: Model) -> None:
    first = model.digest()
    assert model.digest() == first
    model.clip = replace(SMALL, order="rgb")
    assert model.digest() != first
    model.clip = SMALL
    with torch.no_grad():
        model.backbone.stem[0].weight[0, 0, 0, 0, 0] += 1
    assert model.digest() != first
    assert Model(R3D18(4, stem_stride=1)).digest() != Model(R3D18(4)).digest()


def test_loading_does_not_disturb_the_callers_random_numbers(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    torch.manual_seed(0)
    first = torch.rand(1)
    torch.manual_seed(0)
    telltime.load(tmp_path)
    assert torch.equal(torch.rand(1), first)


# Folders that somebody changed.
def edited(folder: Path, **changes: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.Linear",
        "telltime.cli.main.main",
        "telltime.checkpoints.build.importlib",
        "telltime.backbones.r3d.BasicBlock",
        "telltime.backbones.r3d.Nothing",
        "telltime.nowhere.Net",
        "telltime.media.video.Video",
        "telltime..R3D18",
        "telltime.backbones.r3d.R3D18.__init__",
    ],
)
def test_only_networks_of_this_package_are_built(path: str, model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    with pytest.raises(CheckpointError, match=rf"{re.escape(path)} (is no network|in this telltime)"):
        telltime.load(edited(tmp_path, backbone={"class_path": path, "init_args": {}}))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 99}, "format 99"),
        ({"weights": "0"}, "not the file"),
        ({"backbone": {"class_path": "telltime.backbones.r3d.R3D18", "init_args": {"width": 5}}}, "does not fit"),
        ({"backbone": {"class_path": "telltime.backbones.r3d.R3D18", "init_args": {"width": 10**6}}}, "does not fit"),
        ({"backbone": {"class_path": "telltime.backbones.r3d.R3D18", "init_args": {"depth": 5}}}, "depth"),
        ({"backbone": {"class_path": "telltime.backbones.r3d.R3D18", "init_args": {"width": -5}}}, "cannot be built"),
        ({"backbone": 3}, "config.json"),
        ({"clip": {"frames": 0}}, "config.json"),
        ({"clip": {"order": "grb"}}, "order"),
        ({"clip": {"colour": 1}}, "colour"),
        ({"head": None}, "unknown head"),
        ({"classifier": {"in_features": 32, "out_features": 6}}, "other shapes in classifier"),
    ],
)
def test_configs_that_do_not_fit_are_explained(
    changes: dict[str, Any], says: str, model: Model, tmp_path: Path
) -> None:
    model.save(tmp_path)
    with pytest.raises(CheckpointError, match=says) as caught:
        telltime.load(edited(tmp_path, **changes))
    assert str(tmp_path) in str(caught.value)


def test_damaged_files_are_named(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path)
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    save_file({key: value + 1 for key, value in state.items()}, weights)
    with pytest.raises(CheckpointError, match="not the file"):
        telltime.load(tmp_path)
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="cannot be read"):
        telltime.load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        telltime.load(tmp_path)


def test_arguments_that_are_networks_are_built_too() -> None:
    described = {"class_path": "telltime.backbones.r3d.R3D18", "init_args": {"width": 4}}
    method = build("telltime.methods.tclr.TCLR", {"backbone": described, "dim": 6})
    assert isinstance(method, TCLR)
    assert method.backbone.channels == 32


@pytest.mark.parametrize(
    "bad", [{"order": "gbr"}, {"crop": 0}, {"crop": 1.5}, {"size": 0}, {"std": (1, 0, 1)}, {"mean": (1,)}]
)
def test_clips_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ClipSpec(**bad)
