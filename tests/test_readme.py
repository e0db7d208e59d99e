"""Every command the README shows runs as it stands, but for how long it trains."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from telltime.backbones.r3d import R3D18
from telltime.backbones.stylegan2 import StyleGAN2
from telltime.backbones.time_heads import CosineHead
from telltime.cli.main import main
from telltime.datasets.generated import generate
from telltime.datasets.generated_photos import generate_photos
from telltime.media.mask import write_mask
from telltime.methods.tclr import ProjectionHead

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```console\n(.*?)```", README.read_text(), re.S)
COMMANDS = [
    line[2:].split("   #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")
]
PYTHON = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)

TINY = "test_efficientnet@random"
"""A network of timm's own tests, in place of CLIP."""

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
    "fit ticl-photos": [
        *("--workers", "0", "--set", "epochs=2"),
        *("--set", "method.reader.views=1", "--set", "method.reader.least_steps=8"),
    ],
    "fit timet": [
        *("--max-steps", "2", "--workers", "0", "--set", "batch_size=2"),
        *("--set", "method.reader.size=64", "--set", "method.head=[16]"),
    ],
    "data generate-masks": ["--sequences", "4", "--frames", "4", "--size", "48", "64"],
    "segment": ["--every", "24", "--side", "64"],
    "evaluate clustering": ["--workers", "0", "--size", "64"],
    "evaluate propagation": ["--workers", "0", "--size", "64"],
    "evaluate dense-retrieval": ["--workers", "0", "--size", "64", "--rounds", "1"],
    "photos scan": ["--workers", "1"],
    "photos audit": ["--workers", "0"],
    "photos find": ["--workers", "0"],
    "fit ticl-toc": [
        *("--workers", "0", "--set", "epochs=1", "--set", "batch_size=8", "--set", "method.dim=256"),
        *("--set", f"method.reader.model={TINY}", "--set", "method.arguments.hidden=8"),
    ],
    "edit-time": ["--steps", "1"],
    "evaluate time-of-day runs/ticl-toc": ["--workers", "0", "--drop-last", "4"],
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
    write_mask(desk / "first.png", np.repeat(np.uint8([[0, 1]]), 32, 1).repeat(48, 0))
    generate_photos(desk / "drawn", photos=48, days=8, places=2, size=(96, 128))
    shutil.copytree(desk / "drawn" / "photos", desk / "MY_PHOTOS")
    shutil.copy(sorted((desk / "MY_PHOTOS").iterdir())[0], desk / "photo.jpg")
    backbone = R3D18(width=4)
    published = {f"module.0.{key}": value for key, value in backbone.state_dict().items()}
    published |= {f"module.1.{k}": v for k, v in ProjectionHead(backbone.channels).state_dict().items()}
    torch.save({"epoch": 1, "state_dict": published}, desk / "CHECKPOINT.pth")
    ticl(desk)
    return desk


def ticl(desk):
    """What TICL's commands need: TOC in small, scenes, a generator and a checkpoint."""
    rows = json.loads((desk / "drawn" / "metadata.json").read_text())
    shutil.copytree(desk / "MY_PHOTOS", desk / "TOC" / "photos")
    days = sorted({row["time"][:10] for row in rows})[::3]
    for split in ("train", "test"):
        part = [row for row in rows if (row["time"][:10] in days) == (split == "test")]
        (desk / "TOC" / f"{split}_metadata.json").write_text(json.dumps(part))
    shutil.copytree(desk / "MY_VIDEOS", desk / "YUP")
    for split, places in (("train", slice(0, None, 2)), ("test", slice(1, None, 2))):
        videos = sorted((desk / "YUP").rglob("*.avi"))[places]
        listed = [{"path": f"./{path.parent.name}/{path.name}", "label": path.parent.name} for path in videos]
        (desk / "YUP" / f"yup_{split}_data.json").write_text(json.dumps(listed))
    network = StyleGAN2(16, style_dim=8, mapping=2, channels=[8, 8, 6])
    torch.save({"g_ema": network.state_dict() | {"latent_avg": torch.zeros(8)}}, desk / "GENERATOR.pt")
    torch.save(CosineHead().state_dict(), desk / "TICL_24_adapter_v1_best.pth")


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
    assert (desk / "day" / "strip.png").exists()
    assert json.loads((desk / "models" / "ticl" / "config.json").read_text())["kind"] == "clock"
