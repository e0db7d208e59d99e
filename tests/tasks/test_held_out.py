"""Validation of dense methods on drawn footage whose labels are known."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from telltime.datasets import load
from telltime.datasets.generated_masks import generate_masked
from telltime.methods.method import Embedding, Step
from telltime.tasks.held_out import HeldOutClusters


class Colours(nn.Module):
    """A method whose features are the colours of places, or noise that no mirror image repeats."""

    def __init__(self, noisy: bool = False) -> None:
        super().__init__()
        from telltime.views.timet_reader import TimeTReader

        self.noisy, self.reader = noisy, TimeTReader(size=32)

    def views(self, batch: dict[str, Tensor], generator: torch.Generator) -> Tensor:
        return batch["clips"].float()

    def forward(self, views: Tensor) -> Step:
        return Step(views.mean() / 255, {})

    def embed(self, clip: Tensor) -> Embedding:
        grid = nn.functional.avg_pool2d(clip.flatten(0, 0)[0].transpose(0, 1), 8)
        if self.noisy:
            grid = torch.rand(grid.shape, generator=torch.Generator().manual_seed(int(clip[0, 0, 0, 0, 0] * 1e6)))
        grid = grid.transpose(0, 1)[None]
        return Embedding(grid, grid.mean((3, 4)), grid.mean((2, 3, 4)))


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    root = generate_masked(tmp_path_factory.mktemp("drawn"), sequences=3, frames=5, size=(48, 64), objects=2, seed=0)
    return load("davis", root, "all").records


def score(by, records, method=None, **changed):
    validator = HeldOutClusters(by, size=64, frames=3, clusters=3, **changed)
    return validator(method or Colours(), records, 0, torch.device("cpu"))["score"]


def test_features_of_what_is_seen_are_found_again_in_the_mirror(footage):
    assert score("clusters", footage) > 0.5
    assert score("clusters", footage, Colours(noisy=True)) < 0.3
    assert score("clusters", footage, most=1) == score("clusters", footage[:1])


def test_labels_are_asked_only_when_told(footage):
    assert score("labels", footage, Colours(noisy=True)) < score("labels", footage) <= 1
    bare = tuple(type(r)(r.id, r.path) for r in footage)
    assert score("clusters", bare) == score("clusters", footage)
    with pytest.raises(ValueError, match="none of 3 held-out videos has masks"):
        score("labels", bare)


def test_the_loss_is_of_the_same_clips_each_time(footage):
    assert score("loss", footage) == score("loss", footage)
    assert -1 < score("loss", footage) < 0


def test_clips_that_cannot_be_read_are_left_out(footage, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    bad = type(footage[0])("bad", tmp_path / "bad.mp4")
    assert score("clusters", (bad, *footage)) == score("clusters", footage)
    for by in ("clusters", "loss"):
        with pytest.raises(ValueError, match="none of 1 held-out videos could be read"):
            score(by, (bad,))


def test_settings_that_mean_nothing():
    for wrong in ({"by": "luck"}, {"clusters": 1}, {"frames": 0}):
        with pytest.raises(ValueError, match=r"by is|are 2 or more"):
            HeldOutClusters(**wrong)
    assert np.isfinite(HeldOutClusters().share)
