"""The published latent optimisation, on its toy renderer with the small CLIP of the reference outputs."""

import math

import numpy as np
import pytest
import torch

from telltime.backbones.clip_vision import shape_from, timm_state, vision_part
from telltime.backbones.image_tower import ImageTower
from telltime.backbones.time_heads import CosineHead
from telltime.losses.time_editing import published_ticl
from telltime.methods.time_editing import EditWeights, TimeEditLoss, tower_scores
from telltime.tasks.edit_time import EditSettings, edit


@pytest.fixture(scope="module")
def stored(golden):
    return golden.npz("ticl_editing.npz")


@pytest.fixture(scope="module")
def head(golden, stored):
    """The head with as many classes as the file was made with, which it does not say."""
    features, hour = torch.from_numpy(stored["edit_features"]), torch.from_numpy(stored["hour"]).view(1)
    made = []
    known = [24, *map(int, golden.json("ticl_checkpoint_keys.json")["num_classes"])]
    known += [int(golden.npz(path.name)["num_classes"]) for path in golden.path(".").glob("ticl_forward_c*.npz")]
    for classes in sorted({count for count in known if count > int(hour)}):
        head = CosineHead(classes, features.shape[1])
        head.load_state_dict(golden.fill(head.state_dict(), int(stored["seed"])))
        with torch.no_grad():
            head.logit.fill_(math.log(1 / 0.07))
        head.eval().requires_grad_(False)
        with torch.no_grad():
            away = published_ticl(head(features), hour).numpy() - stored["ticl_feature_loss"]
        made.append((float(abs(away).max()), head))
    return min(made, key=lambda pair: pair[0])[1]


def test_the_pull_of_an_hour_and_its_gradient(stored, head):
    features = torch.from_numpy(stored["edit_features"]).requires_grad_()
    loss = published_ticl(head(features), torch.from_numpy(stored["hour"]).view(1))
    np.testing.assert_allclose(loss.detach(), stored["ticl_feature_loss"], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(features.grad, stored["ticl_feature_grad"], atol=1e-7)


@pytest.fixture(scope="module")
def scores(golden, stored, head):
    """Pictures to class scores, as the published program has it but for its mapping."""
    config, state = golden.mini_clip(int(stored["seed"]))
    tower = ImageTower("mini", "reference", shape=shape_from(config)._asdict(), pretrained=False)
    tower.network.load_state_dict(timm_state(vision_part(state)))
    return tower_scores(tower.requires_grad_(False), head)


def test_a_toy_latent_moves_as_published(golden, stored, scores):
    start = torch.from_numpy(stored["latent"])
    side = 64
    matrix = golden.tensor("toy_generator", (start[0].numel(), 3 * side * side), int(stored["seed"])) / 10

    def render(latents):
        return (latents.flatten(1) @ matrix).tanh().view(-1, 3, side, side)

    seen = []

    def watched(latents):
        seen.append(latents.detach().clone())
        return render(latents)

    weights = EditWeights(nll=0, ticl=1, directional=0)
    loss = TimeEditLoss(scores, weights=weights, mapping="published")
    hour = float(stored["hour"]) * 24 / scores(torch.zeros(1, 3, side, side)).shape[1]
    steps = int(stored["toy_steps"])
    edited = edit(watched, start, loss, [hour], EditSettings(steps, rate=float(stored["initial_lr"])))
    for key, name in (("ticl", "toy_ticl_loss"), ("l2", "toy_l2"), ("total", "toy_total")):
        np.testing.assert_allclose(edited.terms[key][:, 0], stored[name], rtol=2e-5, atol=2e-6, err_msg=name)
    after = [*(each[0] for each in seen[2:-1]), edited.latents[0]]
    assert len(after) == steps
    for step, latent in zip((0, 1, 4, steps - 1), stored["toy_latents"], strict=True):
        np.testing.assert_allclose(after[step], latent, atol=3e-5)
