"""Any method with any backbone it makes sense for: the README's table, walked at tiny size."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from telltime.checkpoints.dense import load_dense
from telltime.checkpoints.describer import load_describer
from telltime.checkpoints.model import Model
from telltime.checkpoints.model import load as load_model
from telltime.datasets import load
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.tasks.action import Sights, action
from telltime.tasks.neighbours import neighbours
from telltime.tasks.time_sensitivity import time_sensitivity
from telltime.training.build import checked
from telltime.training.errors import RecipeError
from telltime.training.progress import Sink
from telltime.training.recipe import draft
from telltime.training.run import Run
from telltime.training.start import train

README = Path(__file__).parents[1] / "README.md"
WIDTH = {"width": 2}
BLOCKS = {"frames": 4, "size": 32, "patch": 16, "dim": 12, "depth": 1, "heads": 2, "drop_path": 0.0}
CLIPS: dict[str, tuple[str, dict[str, Any], int]] = {
    "R3D-18": ("r3d.R3D18", WIDTH, 16),
    "R(2+1)D-18": ("r3d.R2Plus1D18", WIDTH, 16),
    "C3D": ("c3d.C3D", WIDTH, 16),
    "PRP R3D": ("r3d_prp.PRPR3D", WIDTH, 16),
    "TimeSformer": ("timesformer.TimeSformer", BLOCKS, 4),
    "Motionformer": ("motionformer.Motionformer", BLOCKS, 4),
    "X-ViT": ("xvit.XViT", BLOCKS, 4),
}
"""Networks of clips: class, arguments, and frames of a clip."""

PICTURES = ("test_vit", "test_efficientnet")
"""Networks of pictures, of timm's own tests: a transformer and a convolutional one."""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of two small videos of moving noise; a third of each to test."""
    root = tmp_path_factory.mktemp("videos")
    for number in range(6):
        rng = np.random.default_rng(number)
        ground = rng.integers(0, 256, (8, 10, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
        path = root / ("train" if number < 4 else "test") / f"class{number % 2}" / f"{number}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, (np.roll(ground, (1 + number % 2) * t, 1) for t in range(66)))
    return root


@pytest.fixture(autouse=True)
def _one_core(_one_thread: None) -> None:
    torch.set_num_threads(1)


def reader_of(method: str, frames: int) -> dict[str, Any]:
    if method == "tclr":
        given = {"size": 32, "frames": frames, "short": "loop", "order": "rgb"}
        return {"class_path": "telltime.views.readers.TCLRReader", "init_args": given}
    given = {"size": 32, "frames": frames, "values": "none"}
    return {"class_path": "telltime.views.time_reader.TimeReader", "init_args": given}


def recipe(method: str, backbone: dict[str, Any], frames: int, folder: Path) -> Path:
    classes = {"tclr": "telltime.methods.tclr.TCLR", "time": "telltime.methods.time.TIME"}
    arguments: dict[str, Any] = {"backbone": backbone, "reader": reader_of(method, frames)}
    tree = {
        "method": {"class_path": classes[method], "init_args": arguments},
        "data": {"name": "folder", "split": "train"},
        "optimiser": {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e-3}},
        "schedule": {"class_path": "telltime.training.schedules.Constant"},
        "batch_size": 4,
        "max_steps": 1,
        "workers": 0,
        "precision": "fp32",
    }
    path = folder / f"{method}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def trained(written: Path, videos: Path, out: Path) -> Model:
    """One step, and the model that is saved of it."""
    _, tree = draft(str(written), values={"data.root": str(videos)})
    with Run(out) as run:
        train(checked(written.stem, tree), load("folder", videos, "train"), run, Sink(), board=False)
    return load_model(out)


def serves(model: Model, videos: Path) -> None:
    """What every model is for: features of videos, and their neighbours."""
    assert model.embed(Video(next(videos.rglob("*.avi"))), positions=1).isfinite().all()
    found = neighbours(model, load("folder", videos, "train"), load("folder", videos, "test"), positions=1, ks=(1,))
    assert 0 <= found.metrics["recall@1"] <= 1


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("method", ["tclr", "time"])
def test_methods_of_clips(method: str, name: str, videos: Path, tmp_path: Path) -> None:
    path, arguments, frames = CLIPS[name]
    backbone = {"class_path": f"telltime.backbones.{path}", "init_args": arguments}
    model = trained(recipe(method, backbone, frames, tmp_path), videos, tmp_path / "run")
    serves(model, videos)
    if method == "time":
        found = action(model, load("folder", videos, "test"), sights=Sights(1, 1))
        assert 0 <= found.metrics["top1"] <= 1
        found = time_sensitivity(model, None, load("folder", videos, "test"))
        assert np.isfinite(list(found.metrics.values())).all()


@pytest.mark.parametrize(("method", "why"), [("tclr", "4 time slices"), ("time", "sees 16 frames as one moment")])
def test_networks_of_single_frames_have_no_time_to_learn(method: str, why: str, videos: Path, tmp_path: Path) -> None:
    backbone = {"class_path": "telltime.backbones.image.FrameEncoder", "init_args": {"name": PICTURES[0]}}
    with pytest.raises((ValueError, RecipeError), match=why):
        trained(recipe(method, backbone, 16, tmp_path), videos, tmp_path / "run")


@pytest.mark.parametrize("name", PICTURES)
def test_networks_of_pictures_see_videos_frame_by_frame(name: str, videos: Path) -> None:
    model = load_model(f"{name}@random")
    model.clip = replace(model.clip, size=64, frames=2)
    serves(model, videos)


@pytest.mark.parametrize("name", PICTURES)
def test_timet_tunes_networks_of_pictures(name: str, videos: Path, tmp_path: Path) -> None:
    """The recipe as it ships, with another encoder."""
    values = {"data.root": str(videos), "batch_size": 2, "max_steps": 1, "workers": 0, "precision": "fp32"}
    encoder = {"name": name, "pretrained": False, "stride": 16}
    reader = {"size": 32, "frames": 2, "choice": "uniform", "values": "clean"}
    _, tree = draft("timet", values=values)
    tree["method"]["init_args"]["encoder"]["init_args"] = encoder
    tree["method"]["init_args"]["reader"]["init_args"] = reader
    tree["method"]["init_args"] |= {"prototypes": 4, "head": [8, 8]}
    with Run(tmp_path / "run") as run:
        train(checked("timet", tree), load("folder", videos, "train"), run, Sink(), board=False)
    places = load_dense(tmp_path / "run")(torch.zeros(1, 3, 32, 32))
    assert places.isfinite().all()


@pytest.mark.parametrize("name", PICTURES)
def test_tca_describes_frames_by_networks_of_pictures(name: str, videos: Path, tmp_path: Path) -> None:
    """The recipe as it ships, with another describer of frames."""
    values = {"data.root": str(videos), "batch_size": 4, "max_steps": 1, "workers": 0, "precision": "fp32"}
    _, tree = draft("tca", values=values)
    reader = tree["method"]["init_args"]["reader"]["init_args"]
    reader |= {"model": f"{name}@random", "dim": 8, "repeats": 1}
    reader["editing"] |= {"versions": 1, "most_frames": 8}
    tree["method"]["init_args"]["encoder"]["init_args"] |= {"dim": 8, "heads": 2, "feedforward": 8}
    with Run(tmp_path / "run") as run:
        train(checked("tca", tree), load("folder", videos, "all"), run, Sink(), board=False)
    assert load_describer(tmp_path / "run").encoder is not None


def test_the_readme_shows_what_is_walked() -> None:
    lines = [line.strip("|").split("|") for line in README.read_text().splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line] for line in lines]
    start = next(i for i, row in enumerate(rows) if row[:3] == ["backbone", "TCLR", "TIME"])
    assert rows[start][3:] == ["TimeT", "TCA", "embed, neighbours"]
    table = {row[0]: [cell == "yes" for cell in row[1:]] for row in rows[start + 1 : start + 4]}
    walked = {name: [True, True, False, False, True] for name in CLIPS}
    shown = {name: marks for names, marks in table.items() for name in names.split(", ")[:4] if name in CLIPS}
    assert shown == walked
    assert [marks for names, marks in table.items() if "timm" in names] == [[False, False, True, True, True]]
