"""Checkpoints of video transformers: every published layout in, and out again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import telltime
from telltime.backbones.motionformer import Motionformer
from telltime.backbones.timesformer import TimeSformer
from telltime.backbones.xvit import XViT
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.hugging_face import write_hugging_face, write_published
from telltime.checkpoints.model import ClipSpec, Model
from telltime.checkpoints.published import of_time_family
from telltime.checkpoints.published_time import from_hugging_face, to_hugging_face, to_published
from telltime.cli.main import main

State = dict[str, Tensor]
CLASSES = 5
NAMES: dict[str, type[Any]] = {"TimeSformer": TimeSformer, "Motionformer": Motionformer, "X-ViT": XViT}


def network(architecture: str = "TimeSformer", **arguments: Any) -> Any:
    torch.manual_seed(1)
    size = 224 if architecture == "X-ViT" else 32
    made = NAMES[architecture](**{"frames": 4, "size": size, "dim": 64, "depth": 2, "heads": 1} | arguments)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made.eval()


def published(architecture: str = "TimeSformer") -> State:
    """A file's weights, without modules of the temporal tasks."""
    torch.manual_seed(2)
    linear = torch.nn.Linear(64, CLASSES)
    arguments = {"value_slip": True} if architecture == "Motionformer" else {}
    return to_published(architecture, network(architecture, **arguments).state_dict(), {}, dict(linear.state_dict()))


def tasks() -> State:
    from telltime.checkpoints.published_time import TASKS

    sizes = dict.fromkeys(TASKS, (64, 64)) | {"temp_head.": (4, 64), "flow_head.": (9, 64), "mlp_norm.": (64,)}
    return {f"{name}weight": torch.randn(sizes[name]) for name in TASKS} | {
        f"{name}bias": torch.randn(sizes[name][0]) for name in TASKS
    }


def saved(folder: Path, content: Any, name: str = "TimeSformer.pyth") -> Path:
    torch.save(content, folder / name)
    return folder / name


@pytest.mark.parametrize("architecture", NAMES)
@pytest.mark.parametrize("wrap", ["model_state", "state_dict", "model", None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_files_load_however_they_are_wrapped(architecture: str, wrap: str | None, prefix: str, tmp_path: Path) -> None:
    state = {f"{prefix}{key}": value for key, value in published(architecture).items()}
    content = {"epoch": 34, "iter": 9, wrap: state, "cfg": "VIT: {NUM_HEADS: 1}"} if wrap else state
    model = telltime.load(saved(tmp_path, content))
    assert isinstance(model, Model)
    assert type(model.backbone) is NAMES[architecture]
    same = network(architecture).state_dict()
    assert all(torch.equal(value, same[key]) for key, value in model.backbone.state_dict().items())
    size, grey = 224 if architecture == "X-ViT" else 32, (0.5,) * 3
    assert model.clip == ClipSpec(4, 4, size, 1.0, "rgb", grey, grey, "segments")
    assert "CC BY-NC 4.0" in model.meta["licence"]
    assert model.meta["kind"] == "classifier"
    assert model.reads == "class"
    pixels = torch.randint(256, (2, 4, 3, 32, 32), dtype=torch.uint8)
    assert model.classifier is not None
    token = model.backbone.tokens_and_class(model.prepare(pixels))[1]
    torch.testing.assert_close(model.classify(pixels), model.classifier(token))
    again = telltime.load(model.save(tmp_path / "out"))
    assert again.digest() == model.digest()
    assert torch.equal(again.classify(pixels), model.classify(pixels))  # type: ignore[union-attr]
    assert "CC BY-NC 4.0" in again.meta["licence"]


@pytest.mark.parametrize("architecture", NAMES)
def test_full_size_layouts_are_recognised_and_written_back(architecture: str, golden: Any) -> None:
    told = golden.json("time_keys.json")["backbones"][architecture.lower().replace("-", "")]
    with torch.device("meta"):
        state = {key: torch.zeros(shape) for key, shape in told["keys"].items()}
        found = of_time_family(state, {})
        assert found is not None
        ours = NAMES[architecture](**found.init_args).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {k: v.shape for k, v in found.backbone.items()}
    assert (found.init_args["heads"], found.init_args["depth"]) == (12, 12)
    assert sorted(found.head) == sorted(told["time_head_keys"])
    assert found.head_of["init_args"] == {"channels": 768, "frames": 8}
    assert sum(v.numel() for v in {**found.backbone, **found.classifier}.values()) == told["parameters_total"] - sum(
        state[key].numel() for key in told["time_head_keys"]
    )
    back = to_published(architecture, found.backbone, found.head, found.classifier)
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in state.items()}


@pytest.mark.parametrize(
    "arguments", [{"tube": 2}, {"attention": "joint"}, {"position": "joint"}, {"tube": 2, "position": "joint"}]
)
def test_every_kind_of_motionformer_comes_back_as_it_went(arguments: Any, tmp_path: Path) -> None:
    first = network("Motionformer", **{"value_slip": "attention" not in arguments} | arguments)
    state = to_published("Motionformer", first.state_dict(), {}, {})
    assert ("patch_embed_3d.proj.weight" in state) == ("tube" in arguments)
    if "position" in arguments:
        state["pos_embed"] = torch.zeros(1, 5, 64)
    model = telltime.load(saved(tmp_path, {"model_state": state}))
    clips = torch.rand(1, 3, 4, 32, 32)
    assert torch.equal(model.backbone(clips), first(clips))  # type: ignore[union-attr]
    for name, value in arguments.items():
        assert getattr(model.backbone, name) == value  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [("Motionformer", {"value_slip": False}), ("X-ViT", {"shift_div": 8, "heads": 4}), ("TimeSformer", {"heads": 2})],
)
def test_what_weights_do_not_tell_survives_an_export(architecture: str, arguments: Any, tmp_path: Path) -> None:
    first = network(architecture, **arguments)
    model = telltime.load(write_published(Model(first), tmp_path / "out"))
    clips = torch.rand(1, 3, 4, 32, 32)
    assert torch.equal(model.backbone(clips), first(clips))  # type: ignore[union-attr]


