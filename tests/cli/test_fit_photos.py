import json
import shutil

import pytest
import torch

from telltime.checkpoints.clock import load_clock
from telltime.cli.main import main
from telltime.datasets.generated_photos import generate_photos

TINY = [
    "--set", "method.reader.model=test_efficientnet@random", "--set", "method.reader.size=32",
    "--set", "method.reader.least_steps=6", "--set", "method.reader.views=1", "--set", "method.reader.folds=2",
    "--set", "epochs=3", "--set", "precision=fp32", "--workers", "0", "--seed", "3",
]  # fmt: skip


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return generate_photos(tmp_path_factory.mktemp("photos") / "made", 40, days=6, places=2, size=(48, 64), threads=1)


def fit(*arguments):
    torch.set_num_threads(1)
    return main(["fit", "ticl-photos", *TINY, *map(str, arguments)])


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    assert fit("--root", photos, "--out", out, "--calibrate", "--json") == 0
    return out


def test_a_folder_of_photos_becomes_a_clock(photos, whole):
    clock = load_clock(whole)
    assert clock.calibration is not None
    pictures = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    density = clock.density(clock.tower(pictures))
    assert density.shape == (2, 96)
    report = (whole / "report.html").read_text()
    assert "ticl-photos" in report


def test_resumed_it_is_the_same_to_the_bit(photos, whole, tmp_path):
    out = tmp_path / "run"
    assert fit("--root", photos, "--out", out, "--calibrate", "--max-steps", 8) == 0
    assert fit("--root", photos, "--out", out, "--calibrate", "--resume") == 0
    for name in ("model.safetensors", "config.json"):
        assert (out / "model" / name).read_bytes() == (whole / "model" / name).read_bytes(), name


def test_an_annotation_gives_the_times(photos, tmp_path, capsys):
    folder = tmp_path / "plain"
    shutil.copytree(photos / "photos", folder)
    rows = json.loads((photos / "metadata.json").read_text())
    half = [{**row, "split": "train" if number % 2 else "test"} for number, row in enumerate(rows)]
    (tmp_path / "times.json").write_text(json.dumps(half))
    more = ("--root", folder, "--annotation", tmp_path / "times.json")
    assert fit(*more, "--out", tmp_path / "run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["records"] == 20
    clock = load_clock(tmp_path / "run", tower=False)
    assert clock.calibration is None
    assert len(clock.meta["photos"]) == 20


def test_features_in_the_published_layout(tmp_path):
    h5py = pytest.importorskip("h5py")
    import numpy as np

    rng = np.random.default_rng(0)
    times = [f"2013-05-{1 + n % 20:02} {n % 24:02}:30:00.0" for n in range(64)]
    place = {"latitude": 0.0, "longitude": 0.0, "timezone": "Etc/GMT"}
    rows = [{"ground_path": f"{n}.jpg", "time": time, **place} for n, time in enumerate(times)]
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["features"] = rng.standard_normal((64, 768), dtype=np.float32)
        file.create_dataset("metadata", data=[json.dumps(row) for row in rows], dtype=h5py.string_dtype())
    torch.set_num_threads(1)
    how = [
        "--set",
        "batch_size=32",
        "--set",
        "method.reader.validation=0.3",
        "--max-steps",
        "2",
        "--calibrate",
        "--json",
    ]
    assert main(["fit", "ticl-toc", "--root", str(tmp_path / "train.h5"), "--out", str(tmp_path / "run"), *how]) == 0
    clock = load_clock(tmp_path / "run")
    assert not clock.has_tower
    assert clock.dim == 768
    assert clock.calibration is not None


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["tclr-small", "--calibrate"], "ticl-photos"),
        (["ticl-photos", "--set", "method.reader.modell=x"], "modell"),
        (["ticl-photos", "--set", "method.head=cosin"], "head"),
        (["ticl-photos", "--set", "method.reader.model=efficientnet-lite9"], "efficientnet-lite9"),
    ],
)
def test_what_is_wrong_is_named(photos, tmp_path, capsys, arguments, word):
    assert main(["fit", *arguments, "--root", str(photos), "--out", str(tmp_path / "run")]) == 1
    assert word in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_empty_folder(tmp_path, capsys):
    (tmp_path / "none").mkdir()
    assert fit("--root", tmp_path / "none", "--out", tmp_path / "run") == 1
    assert "no picture" in capsys.readouterr().err
