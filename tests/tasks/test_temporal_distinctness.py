import pytest
import torch

from telltime.checkpoints.model import ClipSpec, Model
from telltime.clips.policy import BadMedia
from telltime.datasets import load
from telltime.datasets.record import DatasetError
from telltime.media.write import write_video
from telltime.tasks.measuring import Reading
from telltime.tasks.temporal_distinctness import same_quarter, temporal_distinctness


@pytest.fixture
def test_split(tiny_ucf):
    return load("ucf101", tiny_ucf, "test")


def test_a_random_network_is_scored_the_same_twice_and_by_any_number_of_workers(test_split, tiny_model):
    first = temporal_distinctness(tiny_model, test_split)
    second = temporal_distinctness(tiny_model, test_split, Reading(workers=2, batch=64))
    assert first.metrics == second.metrics
    assert 0 <= first.metrics["temporal_distinctness"] <= 1
    assert first.details["chance"] == {"temporal_distinctness": 0.25}
    assert (first.records, first.dropped) == (6, 0)
    assert first.data["test"]["videos"] == 6
    shares = [share.metrics["temporal_distinctness"] for share in (first, second)]
    assert shares[0] * 48 == pytest.approx(round(shares[0] * 48))


class Clock(torch.nn.Module):
    """A backbone that reads the time off a video whose frames get brighter, whatever else is done to them."""

    channels = 2

    def __init__(self):
        super().__init__()
        self.zero = torch.nn.Parameter(torch.zeros(1))

    def forward(self, clips):
        angle = clips.mean((1, 2, 3, 4)) * 3
        return torch.stack([angle.cos(), angle.sin()], 1)[:, :, None, None, None] + self.zero


def test_a_clock_tells_quarters_apart(tmp_path, test_split):
    for record in test_split.records[:3]:
        path = tmp_path / record.id
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = (torch.full((48, 64, 3), 3 * t, dtype=torch.uint8).numpy() for t in range(80))
        write_video(path, frames)
    table = load("folder", tmp_path, "all")
    result = temporal_distinctness(Model(Clock(), ClipSpec(size=32, order="rgb")), table)
    assert result.metrics["temporal_distinctness"] > 0.5


def test_videos_without_time_score_nothing():
    assert not same_quarter(torch.ones(2, 2, 4, 8)).any()
    assert same_quarter(torch.eye(4).expand(3, 2, 4, 4)).all()
    swapped = torch.stack([torch.eye(4), torch.eye(4)[[1, 0, 2, 3]]])[None]
    assert same_quarter(swapped)[0].tolist() == [[False, False, True, True]] * 2


def test_short_videos_are_dropped_and_only_short_ones_an_error(tmp_path, tiny_model):
    write_video(tmp_path / "a.avi", (torch.full((48, 64, 3), t, dtype=torch.uint8).numpy() for t in range(20)))
    table = load("folder", tmp_path, "all")
    with pytest.raises(DatasetError, match="not one of 1"):
        temporal_distinctness(tiny_model, table, Reading(policy=BadMedia("skip", max_share=1.0)))
