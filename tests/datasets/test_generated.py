"""Generated footage: what it promises of labels, parts, single frames and bytes."""

import json

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from telltime import datasets
from telltime.datasets.generated import generate, load
from telltime.datasets.record import DatasetError
from telltime.media.video import Video

SMALL = {"classes": 3, "videos_per_class": 6, "groups": 3, "frames": 64, "size": (32, 40)}


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("footage") / "a", **SMALL, tie=1.0, seed=3)


def pixels(record):
    video = Video(record.path)
    return video.frames(range(video.probe().frames)).pixels.float()


def test_layout_is_ucf101s_and_reads_as_such(footage):
    for fold in (1, 2, 3):
        train, test = (datasets.load("ucf101", footage, split, fold) for split in ("train", "test"))
        assert len(train) + len(test) == 18
        assert not {r.group for r in train.records} & {r.group for r in test.records}
        assert set(test.labels()) == set(train.labels()) == {0, 1, 2}
    probe = Video(train.records[0].path).probe()
    assert (probe.frames, probe.height, probe.width) == (64, 32, 40)


def test_every_group_is_tested_in_some_fold(footage):
    tested = {r.id for fold in (1, 2, 3) for r in load(footage, "test", fold).records}
    assert len(tested) == 18


def test_same_seed_same_bytes_other_seed_other_pixels(footage, tmp_path):
    again = generate(tmp_path / "again", **SMALL, tie=1.0, seed=3, threads=1)
    other = generate(tmp_path / "other", **SMALL, tie=1.0, seed=4)
    for path in sorted(p.relative_to(footage) for p in footage.rglob("*") if p.is_file()):
        assert (again / path).read_bytes() == (footage / path).read_bytes(), path
    video = next(p.relative_to(footage) for p in footage.rglob("*.avi"))
    assert (other / video).read_bytes() != (footage / video).read_bytes()


def test_tie_says_how_far_look_and_motion_go_together(footage, tmp_path):
    def information(root, split="all"):
        look, motion = (load(root, split, annotation=axis).labels() for axis in ("look", "motion"))
        return mutual_info_score(look, motion)

    assert information(footage) == pytest.approx(np.log(3))
    tiny = {"classes": 3, "videos_per_class": 60, "groups": 3, "frames": 2, "size": (8, 8)}
    assert information(generate(tmp_path / "free", **tiny, tie=0.0)) < 0.05
    mixed = generate(tmp_path / "mixed", **tiny, tie=1.0, test_tie=0.0)
    assert information(mixed, "train") == pytest.approx(np.log(3))
    assert information(mixed, "test") < 0.15


def test_quarters_of_a_video_differ_more_than_neighbouring_frames(footage):
    for record in load(footage, "all").records[:6]:
        frames = pixels(record)
        quarters = frames.unflatten(0, (4, 16)).mean(1)
        between = (quarters[1:] - quarters[:-1]).abs().mean()
        within = (frames[1:] - frames[:-1]).abs().mean()
        assert between > 2 * within


def test_a_single_frame_shows_the_look_but_not_the_motion(tmp_path):
    """A linear model on the spectrum of single frames tells looks well above chance, motions not."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    root = generate(
        tmp_path / "free", classes=4, videos_per_class=30, groups=3, frames=24, size=(40, 40), tie=0.0, seed=1
    )

    def seen(record):
        grey = Video(record.path).frames([12]).pixels[0].float().mean(0).numpy()
        spectrum = np.abs(np.fft.fft2(grey - grey.mean()))[:20, :20]
        return np.log1p(spectrum).ravel()

    scores = {}
    for axis in ("look", "motion"):
        train, test = (load(root, split, annotation=axis) for split in ("train", "test"))
        x, y = (np.stack([seen(r) for r in table.records]) for table in (train, test))
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(C=0.01, max_iter=500).fit(scaler.transform(x), train.labels())
        scores[axis] = model.score(scaler.transform(y), test.labels())
    assert scores["look"] > 0.6
    assert scores["motion"] < 0.45


def test_labels_json_tells_both_labels(footage):
    told = json.loads((footage / "labels.json").read_text())
    table = load(footage, "all", annotation="motion")
    for record in table.records:
        name = "/".join(record.id.split("/")[-2:])
        assert told["videos"][name]["motion"] == table.classes[record.label]
        assert told["videos"][name]["look"] == record.path.parent.name


def test_other_peoples_folders_are_left_alone(tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(DatasetError, match="holds other files"):
        generate(tmp_path, **SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["diary.txt"]
    with pytest.raises(DatasetError, match="no generated footage"):
        load(tmp_path)
    (tmp_path / "labels.json").write_text('["not ours"]')
    with pytest.raises(DatasetError):
        generate(tmp_path, **SMALL)


@pytest.mark.parametrize("wrong", [{"classes": 0}, {"classes": 13}, {"tie": 1.5}, {"frames": 0}, {"size": (0, 8)}])
def test_impossible_footage_is_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"must be|is a probability"):
        generate(tmp_path / "x", **(SMALL | wrong))
    assert not (tmp_path / "x").exists()


def test_fewer_videos_than_groups_still_gives_both_splits(tmp_path):
    root = generate(tmp_path / "few", classes=2, videos_per_class=3, groups=12, frames=4, size=(16, 16))
    assert (len(load(root, "train")), len(load(root, "test"))) == (4, 2)


def test_an_unknown_axis_is_named(footage):
    with pytest.raises(DatasetError, match="look or motion"):
        load(footage, annotation="colour")
