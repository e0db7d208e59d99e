"""The published loss with its gradients in four modes, and a short published training."""

from typing import Any

import numpy as np
import pytest
import torch
from timet_golden import clips, make, ours

from telltime.methods.timet import TimeT
from telltime.training.optim import parameter_groups, scale_rates
from telltime.training.schedules import At, Cosine

MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "teacher": {"teacher": "ema"},
    "queue": {"queue": 64},
    "mask": {"foreground": True},
}


def seen(method: TimeT) -> dict[str, torch.Tensor]:
    """What passes through a method: filled as it runs."""
    found: dict[str, torch.Tensor] = {}
    assigned, carried, scores = method._assigned, method._carried, method.scores

    def keep(name: str, value: Any) -> Any:
        found[name] = value.detach()
        return value

    method._assigned = lambda *given: keep("q", assigned(*given))  # type: ignore[method-assign]
    method._carried = lambda *given: keep("labels", carried(*given))  # type: ignore[method-assign]
    method.scores = lambda *given: keep("scores", scores(*given))  # type: ignore[method-assign]
    return found


@pytest.mark.parametrize("mode", MODES)
def test_loss_and_gradients(golden: Any, mode: str) -> None:
    file = golden.npz(f"timet_loss_{mode}.npz")
    how = MODES[mode] | ({"queue": len(file["queue_after"])} if mode == "queue" else {})
    method = make(golden, file, **how)
    seed = int(file["seed"])
    if method.queue is not None:
        method.queue.rows.copy_(golden.tensor("timet.loss.queue", tuple(method.queue.rows.shape), seed))
        torch.manual_seed(seed)
    found = seen(method)
    loss, _ = method(clips(golden, "timet.loss", file))
    loss.backward()
    np.testing.assert_allclose(loss.item(), file["loss"], atol=5e-6)
    np.testing.assert_array_equal(found["labels"], file["targets"])
    np.testing.assert_allclose(found["q"].flatten(2).mT, file["source_q"], atol=2e-5)
    if mode != "mask":
        np.testing.assert_allclose(found["scores"], file["target_scores"].reshape(found["scores"].shape), atol=5e-6)
    named = dict(method.named_parameters())
    expected = {ours(key[5:]): value for key, value in file.items() if key.startswith("grad/")}
    assert {key for key, parameter in named.items() if parameter.grad is not None} == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(named[key].grad, value, atol=5e-6 * np.abs(value).max(), rtol=0, err_msg=key)
    if method.queue is not None:
        np.testing.assert_allclose(method.queue.rows, file["queue_after"], atol=2e-6)


def test_foreground(golden: Any) -> None:
    file = golden.npz("timet_loss_mask.npz")
    method = make(golden, file, foreground=True)
    images = clips(golden, "timet.loss", file).flatten(0, 1)
    with torch.no_grad():
        _, mask = method._seen(method.encoder.frozen(images))
    np.testing.assert_array_equal(mask, file["foreground"][:, 0])


def test_a_published_training(golden: Any) -> None:
    file = golden.npz("timet_train.npz")
    steps, (epochs, each) = len(file["losses"]), file["config"].tolist()[4:6]
    method = make(golden, file, teacher="published")
    if method.teacher is not None:  # it begins as the student
        student = method.state_dict()
        method.teacher.load_state_dict({key: student[key] for key in method.teacher.state_dict()})
    method.set_length(epochs * each)
    groups = parameter_groups(method, decay_norms=False, rates={"encoder.": 0.1})
    optimiser = scale_rates(torch.optim.AdamW(groups, lr=file["lrs"][0, 0], weight_decay=file["weight_decays"][0, 0]))
    base = [(group["lr"], group["weight_decay"]) for group in optimiser.param_groups]
    schedule = Cosine(decay=0.4)
    published = {True: (file["lrs"][:, 0], file["lrs"][:, 4]), False: (file["weight_decays"][:, 0],) * 2}
    for step in range(steps):
        at = At(step // each, step % each, each, epochs)
        for group, (rate, decay) in zip(optimiser.param_groups, base, strict=True):
            group["lr"], group["weight_decay"] = schedule.lr(rate, at), schedule.weight_decay(decay, at)
            slow = "rate" in group
            np.testing.assert_allclose(group["lr"], published[True][slow][step], rtol=1e-9)
            if decay:
                np.testing.assert_allclose(group["weight_decay"], published[False][slow][step], rtol=1e-9)
            else:
                assert group["weight_decay"] == 0
        loss, _ = method(clips(golden, f"timet.train.{step}", file))
        np.testing.assert_allclose(loss.item(), file["losses"][step], atol=2e-4, err_msg=f"step {step}")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        method.after_step()
        following = min(step + 1, len(file["momentum"]) - 1)
        np.testing.assert_allclose(method._momentum(), file["momentum"][following], atol=1e-6)
    state = method.state_dict()
    for key, value in file.items():
        if key.startswith("after/"):
            np.testing.assert_allclose(state[ours(key[6:])], value, atol=3e-5, err_msg=key)
