"""The dial shows what the density says, in the terminal and as SVG."""

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.report.clock import axis, dial, hhmm, line, svg


def peak(hour, bins=96):
    density = np.full(bins, 1e-3)
    density[int(hour / 24 * bins)] = 1
    return density / density.sum()


def test_hours_are_written_as_clocks_do():
    assert [hhmm(h) for h in (0, 17.75, 23.9999, 9.0083)] == ["00:00", "17:45", "00:00", "09:00"]


def test_the_line_is_fullest_where_the_density_is():
    text = line(peak(18.1), 48)
    assert len(text) == 48
    assert text.index("█") == 36
    assert line(np.zeros(96)).strip() == ""
    assert line(peak(3), unicode=False).isascii()
    assert axis().startswith("00")
    assert axis().endswith("24")


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 120), st.integers(0, 10**6))
def test_any_density_has_a_line(bins, width, seed):
    density = np.random.default_rng(seed).random(bins)
    text = line(density / density.sum(), width)
    assert len(text) == width
    assert "█" in text


def test_the_dial_leans_where_the_density_is():
    empty = dial(np.zeros(96), 12.0)
    for hour, half in ((18, slice(14, 40)), (6, slice(0, 14))):
        body = dial(peak(hour), 12.0)
        changed = [i for row, plain in zip(body, empty, strict=True) for i in range(len(row)) if row[i] != plain[i]]
        assert changed
        assert all(half.start <= i < half.stop for i in changed)
    assert len({len(row) for row in empty[1:-1]}) == 1


def test_the_dial_shows_the_claimed_time():
    assert dial(peak(18), 18.0, claimed=8.0) != dial(peak(18), 18.0)


@pytest.mark.parametrize("alone", [True, False])
def test_the_svg_is_well_formed_and_holds_its_words(alone):
    text = svg(
        peak(17.5), 17.5, {50: (16.5, 18.5), 80: (23.0, 21.0)}, claimed=3.25, alone=alone, title='a <b> & "c"\x01',
        elevations=np.linspace(-60, 60, 96),
    )  # fmt: skip
    root = ElementTree.fromstring(text)
    assert root.attrib["aria-label"] == 'a <b> & "c" '
    assert "17:30" in text
    assert "claimed 03:15" in text
    assert "80 % arc" in text
    assert ("<style>" in text) == alone


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 23.99), st.floats(0.01, 24), st.integers(1, 144))
def test_any_arc_is_drawn_in_numbers(start, length, bins):
    text = svg(np.full(bins, 1 / bins), start, {80: (start, start + length), 50: (start, (start + length) % 24)})
    assert "nan" not in text
    ElementTree.fromstring(text)
