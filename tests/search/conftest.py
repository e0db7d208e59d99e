"""Puts the helpers beside the tests within reach of them and of the processes they start; footage to index."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of eight videos of four seconds, and in it a darker copy of one. Do not write to it."""
    from scenes import scene

    from telltime.media.write import write_video

    root = tmp_path_factory.mktemp("footage")
    for seed in range(8):
        write_video(root / f"scene-{seed}.avi", scene(seed), rate=25)
    write_video(root / "copies" / "darker-3.mp4", (scene(3) * 0.7).astype(np.uint8), rate=25)
    return root


@pytest.fixture
def own(footage: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    import shutil

    return Path(shutil.copytree(footage, tmp_path / "mine"))
