"""The sun, against worked examples and what is known of every day."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.media.sun import HORIZON, PHASES, elevations_of_day, phase, sun_position
from telltime.media.zones import UnknownZone


def seconds(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()


def test_worked_example_of_nrel():
    # Reda & Andreas, Solar Position Algorithm (NREL/TP-560-34302, 2008), table A5.1: topocentric zenith 50.11162 with
    # refraction at 820 hPa and 11 degrees C, azimuth 194.34024 degrees.
    elevation, azimuth = sun_position(seconds(2003, 10, 17, 19, 30, 30), 39.742476, -105.1786, refraction=True)
    assert 90 - elevation == pytest.approx(50.11162, abs=0.01)
    assert azimuth == pytest.approx(194.34024, abs=0.01)


def test_worked_example_of_meeus():
    # Meeus, Astronomical Algorithms, example 25.a: declination -7.78507 degrees on 1992-10-13 0h; so the sun passes the
    # meridian of a place on the equator at 90 - 7.785 degrees, in the south.
    times = seconds(1992, 10, 12, 18) + np.arange(0, 43_200, 5)
    elevation, azimuth = sun_position(times, 0, 180)
    at = elevation.argmax()
    assert elevation[at] == pytest.approx(90 - 7.78507, abs=0.01)
    assert azimuth[at] == pytest.approx(180, abs=0.5)
    # The equation of time on that day is +13 min 42.6 s (example 28.a): noon comes that much before 12:00 there.
    assert (times[at] - seconds(1992, 10, 13)) / 60 == pytest.approx(-13.7, abs=0.2)


def test_midsummer_and_polar_night():
    assert elevations_of_day(date(2023, 6, 21), 69.65, 18.96, "Europe/Oslo").min() > 2
    assert elevations_of_day(date(2023, 12, 21), 69.65, 18.96, "Europe/Oslo").max() < HORIZON
    greenwich = sun_position(seconds(2023, 6, 21, 12, 2), 51.4779, 0)
    assert greenwich[0] == pytest.approx(90 - 51.4779 + 23.44, abs=0.02)


def test_civil_days():
    # Las Vegas, 13 June 2023: sunrise 05:22 and sunset 19:58 by daylight saving time (U.S. Naval Observatory).
    up = np.flatnonzero(elevations_of_day(date(2023, 6, 13), 36.17, -115.14, "America/Los_Angeles", 1440) > HORIZON)
    assert up[0] == pytest.approx(5 * 60 + 22, abs=2)
    assert up[-1] == pytest.approx(19 * 60 + 58, abs=2)
    changing = elevations_of_day(date(2023, 3, 12), 36.17, -115.14, "America/Los_Angeles", 96)
    assert changing.shape == (96,)
    assert np.abs(np.diff(changing)).max() < 17  # an hour of the sun's way at the jump
    with pytest.raises(UnknownZone, match="America/Los_Angeles"):
        elevations_of_day(date(2023, 6, 13), 0, 0, "America/Los_Angles")


def test_refraction_lifts_the_horizon_and_nothing_far_below():
    times = seconds(2023, 3, 20) + np.arange(0, 86_400, 60)
    (true, _), (seen, _) = sun_position(times, 45, 10), sun_position(times, 45, 10, refraction=True)
    lift = (seen - true) * 60
    assert (lift[true < -1] == 0).all()
    assert (lift[true > 0] > 0).all()
    assert lift[np.abs(true).argmin()] == pytest.approx(29, abs=2)  # arc minutes at the horizon
    assert lift.max() < 45
    assert np.isfinite(seen).all()


def test_phases():
    said = [str(name) for name in phase([-90, -18.01, -18, -12, -6, -0.9, -0.8, 5.99, 6, 90])]
    names = [name for name, _ in PHASES]
    assert said == [names[i] for i in (0, 0, 1, 2, 3, 3, 4, 4, 5, 5)]
    assert str(phase(50.0)) == "day"
    assert phase(np.zeros((2, 3))).shape == (2, 3)


@given(st.floats(0, 2.5e9), st.floats(-90, 90), st.floats(-360, 360))
@settings(max_examples=60, deadline=None)
def test_anywhere_at_any_time(moment, latitude, longitude):
    elevation, azimuth = sun_position(np.array([moment, moment + 43_082]), latitude, longitude)  # half a sidereal day
    assert np.isfinite(elevation).all()
    assert (np.abs(elevation) <= 90).all()
    assert ((azimuth >= 0) & (azimuth < 360)).all()
    turned, _ = sun_position(moment, latitude, longitude + 360)
    assert turned == pytest.approx(elevation[0], abs=1e-6)


def test_positions_broadcast():
    elevation, azimuth = sun_position(np.full((3, 1), seconds(2023, 6, 1)), np.arange(4.0), np.arange(4.0))
    assert elevation.shape == azimuth.shape == (3, 4)
    assert elevation.dtype == np.float64