def test_what_does_not_match_is_named(tmp_path: Path) -> None:
    state = published()
    for key, says in (
        ("blocks.1.temporal_fc.bias", "lacks backbone.blocks.1.temporal_fc.bias"),
        ("head.bias", "lacks"),
    ):
        lacking = {k: v for k, v in state.items() if k != key}
        with pytest.raises(CheckpointError, match=rf"TimeSformer\.pyth: .*{says}"):
            telltime.load(saved(tmp_path, {"model_state": lacking}))
    with pytest.raises(CheckpointError, match=r"unknown backbone\.extra"):
        telltime.load(saved(tmp_path, {"model_state": state | {"extra": torch.zeros(1)}}))
    with pytest.raises(CheckpointError, match=r"other shapes in backbone\.blocks\.0\.norm1\.bias \(\[32\], expected"):
        telltime.load(saved(tmp_path, {"model_state": state | {"blocks.0.norm1.bias": torch.zeros(32)}}))
    with pytest.raises(CheckpointError, match="rows, expected one and a square grid"):
        telltime.load(saved(tmp_path, {"model_state": state | {"pos_embed": torch.zeros(1, 7, 64)}}))
    some = {k: v for k, v in tasks().items() if not k.startswith("mlp_q")}
    with pytest.raises(CheckpointError, match=r"14 tensors it lacks mlp_q\.weight, mlp_q\.bias; drop them"):
        telltime.load(saved(tmp_path, {"model_state": state | some}))
    with pytest.raises(CheckpointError, match="3 heads do not divide its 64 channels"):
        telltime.load(saved(tmp_path, {"model_state": state, "cfg": "VIT: {NUM_HEADS: 3}"}))
    with pytest.raises(CheckpointError, match="its keys are of no published network"):
        telltime.load(saved(tmp_path, {"model_state": {k: v for k, v in state.items() if k != "time_embed"}}))


def test_heads_can_be_dropped(tmp_path: Path) -> None:
    file = saved(tmp_path, {"model_state": published() | tasks()})
    assert main(["convert", str(file), "--out", str(tmp_path / "out"), "--drop-heads", "--json"]) == 0
    model = telltime.load(tmp_path / "out")
    assert isinstance(model, Model)
    assert model.head is None
    assert model.classifier is not None


