"""Retrieval evaluated from a store, an HDF5 file and videos, through the command line too."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from telltime.cli.main import main
from telltime.datasets.record import DatasetError
from telltime.datasets.retrieval import RetrievalSet
from telltime.features.frame_store import FrameStore
from telltime.features.hdf5 import export_hdf5
from telltime.media.write import write_video
from telltime.report.evaluation import write_report
from telltime.tasks.video_retrieval import SIMILARITIES, video_retrieval

DIM = 16


def rows(seed, length=8, near=None, noise=0.3):
    made = torch.randn(length, DIM, generator=torch.Generator().manual_seed(seed))
    return F.normalize(made if near is None else near + noise * made, dim=1)


@pytest.fixture
def given():
    related = {"q0": {"ND": ("copy0",), "IS": ("event0", "gone")}, "q1": {"ND": ("copy1",)}, "q2": {"ND": ("gone",)}}
    gallery = ("copy0", "copy1", "event0", "gone", "other", "q0")
    tasks = {"dsvr": ("ND",), "isvr": ("ND", "IS")}
    return RetrievalSet("toy", tuple(related), gallery, related, tasks, protocol="fivr", source="by hand")


@pytest.fixture
def store(tmp_path):
    store = FrameStore.create(tmp_path / "store", {"hdf5": "made up"}, "float32")
    first, second = rows(0), rows(1)
    for name, made in {
        "q0": first,
        "q1": second,
        "copy0": rows(2, near=first),
        "sub/copy1.mp4": rows(3, near=second),
        "event0": rows(4, near=first, noise=1.5),
        "other": rows(5, 30),
    }.items():
        store.add(name, "mark", made, np.arange(len(made)))
    return store


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_copies_are_found_and_what_is_missing_is_said(given, store, similarity, tmp_path):
    result = video_retrieval(None, given, store.folder, similarity=similarity)
    metrics = result.metrics
    assert metrics["map_dsvr_corrected"] == metrics["map_dsvr"] == 1
    assert metrics["map_dsvr_low"] == metrics["map_dsvr_high"] == 1
    assert metrics["map_isvr_counted"] < metrics["map_isvr"] <= 1
    assert metrics["coverage_queries"] == pytest.approx(2 / 3)
    assert metrics["coverage_positives"] == pytest.approx(3 / 5)
    assert all(np.isfinite(value) for value in metrics.values())
    assert result.details["lost_queries"] == ["q2"]
    assert result.details["per_query"]["q0"]["missing"] == ["gone"]
    assert any("2 of 3 queries" in note for note in result.details["notes"])
    page = write_report(result, tmp_path).read_text()
    assert "Precision and recall" in page
    assert "Query by query" in page


def test_hdf5_gives_what_the_store_gives(given, store, tmp_path):
    export_hdf5(store, tmp_path / "rows.hdf5")
    one, other = (video_retrieval(None, given, root) for root in (store.folder, tmp_path / "rows.hdf5"))
    assert one.metrics == pytest.approx(other.metrics)


def test_an_encoder_changes_the_rows_and_a_comparator_the_scores(given, store):
    class Encoded:
        encoder = torch.nn.Identity()
        dim = DIM

        def settings(self):
            return {}

        def digest(self):
            return "0"

        def encode(self, rows):
            flipped = rows.like(rows.rows.flip(0))
            return flipped, F.normalize(flipped.mean(), dim=1)

    result = video_retrieval(Encoded(), given, store.folder)
    assert result.metrics["map_dsvr"] < 1
    refined = video_retrieval(None, given, store.folder, similarity="chamfer", comparator=torch.nn.Identity())
    assert refined.metrics["map_dsvr"] == 1
    assert "comparator" in refined.protocol
    with pytest.raises(ValueError, match="comparator"):
        video_retrieval(None, given, store.folder, similarity="cosine", comparator=torch.nn.Identity())
    with pytest.raises(ValueError, match="similarity is one of"):
        video_retrieval(None, given, store.folder, similarity="symetric")
    Encoded.dim = 5
    with pytest.raises(DatasetError, match="takes 5"):
        video_retrieval(Encoded(), given, store.folder)


def test_roots_that_hold_nothing_of_the_set(given, store, tmp_path):
    with pytest.raises(DatasetError, match="there is no"):
        video_retrieval(None, given, tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="give a MODEL"):
        video_retrieval(None, given, tmp_path)
    store.remove(["q0", "q1"])
    with pytest.raises(DatasetError, match="names such as q0"):
        video_retrieval(None, given, store.folder)


def test_a_video_without_frames_is_left_out(given, store):
    store.add("event0", "mark", torch.zeros(0, DIM), [])
    result = video_retrieval(None, given, store.folder)
    assert result.data["gallery"] == 4
    assert result.metrics["map_dsvr"] == 1


# --- from videos, by the command line ---------------------------------------------------------------------------------


def scene(seed, frames=50, shift=0):
    rng = np.random.default_rng(seed)
    still = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(12, 0).repeat(12, 1)
    return [np.roll(still, 3 * t, axis=1) // (1 + shift) for t in range(frames)]


@pytest.fixture
def footage(tmp_path):
    root = tmp_path / "videos"
    (root / "more").mkdir(parents=True)
    for seed in range(3):
        write_video(root / f"q{seed}.mp4", scene(seed))
        write_video(root / "more" / f"c{seed}.mp4", scene(seed, shift=1))
    (root / "broken.mp4").write_bytes(b"no video")
    gallery = ["c0", "c1", "c2", "broken"]
    related = {f"q{i}": {"copy": [f"c{i}"]} for i in range(3)}
    listed = {"format": "telltime-retrieval", "version": 1, "name": "mine", "queries": list(related)}
    (tmp_path / "mine.json").write_text(json.dumps(listed | {"gallery": gallery, "related": related}))
    return root


def test_videos_by_the_command_line(footage, tmp_path, capsys):
    out, annotation = tmp_path / "out", tmp_path / "mine.json"
    arguments = ["evaluate", "video-retrieval", "efficientnet-lite0", "--data", "retrieval", "--root", str(footage)]
    arguments += ["--annotation", str(annotation), "--workers", "0", "--max-dropped", "0.5", "--out", str(out)]
    assert main(arguments) == 0
    result = json.loads((out / "result.json").read_text())
    assert result["metrics"]["map_related"] == 1
    assert result["dropped"] == 1
    assert result["data"]["annotation"].startswith("mine.json")
    assert "broken" in (out / "dropped.jsonl").read_text()
    assert json.loads((out / "queries.json").read_text())["queries"]["q0"]["average_precision"] == {"related": 1}
    assert "data:image/webp" in (out / "report.html").read_text()
    assert "map_related" in capsys.readouterr().out
    assert main([*arguments, "--json", "--similarity", "cosine"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["protocol"] == "ranking, cosine"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "ucf101", "--root", "x"], "is one of fivr-5k"),
        (["--data", "evve"], "--root DIR"),
        (["--data", "retrieval", "--root", "x"], "needs --annotation"),
        (["--data", "evve", "--root", "x", "--fraction", "0.5"], "--fraction"),
        (["--data", "evve", "--root", "x", "--similarity", "cosine", "--comparator", "f"], "--comparator"),
        (["--data", "evve", "--root", "x", "--similarity", "near"], "--similarity"),
    ],
)
def test_command_lines_that_do_not_fit(arguments, message, tmp_path, capsys):
    assert main(["evaluate", "video-retrieval", "features", *arguments, "--out", str(tmp_path / "o")]) == 2
    assert message in capsys.readouterr().err


def test_mistakes_are_one_sentence(footage, tmp_path, capsys):
    common = ["evaluate", "video-retrieval", "features", "--out", str(tmp_path / "o"), "--data", "retrieval"]
    assert main([*common, "--root", str(footage), "--annotation", str(tmp_path / "no.json")]) == 1
    assert "no annotation" in capsys.readouterr().err
    assert main([*common, "--root", str(footage), "--annotation", str(tmp_path / "mine.json")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"nothing")
    assert main([*common, "--root", str(bad), "--annotation", str(tmp_path / "mine.json")]) == 1
    assert "HDF5" in capsys.readouterr().err
    assert main(["evaluate", "linear", "x", "--similarity", "cosine", "--out", str(tmp_path / "o")]) == 2
