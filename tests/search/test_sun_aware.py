"""A density is carried over to where the sun stands, and told in civil time."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from telltime.datasets.suns import sun_of
from telltime.media.capture_time import Capture
from telltime.metrics.circular import circular_median, distance, resultant
from telltime.search.sun_aware import COMMON, carried, elevations

BINS = 96
CENTRES = (np.arange(BINS) + 0.5) / BINS * 24
LISBON = ("2023-03-21", 38.7, -9.1, "Europe/Lisbon")
OSLO = ("2023-06-21", 59.9, 10.7, "Europe/Oslo")
KASHGAR = ("2023-06-21", 39.5, 76.0, "Asia/Shanghai")
SYDNEY = ("2023-12-21", -33.9, 151.2, "Australia/Sydney")
TROMSO = ("2023-12-21", 69.6, 18.9, "Europe/Oslo")


def around(hour, hours=0.7):
    rows = np.exp((np.cos((CENTRES - np.atleast_1d(hour)[:, None]) * np.pi / 12) - 1) / (hours * np.pi / 12) ** 2)
    return rows / rows.sum(1, keepdims=True)


@pytest.mark.parametrize("sun", [LISBON, OSLO, SYDNEY, KASHGAR])
def test_where_a_model_learnt_nothing_changes_much(sun):
    hours = np.arange(0.5, 24, 2.0)
    there = carried(around(hours), [sun] * len(hours), [sun])
    assert np.allclose(there.sum(1), 1)
    assert distance(circular_median(there), hours).max() < 0.35


def test_sunrise_is_told_when_the_sun_rises():
    rise = CENTRES[np.argmin(np.abs(elevations(LISBON)) + 9 * (CENTRES > 12))]
    for sun in (OSLO, SYDNEY, KASHGAR):
        there = carried(around(rise), [sun], [LISBON])[0]
        height = np.interp(float(circular_median(there)), CENTRES, elevations(sun))
        assert abs(height) < 7, sun
        assert float(circular_median(there)) < float(CENTRES[elevations(sun).argmax()])


def test_one_clock_for_a_wide_country_shifts_the_day():
    noon = carried(around(12.6), [KASHGAR], [LISBON])[0]
    assert 14 < float(circular_median(noon)) < 16.5


def test_a_high_sun_is_not_told_in_the_polar_night():
    there = carried(around(13.0), [TROMSO], [LISBON])[0]
    assert np.isfinite(there).all()
    assert there.sum() == pytest.approx(1)


def test_nothing_told_stays_nothing():
    flat = np.full((1, BINS), 1 / BINS)
    for sun in (OSLO, TROMSO, SYDNEY):
        assert float(resultant(carried(flat, [sun])[0])) < 1e-9


def test_the_cities_stand_in_where_a_model_is_silent():
    assert len(COMMON) > 50
    there = carried(around(7.0), [SYDNEY])[0]
    assert 4 < float(circular_median(there)) < 9


def test_day_and_place_are_taken_from_the_file():
    local = datetime(2023, 6, 21, 18, 4)
    assert sun_of(Capture()) is None
    assert sun_of(Capture(local=local)) is None
    assert sun_of(Capture(latitude=59.9, longitude=10.7)) is None
    at = sun_of(Capture(local=local, latitude=59.9, longitude=10.7))
    assert at == ("2023-06-21", 59.9, 10.7, "Europe/Oslo")
    fixed = sun_of(Capture(local=local, latitude=95.0, longitude=10.7, offset=timedelta(hours=-3)))
    assert fixed is None or fixed[3] == "-180"


def test_a_bare_offset_does_as_a_zone():
    summer = elevations(("2023-06-21", 59.9, 10.7, "+120"))
    assert np.allclose(summer, elevations(OSLO))
