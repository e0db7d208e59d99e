"""``telltime evaluate`` of the dense probes, from pictures on disk to result and page."""

import json

import pytest

from telltime.cli import _probes
from telltime.cli.main import main
from telltime.datasets.generated_masks import generate_voc


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return generate_voc(tmp_path_factory.mktemp("voc") / "voc", pictures=9, size=(48, 64), classes=3)


def evaluate(task, pictures, out, *options, model="efficientnet-lite0"):
    return main(["evaluate", task, model, "--data", "voc", "--root", str(pictures), "--out", str(out), *options])


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("linear-segmentation", ("--preset", "leopart", "--epochs", "2", "--size", "64", "--masks", "32")),
        ("dense-retrieval", ("--size", "64", "--memory", "20", "--rounds", "1", "--neighbours", "3")),
    ],
)
def test_masks_are_told(pictures, tmp_path, task, options):
    assert evaluate(task, pictures, tmp_path, "--workers", "0", *options) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert 0 < result["metrics"]["miou"] <= 1
    assert result["task"] == task
    assert result["records"] == 3
    page = (tmp_path / "report.html").read_text()
    assert "Segmentations" in page
    assert "background" in page


def test_a_network_without_attention_is_told_at_once(pictures, tmp_path, capsys):
    assert evaluate("foreground", pictures, tmp_path, "--size", "64") == 1
    said = capsys.readouterr().err
    assert "efficientnet-lite0 cannot tell foreground" in said
    assert "transformer" in said


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        ("foreground", ("--preset", "plain"), "--preset of foreground is one of paper, corrected, leopart, not plain"),
        ("foreground", ("--memory", "5"), "--memory goes with dense-retrieval, not with foreground"),
        ("clustering", ("--rounds", "5"), "--rounds goes with dense-retrieval, not with clustering"),
        ("dense-retrieval", ("--k", "5"), "--k goes with"),
        ("dense-retrieval", ("--epochs", "5"), "--epochs goes with"),
    ],
)
def test_options_of_others_are_refused(pictures, tmp_path, capsys, task, options, said):
    assert evaluate(task, pictures, tmp_path, *options) == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_the_command_line_knows_the_presets_there_are():
    from telltime.tasks import dense_retrieval, foreground, linear_segmentation

    modules = {"linear-segmentation": linear_segmentation, "dense-retrieval": dense_retrieval, "foreground": foreground}
    assert {task: tuple(module.PRESETS) for task, module in modules.items()} == _probes.PRESETS
