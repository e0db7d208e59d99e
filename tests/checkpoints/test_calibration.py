import json

import numpy as np
import pytest

from telltime.checkpoints.calibration import Calibration, conformal_scores, fit_calibration, hours_prior
from telltime.metrics import circular, clock


def told(count, seed, spread=2.0, sharp=12.0):
    """Densities of a head that is ``spread`` hours off on the mean, and surer of itself than it should be."""
    rng = np.random.default_rng(seed)
    hours = rng.uniform(0, 24, count)
    middles = (hours + rng.normal(0, spread, count))[:, None]
    density = np.exp(sharp * np.cos((circular.centres(96) - middles) * np.pi / 12))
    return density / density.sum(1, keepdims=True), hours


@pytest.mark.parametrize("sharp", [1.0, 12.0, 40.0])
def test_arcs_hold_what_they_claim_however_wrong_the_head(sharp):
    density, hours = told(300, 0, sharp=sharp)
    fitted = fit_calibration(density, hours, hours_prior(hours), np.arange(300) % 10)
    fresh, truth = told(1500, 1, sharp=sharp)
    after = fitted.apply(fresh)
    np.testing.assert_allclose(after.sum(1), 1)
    for share in (0.5, 0.8):
        assert clock.coverage(fitted.arc(after, share), truth) == pytest.approx(share, abs=0.06)
    before, now = (clock.clock_scores(d, truth) for d in (fresh, after))
    assert now["nll"] <= before["nll"] + 0.02
    p_values = fitted.p_value(after, truth)
    assert (p_values > 0).all()
    assert np.mean(p_values < 0.1) == pytest.approx(0.1, abs=0.05)


def test_an_overconfident_head_is_cooled_down_and_a_shy_one_heated():
    temperatures = [fit_calibration(*told(200, 0, sharp=sharp)).temperature for sharp in (60.0, 1.5)]
    assert temperatures[0] > 1.5
    assert temperatures[1] < 1


def test_a_flat_prior_is_mended_by_the_hours_of_the_collection():
    rng = np.random.default_rng(0)
    hours = rng.normal(13, 2.5, 400) % 24
    density = np.full((400, 96), 1 / 96)
    fitted = fit_calibration(density, hours, hours_prior(hours), exponent=1.0)
    assert fitted.exponent == pytest.approx(1, abs=0.3)
    error = circular.distance(circular.circular_median(fitted.apply(density)), hours).mean()
    assert error < 2.5


def test_scores_grow_with_the_distance():
    density, _ = told(1, 3)
    mode = circular.mode(density[0])
    found = [float(conformal_scores(density[0], (mode + off) % 24)) for off in (0, 1, 2, 4, 8, 12)]
    assert found == sorted(found)
    assert found[-1] == 1
    assert Calibration().p_value(density, [mode])[0] > Calibration().p_value(density, [mode + 5])[0]


def test_it_survives_being_written():
    density, hours = told(60, 0)
    fitted = fit_calibration(density, hours, hours_prior(hours))
    again = Calibration.from_json(json.loads(json.dumps(fitted.to_json())))
    assert again == fitted
    for wrong in ({}, {**fitted.to_json(), "temperature": 0}, {**fitted.to_json(), "prior": [0.5, 0.5]}):
        with pytest.raises(ValueError, match="no calibration"):
            Calibration.from_json(wrong)


def test_too_few_photos():
    with pytest.raises(ValueError, match="at least 8"):
        fit_calibration(*told(7, 0))
    assert Calibration(scores=(0.1,) * 3).share(0.8) == 0.8
    assert Calibration(scores=tuple(np.linspace(0, 1, 9))).share(0.95) == 1.0
