"""Every command the README shows runs as it stands, but for how long it trains."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```console\n(.*?)```", README.read_text(), re.S)
COMMANDS = [
    line[2:].split("   #")[0].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("$ ")
]
PYTHON = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)

# What makes each verb short enough for a test; nothing else about a command is changed.
SHORTER = {
    "fit": ["--max-steps", "2", "--workers", "0", "--set", "batch_size=4"],
    "finetune": ["--epochs", "1"],
    "linear": ["--workers", "0"],
}


def make_verbs() -> set[str]:
    makefile = (README.parent / "Makefile").read_text()
    return set(re.findall(r"^([a-z]+):", makefile, re.M))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, golden) -> Path:
    """A folder in which everything the README names exists."""
    from telltime.datasets.generated import generate

    desk = tmp_path_factory.mktemp("desk")
    generate(desk / "UCF101", classes=2, videos_per_class=6, frames=72, size=(48, 64), seed=0)
    videos = sorted((desk / "UCF101").rglob("*.avi"))
    for video in videos:
        folder = desk / "MY_VIDEOS" / video.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(video, folder)
    shutil.copy(videos[0], desk / "clip.mp4")
    return desk


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 8
    assert {shlex.split(c)[0] for c in COMMANDS} == {"make", "telltime"}


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_make_commands_exist(command):
    assert shlex.split(command)[1] in make_verbs()