def test_timesformers_own_layout_has_its_own_pixels(tmp_path: Path) -> None:
    state = {f"model.{key}": value for key, value in published().items()}
    model = telltime.load(saved(tmp_path, {"model_state": state}))
    assert isinstance(model, Model)
    assert model.clip.mean == (0.45,) * 3
    assert model.meta["method"] == "timesformer"


def test_names_of_hugging_face_go_both_ways() -> None:
    state = published()
    renamed = to_hugging_face(state)
    assert "timesformer.encoder.layer.1.temporal_attention.output.dense.bias" in renamed
    assert "timesformer.embeddings.patch_embeddings.projection.weight" in renamed
    assert "classifier.weight" in renamed
    assert all(key.startswith(("timesformer.", "classifier.")) for key in renamed)
    assert list(from_hugging_face(renamed)) == list(state)


def test_a_hugging_face_folder_is_a_model_and_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, {"model_state": published()})
    first = telltime.load(file)
    assert main(["convert", str(file), "--to", "hf", "--out", str(tmp_path / "hf")]) == 0
    assert "CC BY-NC" in capsys.readouterr().out
    config = json.loads((tmp_path / "hf" / "config.json").read_text())
    assert (config["model_type"], config["num_frames"], config["attention_type"]) == (
        "timesformer",
        4,
        "divided_space_time",
    )
    assert "CC BY-NC" in config["licence"]
    second = telltime.load(tmp_path / "hf")
    pixels = torch.randint(256, (1, 4, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(second.classify(pixels), first.classify(pixels))  # type: ignore[union-attr]
    assert second.clip == first.clip  # type: ignore[union-attr]
    assert main(["convert", str(tmp_path / "hf"), "--out", str(tmp_path / "ours")]) == 0
    assert torch.equal(telltime.load(tmp_path / "ours").classify(pixels), first.classify(pixels))  # type: ignore[union-attr]


def test_hugging_face_folders_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    model = Model(network(), ClipSpec(4, 4, 32, 1.0, "rgb"), meta={"labels": list("abcde")})
    folder = write_hugging_face(model, tmp_path / "hf")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_frames": 8}))
    with pytest.raises(CheckpointError, match=r"hf: config\.json says num_frames 8, its weights are of 4"):
        telltime.load(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "videomae"}))
    with pytest.raises(CheckpointError, match="holds a videomae of the library transformers"):
        telltime.load(folder)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not those of a TimeSformer"):
        telltime.load(folder)


def test_only_the_family_is_exported(tmp_path: Path, tiny_model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CheckpointError, match="R3D18 has no published layout"):
        write_published(tiny_model, tmp_path / "out")
    with pytest.raises(CheckpointError, match="R3D18 has no Hugging Face layout; only a TimeSformer has"):
        write_hugging_face(tiny_model, tmp_path / "out")
    model = Model(network("X-ViT"), ClipSpec(4, size=32))
    model.save(tmp_path / "xvit")
    assert main(["convert", str(tmp_path / "xvit"), "--to", "hf", "--out", str(tmp_path / "out")]) == 1
    assert "X-ViT has no Hugging Face layout" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "xvit"), "--to", "published", "--out", str(tmp_path / "out")]) == 0
    again = telltime.load(tmp_path / "out" / "checkpoint.pyth")
    same = again.backbone.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(value, same[key]) for key, value in model.backbone.state_dict().items())


def test_a_recipes_network_is_had_without_the_images_it_starts_from(tmp_path: Path) -> None:
    arguments = "{frames: 4, size: 32, dim: 64, depth: 1, heads: 1, image: vit_base_patch16_224}"
    backbone = f"{{class_path: telltime.backbones.timesformer.TimeSformer, init_args: {arguments}}}"
    text = f"method: {{class_path: telltime.methods.tclr.TCLR, init_args: {{backbone: {backbone}}}}}"
    (tmp_path / "mine.yaml").write_text(text)
    model = telltime.load(tmp_path / "mine.yaml")
    assert model.backbone.depth == 1  # type: ignore[union-attr]


def test_a_class_token_is_read_only_where_there_is_one(tiny_model: Any) -> None:
    with pytest.raises(ValueError, match="R3D18 gives no class token"):
        Model(tiny_model.backbone, reads="class")
    with pytest.raises(ValueError, match="not 'tokens'"):
        Model(tiny_model.backbone, reads="tokens")  # type: ignore[arg-type]
