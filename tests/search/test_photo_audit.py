"""Wrong clocks are told from right ones, and photos that do not fit are named."""

import json
import shlex
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from telltime.media.capture_time import Capture
from telltime.metrics.circular import arc, at
from telltime.search.by_time import find, like_words
from telltime.search.errors import SearchError
from telltime.search.photo_audit import audit, look_command, mend_command
from telltime.search.telling import Told, part_of_day

BINS = 96
CENTRES = (np.arange(BINS) + 0.5) / BINS * 24
START = datetime(2023, 5, 1)


def judge(densities, hours):
    level = at(densities, hours) * 24 / BINS
    return np.where(densities <= level[:, None] + 1e-12, densities, 0).sum(1)


def photo(name, looks, claims, camera="Alder A1", second=None, width=1.2):
    """A photo that looks like an hour, or like either of two, and claims a datetime or nothing."""
    density = np.exp((np.cos((CENTRES - looks) * np.pi / 12) - 1) / (width * np.pi / 12) ** 2)
    if second is not None:
        density += 0.8 * np.exp((np.cos((CENTRES - second) * np.pi / 12) - 1) / (width * np.pi / 12) ** 2)
    density = 0.97 * density / density.sum() + 0.03 / BINS
    arcs = {share: arc(density, share / 100) for share in (50, 80)}
    return Told(Path(name), Capture(local=claims, camera=camera), density, arcs)


def roll(count, shift, camera, seed=0, start=START):
    """Photos of several days whose clock is ``shift`` hours off."""
    rng = np.random.default_rng(seed)
    photos = []
    for number in range(count):
        true = start + timedelta(days=number // 8, hours=float(rng.uniform(6, 21)))
        looks = (true.hour + true.minute / 60 + rng.normal(0, 1)) % 24
        photos.append(photo(f"{camera}/{number:03d}.jpg", looks, true + timedelta(hours=shift), camera))
    return photos


def test_a_forgotten_zone_and_a_swapped_half_day_are_found_and_the_right_clock_is_left():
    told = roll(40, -7, "Birch", 1) + roll(40, 12, "Cedar", 2) + roll(40, 0, "Alder", 3)
    found = audit(told, judge)
    by = {period.camera: period for period in found.periods}
    assert len(found.periods) == 3
    assert by["Birch"].mending == 420
    assert by["Cedar"].mending % 1440 == 720
    assert by["Alder"].mending == 0
    assert {period.camera for period in found.wrong} == {"Birch", "Cedar"}
    assert len(found.suspects) <= 8


def test_one_camera_whose_clock_was_set_on_the_way_has_two_periods():
    before = roll(40, 0, "Alder", 4)
    after = roll(40, -7, "Alder", 5, START + timedelta(days=20))
    found = audit(before + after, judge)
    assert len(found.periods) == 2
    assert len(found.wrong) == 1
    assert abs(len(found.wrong[0].photos) - 40) <= 4


def test_a_single_wrong_photo_is_named_and_accuses_no_clock():
    told = roll(40, 0, "Alder", 6)
    told[5] = photo("Alder/wrong.jpg", 13.0, START.replace(hour=0, minute=30))
    found = audit(told, judge)
    assert not found.wrong
    assert found.suspects[0].told.path.name == "wrong.jpg"


def test_few_photos_and_none_with_a_time_are_no_error():
    found = audit([photo("a.jpg", 12, START), photo("b.jpg", 12, None)], judge)
    assert [period.offset for period in found.periods] == [None]
    assert [told.path.name for told in found.unclaimed] == ["b.jpg"]
    assert audit([], judge).periods == ()
    json.dumps(found.to_json())


def test_the_first_command_writes_nothing_and_file_names_are_kept_whole():
    files = [Path("a b.jpg"), Path("-c.jpg"), Path("d'e;rm.jpg")]
    look = shlex.split(look_command(-90, files))
    assert look[:3] == ["exiftool", "-globalTimeShift", "-0:0:0 1:30:0"]
    assert not [word for word in look if "=" in word]
    assert look[-3:] == ["a b.jpg", "./-c.jpg", "d'e;rm.jpg"]
    assert shlex.split(mend_command(420, files))[1] == "-AllDates+=0:0:0 7:0:0"
    assert shlex.split(mend_command(-90, files))[1] == "-AllDates-=0:0:0 1:30:0"


def test_find_orders_along_the_day_over_midnight():
    told = [photo(f"{hour}.jpg", hour, None) for hour in (0.5, 12.0, 23.0, 22.4, 1.4)]
    hits = find(told, 0.0, 2.0)
    assert [hit.told.path.stem for hit in hits] == ["22.4", "23.0", "0.5", "1.4"]
    assert all(0 < hit.probability <= 1 for hit in hits)


def test_either_of_two_times_that_fit_counts():
    told = photo("dusk.jpg", 18.5, None, second=6.5)
    assert told.question == "morning or evening?"
    assert find([told], 18.5, 1.0)
    assert find([told], 6.5, 1.0)
    assert not find([told], 12.0, 1.0)


def test_stated_times_can_be_asked_for_and_the_best_kept():
    told = [photo(f"{n}.jpg", 12.0, START.replace(hour=18, minute=n)) for n in range(5)]
    assert len(find(told, 18.0, 0.5, "stated")) == 5
    assert not find(told, 18.0, 0.5)
    alike = np.array([0.1, 0.5, 0.2, 0.9, 0.3])
    assert [hit.told.path.stem for hit in find(told, 18.0, 0.5, "stated", alike, top=2)] == ["1", "3"]
    with pytest.raises(ValueError, match="by is one of"):
        find(told, 18.0, 0.5, "guessed")


def test_words_need_a_clip_tower():
    class Tower:
        name = "efficientnet-lite0"

    with pytest.raises(SearchError, match="efficientnet-lite0"):
        like_words([], "a beach", Tower())


def test_parts_of_the_day_have_names():
    assert [part_of_day(hour) for hour in (0, 6, 12, 15, 20, 23.9)] == [
        *("night", "morning", "midday", "afternoon", "evening", "night")
    ]


def test_a_window_holds_its_share():
    told = photo("a.jpg", 18.0, None)
    assert told.within(18.0, 12.0) == pytest.approx(1)
    assert told.within(18.0, 1.0) < told.within(18.0, 3.0)
    assert told.within(6.0, 2.0) < 0.05
