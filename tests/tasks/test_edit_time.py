"""Editing with a renderer and a clock small enough to know the answer: brightness by the hour."""

import json
import time

import numpy as np
import pytest
import torch

from telltime.methods.time_editing import EditWeights, TimeEditLoss, fitted
from telltime.metrics.circular import circular_median, distance
from telltime.report.day_strip import day_strip
from telltime.tasks.edit_time import EditSettings, edit, summary

HOURS = [3.0, 9.0, 21.0]


def render(latents):
    """Two numbers of the latent are the tints of a picture of 8 x 8."""
    tint = latents.flatten(1)[:, :2].tanh()
    third = torch.zeros_like(tint[:, :1])
    return torch.cat([tint, third], 1)[:, :, None, None].expand(-1, -1, 8, 8)


def clock(pictures):
    """Tints are the cosine and the sine of the time."""
    tint = 2 * pictures.mean((2, 3))[:, :2] - 1
    turn = (torch.arange(24) + 0.5) / 24 * 2 * torch.pi
    return 4 * tint @ torch.stack([turn.cos(), turn.sin()])


SETTINGS = EditSettings(60)


def moved(hours=HOURS, settings=SETTINGS, **options):
    loss = TimeEditLoss(clock, weights=EditWeights(l2=1e-4), **options)
    return edit(render, torch.full((1, 3, 4), 0.1), loss, hours, settings)


def density(pictures):
    return clock(pictures.float() / 255).softmax(1)


def test_each_hour_is_reached_from_one_latent():
    edited = moved()
    told = circular_median(density(edited.pictures))
    assert distance(told, HOURS).max() < 0.7
    assert edited.latents.shape == (3, 3, 4)
    assert edited.pictures.dtype == torch.uint8
    assert edited.before.shape == (3, 8, 8)
    assert (edited.terms["nll"][-1] < edited.terms["nll"][0] - 0.5).all()
    torch.testing.assert_close(edited.terms["total"][0], edited.terms["total"][1])  # the first step has no rate
    redrawn = ((render(edited.latents) + 1) * 127.5).round()
    assert (edited.pictures.float() - redrawn).abs().max() <= 1


def test_an_hour_does_not_know_of_the_others():
    together, alone = moved(), moved([9.0])
    torch.testing.assert_close(together.latents[1:2], alone.latents)
    by_two = moved(settings=EditSettings(60, together=2))
    torch.testing.assert_close(by_two.latents, together.latents)
    torch.testing.assert_close(by_two.terms["total"], together.terms["total"])


def test_it_ends_when_nothing_is_gained():
    short = moved(settings=EditSettings(400, patience=15))
    assert len(short.terms["total"]) < 400
    assert distance(circular_median(density(short.pictures)), HOURS).max() < 1


def test_words_pull_where_there_is_no_clock():
    def describe(pictures):
        return pictures.mean((2, 3)) + 0.1

    words = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    loss = TimeEditLoss(describe=describe, words=words, weights=EditWeights(l2=1e-4))
    edited = edit(render, torch.full((1, 1, 4), 0.1), loss, HOURS, EditSettings(60, together=1))
    tints = edited.pictures.float().mean((2, 3))
    assert tints[0, 0] > tints[0, 1]
    assert tints[1, 0] < tints[1, 1]
    assert set(edited.terms) == {"l2", "directional", "total"}
    assert torch.equal(loss.words, words)


def test_other_terms_hold_it():
    held = moved(others={"same": (50.0, lambda now, before: (now - before).square().mean((1, 2, 3)))})
    free = moved()
    assert (held.pictures.float() - held.before).abs().mean() < (free.pictures.float() - free.before).abs().mean() / 2
    assert "same" in held.terms


def test_pictures_are_brought_to_what_networks_expect():
    seen = []

    def watch(pictures):
        seen.append(pictures.detach())
        return clock(pictures)

    for mapping in ("right", "published"):
        loss = TimeEditLoss(watch, mapping=mapping)
        edit(lambda z: render(z) * 0 - 1, torch.zeros(1, 1, 4), loss, [3.0], EditSettings(1))
    assert seen[0].max() == 0
    assert seen[1].max() == -1


@pytest.mark.parametrize("hours", [[], [24.0], [-1.0]])
def test_hours_outside_the_day_are_refused(hours):
    with pytest.raises(ValueError, match="hours lie in 0 to 24"):
        moved(hours)


def test_what_cannot_be_edited_is_said():
    with pytest.raises(ValueError, match="one latent"):
        edit(render, torch.zeros(2, 1, 4), TimeEditLoss(clock), HOURS)
    with pytest.raises(ValueError, match="needs a clock"):
        TimeEditLoss()
    with pytest.raises(ValueError, match="mapping is one of"):
        TimeEditLoss(clock, mapping="wrong")
    with pytest.raises(RuntimeError, match="begin"):
        TimeEditLoss(clock)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 4), torch.zeros(1))


def test_the_result_says_how_far_off_the_clock_finds_them():
    edited = moved()
    densities = density(torch.cat([edited.before[None], edited.pictures])).numpy()
    result = summary(edited, densities, model={"name": "toy"}, data={}, started=time.monotonic(), protocol="toy")
    assert result.metrics["mae_hours_after"] < 0.7 < result.metrics["mae_hours_before"]
    assert [row["hour"] for row in result.data["hours"]] == HOURS
    json.dumps(result.to_json())


@pytest.mark.parametrize(("crop", "shape"), [(None, (40, 60)), (0.875, (40, 60)), (1.0, (90, 33)), (1.0, (32, 32))])
def test_pictures_are_cut_as_the_tower_would(crop, shape):
    class Tower:
        size, resampling = 32, "bilinear"

    tower = Tower()
    tower.crop = crop
    pictures = torch.rand(2, 3, *shape, requires_grad=True)
    found = fitted(tower, pictures)
    assert found.shape == (2, 3, 32, 32)
    found.sum().backward()
    assert pictures.grad.abs().sum() > 0
    if shape == (32, 32):
        assert torch.equal(found, pictures)


def test_a_strip_shows_every_picture_with_its_time():
    pictures = np.zeros((3, 3, 300, 200), np.uint8)
    pictures[1, 0] = 200
    strip = np.asarray(day_strip(pictures, ["start", "06:00", "19:30"], height=150))
    assert strip.shape[0] > 150
    assert strip.shape[1] > 3 * 100
    assert (strip[-20, strip.shape[1] // 2] == [200, 0, 0]).all()
    assert day_strip(pictures[:, :, :8, :8], ["a", "b", "c"]).size[1] > 100
    with pytest.raises(ValueError, match="a caption each"):
        day_strip(pictures, ["a"])
