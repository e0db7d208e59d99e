"""TICL's head, losses and training against the published code."""

from typing import Any

import numpy as np
import pytest
import torch

from telltime.backbones.time_heads import CosineHead
from telltime.losses import clock as losses
from telltime.methods.ticl import TICL
from telltime.metrics import circular
from telltime.metrics import clock as metrics


def _head(golden: Any, seed: int, classes: int, double: bool = False, dropout: float = 0.0) -> CosineHead:
    head = CosineHead(classes, dropout=dropout)
    head.load_state_dict(golden.fill(head.state_dict(), seed))
    head = head.double() if double else head
    with torch.no_grad():
        head.logit.fill_(np.log(1 / 0.07))
    return head


def _digest(value: torch.Tensor) -> np.ndarray:
    """Norm, sum, largest, the first 64 values and 64 strided ones, as the golden README has it."""
    flat = value.detach().double().flatten()
    first, strided = torch.zeros(64, dtype=torch.float64), torch.zeros(64, dtype=torch.float64)
    first[: min(64, len(flat))] = flat[:64]
    if len(flat) >= 64:
        strided = flat[:: len(flat) // 64][:64]
    told = torch.stack([flat.norm(), flat.sum(), flat.abs().max()])
    return torch.cat([told, first, strided]).numpy()


@pytest.mark.golden_files("ticl_forward_c*.npz")
def test_forward(golden: Any, file: str) -> None:
    stored = golden.npz(file)
    head = _head(golden, int(stored["seed"]), int(stored["num_classes"])).eval()
    features, own = torch.from_numpy(stored["features"]), torch.from_numpy(stored["classes"])
    with torch.no_grad():
        found = {
            "image_embedding": head.embed(features),
            "time_embedding": head.time_encoder.gallery(),
            "gallery_logits": head(features),
            "gallery_probabilities": head(features).softmax(1),
            "pair_logits": head.pairs(features, own),
            "single_logits": head(features[:1]),
        }
    for name, value in found.items():
        np.testing.assert_allclose(value.numpy(), stored[name], atol=3e-6, err_msg=name)


@pytest.mark.parametrize("loss", ["in-batch", "class-count"])
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", ["ticl_train_step_f64.npz", "ticl_train_step.npz"])
def test_three_steps_of_adam(golden: Any, name: str, mode: str, loss: str) -> None:
    file = golden.npz(name)
    double = "f64" in name
    dtype = torch.float64 if double else torch.float32
    classes = file[f"{mode}_gallery_logits_after3"].shape[1]
    head = _head(golden, int(file["seed"]), classes, double).train(mode == "train")
    optimiser = torch.optim.Adam(head.parameters(), lr=5e-4, weight_decay=1e-6)
    features, own = torch.from_numpy(file["batch_features"]).to(dtype), torch.from_numpy(file["classes"])
    counts = torch.bincount(own, minlength=classes).to(dtype)
    near = {"rtol": 1e-9, "atol": 1e-12} if double else {"rtol": 1e-3, "atol": 5e-5}
    found = []
    for step in range(3):
        optimiser.zero_grad()
        if loss == "in-batch":
            logits = head.pairs(features, own)
            value = losses.in_batch(logits)
        else:
            scores = head(features, counts)
            logits, value = scores[:, own], losses.class_count(scores, own)
        value.backward()
        found.append(value.item())
        if step == 0:
            np.testing.assert_allclose(logits.detach().numpy(), file[f"{mode}_logits"], atol=1e-11 if double else 1e-4)
            for key, parameter in head.named_parameters():
                if double and f"{mode}_grad/{key}" in file:
                    grad = parameter.grad[:8] if parameter.ndim == 2 else parameter.grad  # type: ignore[index]
                    np.testing.assert_allclose(grad.numpy(), file[f"{mode}_grad/{key}"], atol=1e-12)
                if double:
                    assert parameter.grad is not None
                    np.testing.assert_allclose(
                        _digest(parameter.grad), file[f"{mode}_grad_digest/{key}"], atol=1e-10, err_msg=key
                    )
        optimiser.step()
        if step == 0 and mode == "train" and double:
            for key, buffer in head.named_buffers():
                np.testing.assert_allclose(buffer.numpy(), file[f"train_buffer_after1/{key}"], atol=1e-12, err_msg=key)
    np.testing.assert_allclose(found, file[f"{mode}_losses"], **near)
    with torch.no_grad():
        after = head.eval()(features)
    np.testing.assert_allclose(after.numpy(), file[f"{mode}_gallery_logits_after3"], atol=1e-10 if double else 1e-2)


@pytest.mark.parametrize("loss", ["in-batch", "class-count"])
@pytest.mark.parametrize("name", ["ticl_epochs_f64.npz", "ticl_epochs.npz"])
def test_epochs_in_the_published_mode(golden: Any, name: str, loss: str) -> None:
    """The first epoch in training mode, the rest not; the learning rate halves every second epoch."""
    file = golden.npz(name)
    double = "f64" in name
    dtype = torch.float64 if double else torch.float32
    classes, batch = file["final_gallery_logits"].shape[1], int(file["batch_size"])
    method = TICL(classes=classes, loss=loss, train_mode="first-epoch", arguments={"dropout": 0.0})
    method.clock = _head(golden, int(file["seed"]), classes, double)
    features, hours = torch.from_numpy(file["train_features"]).to(dtype), torch.from_numpy(file["train_hours"])
    tests, test_hours = torch.from_numpy(file["test_features"]).to(dtype), file["test_hours"]
    steps, epochs = len(features) // batch, len(file["val_top1_3_5"])
    optimiser = torch.optim.Adam(method.parameters(), lr=5e-4, weight_decay=1e-6)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.5)
    kept = metrics.kept_rows(len(tests), batch)
    found, flags, generator = [], [], torch.Generator()
    scores = torch.empty(0)
    for epoch in range(epochs):
        method.train()
        for step in range(steps):
            rows = slice(step * batch, (step + 1) * batch)
            given = {"features": features[rows], "hours": hours[rows], "epoch": torch.full((batch,), epoch)}
            optimiser.zero_grad()
            told = method(method.views(given, generator))
            told.loss.backward()
            optimiser.step()
            found.append(told.loss.item())
            flags.append(method.clock.training)
        schedule.step()
        with torch.no_grad():
            scores = method.eval().clock(tests)
        told_top = metrics.published(scores.numpy(), test_hours, drop_last=batch)
        near = 1e-12 if double else 2 / kept + 1e-9
        np.testing.assert_allclose(
            [told_top[k] for k in ("top1", "top3", "top5")], file["val_top1_3_5"][epoch], atol=near
        )
    np.testing.assert_allclose(found, file["losses"], atol=1e-11 if double else 2e-3)
    assert flags == file["module_training_flag"].tolist()
    if double:
        np.testing.assert_allclose(scores.numpy(), file["final_gallery_logits"], atol=1e-10)
        assert float(method.clock.logit.detach()) == pytest.approx(float(file["logit_after"]), abs=1e-13)
        predicted = scores[:kept].argmax(1).numpy()
        np.testing.assert_array_equal(predicted, file["final_test_predictions"])
        np.testing.assert_array_equal(circular.classes_of(test_hours[:kept], classes), file["final_test_targets"])


def test_checkpoint_keys(golden: Any) -> None:
    described = golden.json("ticl_checkpoint_keys.json")["num_classes"]
    for classes, keys in described.items():
        state = CosineHead(int(classes)).state_dict()
        assert {key: [list(value.shape), str(value.dtype).removeprefix("torch.")] for key, value in state.items()} == {
            key: [shape, dtype] for key, (shape, dtype) in keys.items()
        }
