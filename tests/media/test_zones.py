"""Which clocks people keep where, and on the days when those change."""

from datetime import UTC, datetime, timedelta

import pytest

from telltime.media.zones import UnknownZone, local_at, offset_of, twice, zone_at


@pytest.mark.parametrize(
    ("latitude", "longitude", "zone"),
    [
        (51.5, -0.12, "Europe/London"),
        (36.11, -115.165, "America/Los_Angeles"),
        (-33.87, 151.2, "Australia/Sydney"),
        (27.7, 85.3, "Asia/Kathmandu"),
        (-17.7, 178.0, "Pacific/Fiji"),
        (51.5, 359.88, "Europe/London"),
        (0.0, -30.0, "Etc/GMT+2"),
        (91.0, 0.0, None),
        (float("nan"), 0.0, None),
        (0.0, float("inf"), None),
    ],
)
def test_places(latitude, longitude, zone):
    assert zone_at(latitude, longitude) == zone


def test_offsets_and_the_days_of_change():
    berlin = "Europe/Berlin"
    assert offset_of(berlin, datetime(2023, 6, 13, 12)) == timedelta(hours=2)
    assert offset_of(berlin, datetime(2023, 12, 13, 12)) == timedelta(hours=1)
    back = datetime(2023, 10, 29, 2, 30)
    assert twice(berlin, back)
    assert offset_of(berlin, back) == timedelta(hours=2)
    assert offset_of(berlin, back.replace(fold=1)) == timedelta(hours=1)
    over = datetime(2023, 3, 26, 2, 30)  # no clock there showed it
    assert offset_of(berlin, over) == timedelta(hours=1)
    assert not twice(berlin, over)
    assert offset_of("Asia/Kathmandu", over) == timedelta(hours=5, minutes=45)
    second = local_at(berlin, datetime(2023, 10, 29, 1, 30))
    assert (second, second.fold) == (back, 1)
    assert local_at(berlin, datetime(2023, 10, 29, 0, 30, tzinfo=UTC)).fold == 0


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Europe/Berln", "Europe/Berlin"),
        ("europe/paris ", "Europe/Paris"),
        ("Los Angeles", "America/Los_Angeles"),
        ("Tokio", "Asia/Tokyo"),
        ("../../etc/passwd", None),
        ("", None),
        ("zzzz\0", None),
    ],
)
def test_unknown_zones_name_the_nearest(name, nearest):
    with pytest.raises(UnknownZone, match="there is no time zone") as caught:
        offset_of(name, datetime(2023, 1, 1))
    assert caught.value.nearest == nearest
    assert (nearest or "expected an IANA name") in str(caught.value)
