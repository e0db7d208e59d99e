"""``telltime evaluate`` by dense protocols on generated footage with masks."""

import json

import pytest

from telltime.cli.main import main


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr("telltime.cli._reading.cores", lambda: 0)


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    from telltime.datasets.generated_masks import generate_masked

    return generate_masked(tmp_path_factory.mktemp("dense") / "davis", 3, 4, (48, 64), 2, threads=1)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    from telltime.datasets.generated_masks import generate_voc

    return generate_voc(tmp_path_factory.mktemp("dense") / "voc", 9, (48, 64), 2, threads=1)


def test_clustering_of_clips(footage, tmp_path, capsys):
    data = ["--data", "davis", "--root", str(footage), "--out", str(tmp_path), "--size", "64", "--masks", "32"]
    assert main(["evaluate", "clustering", "efficientnet-lite0", *data, "--per", "clip"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["task"] == "clustering"
    assert result["protocol"] == "paper per clip, hungarian"
    assert 0 < result["metrics"]["miou"] < 1
    assert result["model"]["input"] == "64x64"
    assert result["data"]["settings"]["masks"] == 32
    page = (tmp_path / "report.html").read_text()
    assert "Segmentations" in page
    assert "data:image/webp" in page
    assert "miou_foreground" in capsys.readouterr().out


def test_overclustering_of_pictures(pictures, tmp_path, capsys):
    data = ["--data", "voc", "--root", str(pictures), "--out", str(tmp_path), "--size", "64", "--seeds", "1"]
    arguments = ["--preset", "leopart", "--k", "12", "--split", "trainaug", "--json"]
    assert main(["evaluate", "overclustering", "efficientnet-lite0", *data, *arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["protocol"] == "leopart per dataset, precision"
    assert result["metrics"]["clusters"] == 12
    assert result["records"] == 6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clustering", "m", "--data", "davis"], "--root DIR"),
        (["linear", "m", "--data", "folder", "--root", "r", "--k", "3"], "--k goes with clustering, overclustering"),
        (["neighbours", "m", "--data", "folder", "--root", "r", "--size", "64"], "--size goes with dense tasks"),
        (["clustering", "m", "--data", "voc", "--root", "r", "--preset", "best"], "one of paper, leopart, published"),
        (["clustering", "m", "--data", "voc", "--root", "r", "--fraction", "0.5"], "--fraction goes with"),
        (["clustering", "m", "--data", "voc", "--root", "r", "--k", "0"], "less than 1"),
        (["clustering", "m", "--data", "voc", "--root", "r", "--per", "video"], "invalid choice"),
    ],
)
def test_options_that_do_not_go_together(arguments, said, capsys):
    assert main(["evaluate", *arguments, "--out", "o"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "model", "said"),
    [
        ("davis", "no-such-network", "no-such-network"),
        ("davsi", "efficientnet-lite0", "did you mean 'davis'"),
        ("davis2016", "efficientnet-lite0", ""),
    ],
)
def test_what_is_not_there(data, model, said, footage, tmp_path, capsys):
    root = footage if data != "davis2016" else tmp_path / "nothing"
    assert (
        main(["evaluate", "clustering", model, "--data", data, "--root", str(root), "--out", str(tmp_path / "o")]) == 1
    )
    told = capsys.readouterr().err
    assert said in told
    assert "unexpected" not in told


def test_videos_without_masks_cannot_be_measured(tiny_ucf, tmp_path, capsys):
    data = ["--data", "ucf101", "--root", str(tiny_ucf), "--out", str(tmp_path)]
    assert main(["evaluate", "clustering", "efficientnet-lite0", *data]) == 1
    assert "has masks" in capsys.readouterr().err
