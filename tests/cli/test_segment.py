"""``telltime segment`` as it is used: files good and bad, with and without a first mask."""

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from telltime.cli.main import main
from telltime.datasets.own_masks import masks_of
from telltime.media.mask import read_mask, write_mask
from telltime.media.write import write_video

H, W, T = 97, 131, 6


def drawn(frames: int = T) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A striped disc that goes its own way over ground that the camera pans over; odd sides."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(60, 170, (20, 30, 3), dtype=np.uint8))
    ground = np.asarray(coarse.resize((W + 60, H + 20), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:H, :W]
    for t in range(frames):
        picture = ground[5 : 5 + H, 3 * t : 3 * t + W].copy()
        disc = (y - 50) ** 2 + (x - 50 - 4 * t) ** 2 < 22**2
        stripes = np.where((x - 4 * t) // 5 % 2, 240, 20)[..., None] * np.array([1, 0.3, 0.2])
        picture[disc] = stripes[disc]
        yield picture, disc.astype(np.uint8)


@pytest.fixture(scope="module")
def davis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("davis")
    frames, masks = root / "JPEGImages/480p/disc", root / "Annotations/480p/disc"
    frames.mkdir(parents=True)
    for t, (picture, mask) in enumerate(drawn()):
        Image.fromarray(picture).save(frames / f"{t:05d}.jpg", quality=95)
        write_mask(masks / f"{t:05d}.png", mask)
    return root


def test_what_moves_is_found(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in davis.rglob("*") if path.is_file()}
    assert main(["segment", str(davis), "--out", str(tmp_path), "--side", "192"]) == 0
    assert "1 object in 6 frames" in capsys.readouterr().out
    told = json.loads((tmp_path / "segments.json").read_text())["videos"][0]
    assert told["frames"] == T
    assert told["scores"]["J"] > 0.5
    assert told["scores"]["J_objects"] > 0.5
    names = [path.name for path in sorted((tmp_path / "masks/disc").iterdir())]
    assert names == [f"{t:05d}.png" for t in range(T)]
    assert read_mask(tmp_path / "masks/disc/00003.png").shape == (H, W)
    with av.open(str(tmp_path / "disc.mp4")) as video:
        assert [(f.height, f.width) for f in video.decode(video=0)] == [(H + 1, W + 1)] * T
    with Image.open(tmp_path / "disc.gif") as gif:
        assert gif.n_frames == T
    page = (tmp_path / "report.html").read_text()
    assert "masks" in page
    assert "mean J" in page
    assert {path: path.read_bytes() for path in davis.rglob("*") if path.is_file()} == before


def test_bad_files_are_named_and_the_rest_is_done(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, out = tmp_path / "good.avi", tmp_path / "bad.mp4", tmp_path / "out"
    write_video(good, (picture for picture, _ in drawn(4)))
    bad.write_bytes(b"no video at all")
    given = [str(bad), str(good), str(tmp_path / "gone.mp4")]
    assert main(["segment", *given, "--k", "4", "--every", "2", "--side", "96", "--json", "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "bad.mp4" in told.err
    assert "gone.mp4: no such file" in told.err
    content = json.loads(told.out)
    assert [Path(error["path"]).name for error in content["errors"]] == ["gone.mp4", "bad.mp4"]
    (one,) = content["videos"]
    assert one["frames"] == 2
    assert set(one["labels"]) <= {1, 2, 3}
    assert one["labels"]
    assert one["scores"] == {}
    assert sorted(path.name for path in (out / "masks/good").iterdir()) == ["00000.png", "00002.png"]


def test_a_first_mask_is_carried(davis: Path, tmp_path: Path) -> None:
    mask = tmp_path / "first.png"
    first = next(drawn())[1]
    Image.fromarray(255 * first[:, :-1]).save(mask)  # black and white, and a pixel narrower
    video = davis / "JPEGImages/480p/disc"
    given = ["segment", str(video), "--mask", str(mask), "--side", "192", "--out", str(tmp_path / "out")]
    assert main(given) == 0
    told = json.loads((tmp_path / "out/segments.json").read_text())["videos"][0]
    assert told["labels"] == [1]
    assert told["scores"]["J"] > 0.6


def test_a_mask_without_an_object_says_so(davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_mask(tmp_path / "first.png", np.zeros((H, W), dtype=np.uint8))
    given = [str(davis / "JPEGImages/480p/disc"), "--mask", str(tmp_path / "first.png"), "--out", str(tmp_path / "o")]
    assert main(["segment", *given]) == 1
    assert "first.png: no object in this mask" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["a.mp4", "--k", "1"], "1 is less than 2"),
        (["a.mp4", "--k", "201"], "at most 200"),
        (["a.mp4", "--k", "3", "--mask", "b.png"], "--k is how many"),
        (["a.mp4", "b.mp4", "--mask", "b.png"], "--mask is of one video, 2 were given"),
    ],
)
def test_what_does_not_go_together(options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", *options, "--out", "nowhere"]) == 2
    assert said in capsys.readouterr().err


def test_unknown_models_are_told_before_any_work(
    davis: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["segment", str(davis), "--model", "no-such-thing", "--out", str(tmp_path / "o")]) == 1
    assert "no-such-thing" in capsys.readouterr().err


def test_masks_beside_videos_are_found(davis: Path, tmp_path: Path) -> None:
    found = masks_of(davis / "JPEGImages/480p/disc")
    assert found is not None
    assert sorted(found.files) == list(range(T))
    (tmp_path / "clip.mp4").touch()
    assert masks_of(tmp_path / "clip.mp4") is None
    write_mask(tmp_path / "masks/clip/7.png", np.full((4, 4), 255, dtype=np.uint8))
    found = masks_of(tmp_path / "clip.mp4")
    assert found is not None
    assert list(found.files) == [7]
    assert found.translate(np.array([255, 0], dtype=np.uint8)).tolist() == [1, 0]
