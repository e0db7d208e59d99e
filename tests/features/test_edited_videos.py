"""Pairs from edits of one's own videos, and a TCA run from the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from telltime.backbones.whitening import WhiteningError
from telltime.checkpoints.describer import load_describer
from telltime.cli.main import main
from telltime.clips.ragged import Ragged
from telltime.features.edited_rows import Editing, sequences
from telltime.features.edited_videos import look_alikes
from telltime.features.frame_store import FrameStore
from telltime.features.matched_whitening import fit_matched
from telltime.media.write import write_video

TINY = [
    "--set", "method.encoder.dim=16", "--set", "method.encoder.feedforward=16", "--set", "method.reader.dim=16",
    "--set", "method.reader.editing.versions=2", "--set", "method.reader.editing.most_frames=3",
    "--set", "batch_size=4", "--set", "epochs=2", "--set", "method.bank=32", "--set", "log_every=1",
    "--set", "method.reader.editing.edits=[mirror,grey,letterbox]", "--workers", "1",
]  # fmt: skip


def video(path: Path, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (np.roll(picture, 3 * i, 1) for i in range(12)), rate=4)
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(4):
        video(folder / f"{number}.mp4", number)
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def fit(*arguments: object) -> int:
    torch.set_num_threads(1)
    return main(["fit", "tca", *TINY, *map(str, arguments)])


@pytest.fixture(scope="module")
def run(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run"
    assert fit("--root", videos, "--out", out) == 0
    return out


def test_the_run_is_a_describer(run: Path, videos: Path) -> None:
    made = load_describer(run)
    found = made.describe(videos / "0.mp4")
    assert found.rows.shape[1] == found.vector.shape[0] == 16
    torch.testing.assert_close(found.rows.norm(dim=1), torch.ones(len(found.rows)))
    assert made.meta["method"] == "tca"
    assert made.meta["recipe"] == "tca"


def test_the_broken_video_is_accounted_for(run: Path) -> None:
    (line,) = (run / "dropped.jsonl").read_text().splitlines()
    assert json.loads(line)["id"] == "broken.mp4"


def test_descriptors_are_kept_version_by_version(run: Path) -> None:
    store = FrameStore.open(run / "descriptors")
    assert sorted(store.ids) == [f"{number}.mp4" for number in range(4)]
    rows = sequences(store, store.ids, 2)
    assert len(rows) == 12
    assert set(rows.lengths.tolist()) == {3}
    mirrored = torch.nn.functional.cosine_similarity(rows[0].float(), rows[1].float()).mean()
    other = torch.nn.functional.cosine_similarity(rows[0].float(), rows[3].float()).mean()
    assert mirrored > other


def test_a_stopped_run_goes_on_to_the_same_weights(run: Path, videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    cache = f"method.reader.cache={run / 'descriptors'}"
    assert fit("--root", videos, "--out", out, "--max-steps", 3, "--set", cache) == 0
    assert fit("--root", videos, "--out", out, "--max-steps", 100, "--set", cache, "--resume") == 0
    ours, theirs = ((path / "model" / "model.safetensors").read_bytes() for path in (out, run))
    assert ours == theirs


@pytest.mark.parametrize(
    ("count", "options", "said"),
    [
        (1, [], "1 readable videos; it takes 2"),
        (2, ["--set", "method.reader.dim=64", "--set", "method.encoder.dim=64"], "cannot give 64 directions"),
        (2, ["--set", "method.reader.editing.edits=[sepia]"], "edits are some of crop"),
        (2, ["--set", "method.reader.model=nonsense"], "there is no model"),
    ],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, count: int, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(count):
        video(tmp_path / "videos" / f"{number}.mp4", number)
    assert fit("--root", tmp_path / "videos", "--out", tmp_path / "run", *options) != 0
    assert said in capsys.readouterr().err


def test_other_edits_want_another_cache(run: Path, videos: Path, tmp_path: Path, capsys: Any) -> None:
    cache = f"method.reader.cache={run / 'descriptors'}"
    told = ["--set", cache, "--set", "method.reader.editing.both=0.9"]
    assert fit("--root", videos, "--out", tmp_path / "run", *told) != 0
    assert "give another folder" in capsys.readouterr().err


def test_matched_whitening_drops_what_edits_change() -> None:
    generator = torch.Generator().manual_seed(0)
    signal, nuisance = torch.randn(400, 4, generator=generator), 5 * torch.randn(2, 400, 4, generator=generator)
    first, second = (torch.cat([signal, each], 1) for each in nuisance)
    made = fit_matched([(first[:200], second[:200]), (first[200:], second[200:])], 4)

    def found(a: torch.Tensor, b: torch.Tensor) -> float:
        return (a @ b.T).argmax(1).eq(torch.arange(400)).float().mean().item()

    unit = torch.nn.functional.normalize
    assert found(made(first), made(second)) > 0.7 > 0.2 > found(unit(first, dim=1), unit(second, dim=1))
    with pytest.raises(WhiteningError, match="cannot give 9 directions"):
        fit_matched([(first[:2], second[:2])], 9)


def test_look_alikes_are_spared() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.nn.functional.normalize(torch.randn(12, 5, 8, generator=generator), dim=-1)
    base[7] = base[2]
    frames = [each for video in base for each in (video, video)]
    found = look_alikes(Ragged.of(frames), 2, 0.2)
    assert len(found) == 12
    assert found[2].tolist() == [7]
    assert found[7].tolist() == [2]
    assert found[0].tolist() == []


def test_impossible_editing_is_refused() -> None:
    with pytest.raises(ValueError, match="edits are some of"):
        Editing(edits=("sepia",))
    with pytest.raises(ValueError, match="at least 1"):
        Editing(versions=0)
