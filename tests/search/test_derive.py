"""Whitening a collection by what edits change."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pixels import pixels

from telltime.search.derive import fit, wants_fit
from telltime.search.index import Index


def test_a_fit_depends_on_contents_alone(footage: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", pixels())
    index.add(footage)
    videos = index.list()
    first = fit(pixels(), videos)
    again = fit(pixels(), videos[::-1])
    assert first is not None
    assert again is not None
    assert torch.equal(first.components, again.components)
    assert first.components.shape[0] == 192
    assert not torch.equal(first.components, torch.zeros_like(first.components))


def test_videos_that_are_gone_are_passed_over(footage: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", pixels())
    index.add(footage)
    videos = index.list()
    gone = [replace(video, path=f"{tmp_path}/gone.avi") for video in videos]
    assert fit(pixels(), [videos[0], *gone[1:]]) is not None
    assert fit(pixels(), gone) is None


def test_a_fit_that_finds_nothing_leaves_the_index_as_it_was(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telltime.search import writing

    index = Index(tmp_path / "index", pixels())
    index.add(footage)
    before = index.about
    monkeypatch.setattr(writing, "fit", lambda *given: None)
    assert not index.add(footage, refit=True).refitted
    assert index.about.generation == before.generation
    assert index.search(footage / "scene-1.avi", top=1)[0].score > 0.99


def test_when_a_fit_is_wanted(footage: Path, tmp_path: Path) -> None:
    index = Index(tmp_path / "index", pixels())
    index.add(footage)
    about = replace(index.about, fits=True, whitening=None, fitted_on=0)
    assert not wants_fit(about, 10)
    assert wants_fit(about, 1000)
    assert not wants_fit(replace(about, fits=False), 1000)
