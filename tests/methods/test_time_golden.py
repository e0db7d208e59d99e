"""TIME against the reference outputs: scores, losses, gradients, and two steps of training, for every backbone."""

import json
import os
from typing import Any

import numpy as np
import pytest
import torch
from time_golden import NETWORKS, TERMS, adamw, case, losses
from torch import Tensor

from telltime.losses.temporal_tasks import class_loss, debias_loss


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_of_the_tasks_and_losses(name: str, golden: Any) -> None:
    one = case(golden, name)
    with torch.no_grad():
        tokens, seen = one.method._both(one.views.clips, one.views.places)
        whole = len(one.views.clips)
        order, flow = one.method.head(tokens[:whole])
        np.testing.assert_allclose(order, one.file["order_logits"], rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(flow, one.file["flow_logits"], rtol=1e-5, atol=2e-6)
        assert one.method.classifier is not None
        scores = one.method.classifier(seen[whole:])
        np.testing.assert_allclose(scores, one.file["shuffled_logits"], rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(losses(one), one.file["losses"], rtol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_every_term(name: str, golden: Any) -> None:
    one = case(golden, name)
    names = json.loads(str(one.file["param_names"]))
    clips = one.views.clips.requires_grad_()
    parameters = dict(one.method.named_parameters())
    probes = {
        key: golden.tensor(f"probe/{key}", tuple(one.published(parameters)[key].shape), one.config["seed"])
        for key in names
    }
    weights = [{}, {"order": 1}, {"flow": 1}, {"debias": 1}, {"order": 1, "flow": 1, "debias": 1}]
    alone: list[Tensor] = []
    for row, weight in enumerate(weights):
        found = torch.autograd.grad(one.weighed(**weight), [clips, *parameters.values()], allow_unused=True)
        of_input, *gradients = (
            torch.zeros_like(p) if g is None else g for p, g in zip((clips, *parameters.values()), found, strict=True)
        )
        alone = alone or gradients
        if 0 < row < len(TERMS):
            gradients = [g - of_class for g, of_class in zip(gradients, alone, strict=True)]
        by_name = one.published(dict(zip(parameters, gradients, strict=True)))
        norms = [by_name[key].norm().item() for key in names]
        dots = [(by_name[key] * probes[key]).sum().item() for key in names]
        np.testing.assert_allclose(norms, one.file["grad_norm"][row], rtol=1e-7, atol=1e-11)
        np.testing.assert_allclose(dots, one.file["grad_dot"][row], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(of_input[0].transpose(0, 1)[..., ::8, ::8], one.file["input_grad"], rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_two_steps_change_every_parameter_as_published(name: str, golden: Any) -> None:
    one = case(golden, name)
    names = json.loads(str(one.file["param_names"]))
    start = {key: value.clone() for key, value in one.method.state_dict().items()}
    optimiser = adamw(one.method)
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    grouped = one.published({key: torch.full_like(p, id(p) in decayed) for key, p in one.method.named_parameters()})
    assert [int(grouped[key].max()) for key in names] == one.file["decay_group"].tolist()
    for step, perm in enumerate(one.file["perms"]):
        optimiser.zero_grad()
        one.method(one.views._replace(places=torch.from_numpy(perm)[None])).loss.backward()
        optimiser.step()
        changes = one.published({key: value - start[key] for key, value in one.method.state_dict().items()})
        norms = np.array([changes[key].norm().item() for key in names])
        dots = np.array(
            [
                (changes[key] * golden.tensor(f"probe/{key}", tuple(changes[key].shape), one.config["seed"]))
                .sum()
                .item()
                for key in names
            ]
        )
        np.testing.assert_allclose(norms, one.file["delta_norm"][step], rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(dots, one.file["delta_dot"][step], rtol=1e-4, atol=1e-8)
    with torch.no_grad():
        np.testing.assert_allclose(losses(one), one.file["losses_after_two_steps"], rtol=1e-8)


def test_losses_of_scores_alone(golden: Any) -> None:
    file = golden.npz("time_eval.npz")
    config = json.loads(str(file["config"]))
    rows = torch.from_numpy(file["order"])
    scores = golden.tensor("time/view_scores", (len(rows), config["classes"]), config["seed"]).double()
    labels = golden.time_inputs.integers("time/view_labels", (config["videos"],), config["classes"], config["seed"])
    assert debias_loss(scores).item() == pytest.approx(float(file["debias"]), rel=1e-6)
    views = labels.repeat_interleave(config["spatial_crops"] * config["ensemble_views"])
    smoothed = class_loss(scores, views, 0.2).item()
    assert smoothed == pytest.approx(float(file["label_smoothing_ce"]), rel=1e-6)


@pytest.mark.skipif(not os.environ.get("TELLTIME_FULL"), reason="half a minute a network; asked for by TELLTIME_FULL=1")
@pytest.mark.parametrize("name", NETWORKS)
def test_full_size_losses(name: str, golden: Any) -> None:
    one = case(golden, name, "_full", torch.float32)
    with torch.no_grad():
        np.testing.assert_allclose(losses(one), one.file["losses"], rtol=1e-5)
        order, flow = one.method.head(one.method._both(one.views.clips, one.views.places)[0][:1])
    np.testing.assert_allclose(order, one.file["order_logits"], atol=2e-4)
    np.testing.assert_allclose(flow[:, :, ::5], one.file["flow_logits"], atol=2e-4)
