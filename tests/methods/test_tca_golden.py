"""Five published training steps, and the bank after keys of two processes."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from telltime.backbones.tca_encoder import TCAEncoder, packed
from telltime.checkpoints.published_tca import tca_parts
from telltime.methods.bank import NegativeBank
from telltime.methods.tca import TCA, Views

NAME = "tca_moco.npz"
LEGACY: dict[str, Any] = {"loss": "circle-legacy", "margin": 0.25, "gamma": 16.0}
CASES: dict[str, dict[str, Any]] = {
    "sgd_m0": LEGACY,
    "sgd_m09": {"loss": "info-nce", "momentum": 0.9, "temperature": 0.07},
    "sgd_fixed": LEGACY | {"loss": "circle"},
    "adam_m0": LEGACY,
}


def views(golden: Any, expected: dict[str, np.ndarray], step: int) -> Views:
    dim, batch, negatives, frames = expected["meta"].tolist()[:4]
    parts = []
    for kind, count in (("a", batch), ("p", batch), ("n", batch * negatives)):
        lengths = torch.from_numpy(expected[f"len_{kind}{step}"])
        parts.append(packed(golden.tca_clips(f"moco_{kind}{step}", count, dim, frames, lengths), lengths))
    return Views(*parts, torch.arange(batch)[:, None], torch.arange(batch, batch * (1 + negatives)))


def method(golden: Any, expected: dict[str, np.ndarray], case: str) -> TCA:
    dim, size = expected["meta"][0], expected["meta"][4]
    made = TCA(TCAEncoder(int(dim), dropout=0.0), bank=int(size), **CASES[case])
    seed = golden.tca_seed
    made.encoder.load_state_dict(golden.fill(made.encoder.state_dict(), seed + 4))
    made.bank.keys.copy_(F.normalize(golden.tensor("moco_queue", (int(dim), int(size)), seed), dim=0).T)
    if made.key_encoder is not None:
        made.key_encoder.load_state_dict(golden.fill(made.encoder.state_dict(), seed + 5))
        made.after_step()  # the published second encoder follows before it encodes, not after the step
    return made.train()


@pytest.mark.filterwarnings("ignore:each step replaces")
@pytest.mark.parametrize("case", CASES)
def test_five_steps(golden: Any, case: str) -> None:
    expected = golden.npz(NAME)
    steps, dim = int(expected["meta"][5]), int(expected["meta"][0])
    made = method(golden, expected, case)
    rate = {"lr": 1e-3, "weight_decay": 1e-4} if case == "adam_m0" else {"lr": 0.02, "weight_decay": 1e-4}
    parameters = made.encoder.parameters()
    optimiser = (
        torch.optim.Adam(parameters, **rate) if case == "adam_m0" else torch.optim.SGD(parameters, momentum=0.9, **rate)
    )
    close = {"atol": 1e-3, "rtol": 1e-3} if case == "adam_m0" else {"atol": 2e-5, "rtol": 1e-4}
    for step in range(steps):
        batch = views(golden, expected, step)
        with torch.no_grad():
            keys = made.key_encoder or made.encoder
            logits, valid = made.logits(made.encoder(batch.anchors)[0], keys(batch.positives)[0], batch.related)
        assert valid.all()
        np.testing.assert_allclose(logits, expected[f"{case}_logits{step}"], **close)
        loss, _ = made(batch)
        np.testing.assert_allclose(loss.detach(), expected[f"{case}_loss{step}"], **close)
        loss.backward()
        if step == 0:
            for key, parameter in made.encoder.named_parameters():
                assert parameter.grad is not None
                np.testing.assert_allclose(
                    parameter.grad.norm(), expected[f"{case}_gradnorm0/{key}"], rtol=1e-4, atol=1e-5, err_msg=key
                )
        used = {key: value.clone() for key, value in keys.state_dict().items()}
        optimiser.step()
        optimiser.zero_grad()
        made.after_step()
        np.testing.assert_allclose(made.bank.keys.T, expected[f"{case}_queue{step}"], **close)
        assert int(made.bank.pointer) == int(expected[f"{case}_ptr{step}"][0])
    for name, state in (("encoder_q", made.encoder.state_dict()), ("encoder_k", used)):
        for key, value in state.items():
            got, theirs = value, expected[f"{case}_{name}/{key}"]
            if case == "adam_m0" and key.endswith("in_proj_bias"):  # its middle third has no gradient but rounding
                got, theirs = (torch.as_tensor(x)[[*range(dim), *range(2 * dim, 3 * dim)]] for x in (got, theirs))
            np.testing.assert_allclose(got[: len(theirs)], theirs, **close, err_msg=f"{name}/{key}")


def test_bank_after_keys_of_two_processes(golden: Any) -> None:
    expected = golden.npz("tca_moco_gather.npz")
    keys = torch.from_numpy(expected["keys"])
    dim, size = expected["queue"].shape
    bank = NegativeBank(size, dim)
    bank.keys.zero_()
    bank.write(torch.cat([keys, keys]))
    np.testing.assert_allclose(bank.keys.T, expected["queue"], atol=1e-7)
    assert int(bank.pointer) == int(expected["ptr"][0])


def test_a_published_training_state_is_taken_apart(golden: Any) -> None:
    shapes = golden.json("tca_checkpoint_keys.json")["moco"]
    state = {key: torch.zeros(shape) for key, shape in shapes.items()}
    parts = tca_parts(state)
    assert parts is not None
    found, bank = parts
    assert found.class_path.endswith("TCAEncoder")
    assert bank is not None
    assert list(bank.shape) == shapes["queue"][::-1]
