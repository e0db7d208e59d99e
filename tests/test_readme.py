"""Every command the README shows runs as it stands, but for how long it trains."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

from telltime.backbones.r3d import R3D18
from telltime.cli.main import main
from telltime.datasets.generated import generate
from telltime.datasets.generated_photos import generate_photos
from telltime.methods.tclr import ProjectionHead

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```console\n(.*?)```", README.read_text(), re.S)
COMMANDS = [
    line[2:].split("   #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")
]
PYTHON = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)

# What makes a command short enough for a test: a narrow network for a few steps. Nothing else about it is changed.
SHORTER = {
    "fit tclr-small": ["--max-steps", "2", "--workers", "0", "--set", "batch_size=4"],
    "fit tclr-ucf101": [
        *("--max-steps", "2", "--workers", "0", "--set", "batch_size=4"),
        *("--set", "method.backbone.width=4", "--set", "method.reader.size=48"),
    ],
    "fit tca": [
        *("--max-steps", "2", "--workers", "0", "--set", "method.reader.editing.versions=1"),
        *("--set", "method.reader.dim=16", "--set", "method.encoder.dim=16"),
    ],
    "fit ticl-photos": ["--workers", "0"],
    "photos scan": ["--workers", "1"],
    "photos audit": ["--workers", "0"],
    "photos find": ["--workers", "0"],
    "evaluate finetune": ["--epochs", "1", "--workers", "0"],
    "evaluate": ["--workers", "0"],
    "embed": ["--workers", "0"],
}


def shortened(command: str) -> list[str]:
    argv = shlex.split(command)[1:]
    fitting = [start for start in SHORTER if " ".join(argv).startswith(start)]
    return argv + (SHORTER[max(fitting, key=len)] if fitting else [])


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder in which everything exists that the README names."""
    desk = tmp_path_factory.mktemp("desk")
    generate(desk / "UCF101", classes=2, videos_per_class=6, groups=6, frames=72, size=(48, 64))
    videos = sorted((desk / "UCF101").rglob("*.avi"))
    for video in videos:
        (desk / "MY_VIDEOS" / video.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(video, desk / "MY_VIDEOS" / video.parent.name)
    shutil.copy(videos[0], desk / "clip.mp4")
    generate_photos(desk / "drawn", photos=48, days=8, places=2, size=(96, 128))
    shutil.copytree(desk / "drawn" / "photos", desk / "MY_PHOTOS")
    shutil.copy(sorted((desk / "MY_PHOTOS").iterdir())[0], desk / "photo.jpg")
    backbone = R3D18(width=4)
    published = {f"module.0.{key}": value for key, value in backbone.state_dict().items()}
    published |= {f"module.1.{k}": v for k, v in ProjectionHead(backbone.channels).state_dict().items()}
    torch.save({"epoch": 1, "state_dict": published}, desk / "CHECKPOINT.pth")
    return desk


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 8
    assert {shlex.split(command)[0] for command in COMMANDS} == {"make", "telltime"}


def test_make_commands_are_targets_of_the_makefile():
    makefile = (README.parent / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert {shlex.split(c)[1] for c in COMMANDS if c.startswith("make ")} <= targets


def test_every_command_runs_in_order(desk, monkeypatch, capsys):
    monkeypatch.chdir(desk)
    for command in COMMANDS:
        if command.startswith("telltime "):
            code = main(shortened(command))
            assert code == 0, f"{command}: {capsys.readouterr().err}"
    for block in PYTHON:
        exec(compile(block, "README.md", "exec"), {})
    assert (desk / "my-model" / "model.safetensors").exists()
    assert (desk / "results" / "neighbours" / "report.html").exists()
    assert (desk / "hits.html").exists()
