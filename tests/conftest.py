"""Fixtures shared by all tests: the reference outputs, and nothing that needs a network or a GPU."""

import importlib.util
import json
import os
import sys
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the command line does, before torch is imported

import numpy as np
import pytest
import torch

HERE = Path(__file__).parent / "golden"
GOLDEN = Path(os.environ.get("TELLTIME_GOLDEN") or HERE)


def _file(name: str) -> Path:
    """A file that holds no value of its own set: the set's, or else the copy beside this file."""
    return path if (path := GOLDEN / name).exists() else HERE / name


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "golden_files(pattern): run with `file`, the name of each such file of the set")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if marker := metafunc.definition.get_closest_marker("golden_files"):
        metafunc.parametrize("file", sorted(path.name for path in GOLDEN.glob(marker.args[0])))


def _module(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, _file(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


class Golden:
    """Reference outputs from ``TELLTIME_GOLDEN`` (default: the copy beside this file)."""

    def __init__(self) -> None:
        self.fill = _module("fill").fill
        self.tensor = _module("fill").tensor
        self.inputs = _module("tclr_inputs")
        self.timet_inputs = _module("timet_inputs")
        self.time_inputs = _module("time_inputs")

    @cached_property
    def seed(self) -> int:
        """The seed this set was made with, told by an input that it stores."""
        stored = self.npz("tclr_losses.npz")["ic_zis"]
        for seed in range(1000):
            if np.allclose(self.inputs.unit("tclr/ic/zis", stored.shape, seed), stored, atol=1e-6):
                return seed
        raise AssertionError("no seed makes the stored inputs")

    @cached_property
    def tca_seed(self) -> int:
        """The seed of the TCA files, told by the clips that one of them stores."""
        file = self.npz("tca_aggregators.npz")
        channels, _, _, videos, frames = file["meta"].tolist()
        for seed in range(2000):
            made = self.tca_clips("agg", videos, channels, frames, file["lens"], seed=seed)
            if np.allclose(made.transpose(1, 2), file["x"], atol=1e-6):
                return seed
        raise AssertionError("no seed makes the stored clips")

    def tca_clips(
        self, name: str, videos: int, channels: int, frames: int, lengths: Any, noise: bool = False, seed: Any = None
    ) -> torch.Tensor:
        """Padded unit descriptors ``[videos, frames, channels]``; rows past a length are 0, or ``noise``."""
        rows = self.tensor(name, (videos, frames, channels), self.tca_seed if seed is None else seed)
        rows = torch.nn.functional.normalize(rows, dim=-1)
        if not noise:
            valid = torch.arange(frames) < torch.as_tensor(np.asarray(lengths)).flatten()[:, None]
            rows = rows * valid[..., None]
        return rows

    def path(self, name: str) -> Path:
        return GOLDEN / name

    def npz(self, name: str) -> dict[str, np.ndarray]:
        with np.load(self.path(name)) as file:
            return dict(file)

    def json(self, name: str) -> Any:
        return json.loads(self.path(name).read_text())

    def json_of_any(self, name: str) -> Any:
        """A file that not every set has and that holds no value of its own set."""
        return json.loads(_file(name).read_text())

    def needs(self, name: str) -> None:
        """Skip the test where the set is without a file that not every set has."""
        if not self.path(name).exists():
            pytest.skip(f"this set has no {name}")

    def mini_clip(self, seed: int) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """Config and filled state dict of the small CLIP, under the published names. Its layout is any set's."""
        told = json.loads(_file("ticl_mini_clip.json").read_text())
        return told["config"], self.fill({key: torch.zeros(shape) for key, shape in told["keys"].items()}, seed)


@pytest.fixture(scope="session")
def golden() -> Golden:
    return Golden()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


CLASSES = ("ApplyEyeMakeup", "Archery", "BabyCrawling")


def _clip(label: int, seed: int, frames: int) -> Any:
    """A square of the class's colour that walks over noise of the video's own, and fades."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 120, (6, 8, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    for t in range(frames):
        picture = ground.copy()
        left, top = (t * 2 + seed * 5) % 44, (t + seed * 3) % 28
        picture[top : top + 20, left : left + 20] = 20
        picture[top : top + 20, left : left + 20, label] = 250 - 2 * t
        yield picture


@pytest.fixture(scope="session")
def tiny_ucf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in UCF101's layout: 3 of its classes, 4 videos of each to train on and 2 to test, 64 x 48, 80 frames.

    The lists name one train video that is not there. Do not write to it.
    """
    from telltime.media.write import write_video

    root = tmp_path_factory.mktemp("tiny") / "ucf101"
    lists = root / "ucfTrainTestlist"
    lists.mkdir(parents=True)
    (lists / "classInd.txt").write_text("".join(f"{i} {name}\r\n" for i, name in enumerate(CLASSES, 1)))
    train, test = [f"{CLASSES[0]}/v_{CLASSES[0]}_g25_c07.avi 1\r\n"], []
    for label, name in enumerate(CLASSES):
        for group in range(6):
            path = f"{name}/v_{name}_g{group + 1:02d}_c01.avi"
            write_video(root / "UCF-101" / path, _clip(label, 10 * label + group, 80))
            train += [f"{path} {label + 1}\r\n"] * (group >= 2)
            test += [f"{path}\r\n"] * (group < 2)
    for fold in (1, 2, 3):
        (lists / f"trainlist0{fold}.txt").write_text("".join(train))
        (lists / f"testlist0{fold}.txt").write_text("".join(test))
    return root


@pytest.fixture
def tiny_model() -> Any:
    """A random R3D-18 of width 2 for clips of 32 pixels: features of 16 channels and 4 time slices."""
    from telltime.backbones.r3d import R3D18
    from telltime.checkpoints.model import ClipSpec, Model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(R3D18(width=2), ClipSpec(size=32), meta={"method": "none"}).eval()
