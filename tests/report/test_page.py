"""A report opens from a file, alone, and shows exactly what it was given."""

import html.parser
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telltime.report.page import Page
from telltime.report.strips import Row, Strip, strip

PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Reader(html.parser.HTMLParser):
    """Collects the text, the tags and every attribute that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.handlers: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "img", "wbr", "br", "image", "use", "path", "rect", "link"):
            self.open.append(tag)
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "action", "data")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, words: str) -> None:
        self.words.append(words)


def read(page: Page) -> Reader:
    reader = Reader()
    reader.feed(page.html())
    reader.close()
    assert not reader.open
    return reader


def test_blocks_come_in_order_and_the_file_is_whole(tmp_path: Path) -> None:
    page = (
        Page("A run", "of something")
        .scores({"recall@1": 0.5623, "videos": 3783, "top1": "56.2 %"})
        .section("First", "lead")
    )
    path = (
        page.text("one\n\ntwo").code(["telltime demo"]).figure(PIXEL, "a plot").write(tmp_path / "deep" / "report.html")
    )
    words = "".join(read(page).words)
    assert path.read_text(encoding="utf-8") == page.html()
    places = [
        words.index(w) for w in ("A run", "of something", "0.562", "3,783", "56.2 %", "First", "one", "telltime demo")
    ]
    assert places == sorted(places) or places[0] < places[1]
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=30))
def test_any_text_is_only_text(words: str) -> None:
    shown = Strip(PIXEL, words, words, True)
    page = Page(words, words).section(words, words).text(words).code(words).scores({words: words}, {words: words})
    page.figure(PIXEL, words).strips([Row(shown, [shown])]).strip(shown)
    page.table([words], [[words]]).table([words], [[words]], folded=words)
    reader = read(page)
    plain = read(_plain_page())
    assert [t for t in reader.tags if t not in ("wbr", "p")] == [t for t in plain.tags if t not in ("wbr", "p")]
    assert not reader.handlers
    assert set(reader.fetched) == {PIXEL}


def _plain_page() -> Page:
    shown = Strip(PIXEL, "w", "w", True)
    page = Page("w", "w").section("w", "w").text("w").code("w").scores({"w": "w"}, {"w": "w"})
    page.figure(PIXEL, "w").strips([Row(shown, [shown])]).strip(shown)
    return page.table(["w"], [["w"]]).table(["w"], [["w"]], folded="w")


def test_a_page_needs_no_network_and_no_script() -> None:
    text = _plain_page().html()
    assert "<script" not in text
    assert "<link" not in text
    assert "@import" not in text
    assert not re.search(r"url\(", text)
    assert not re.search(r"https?://", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text


@pytest.mark.parametrize(
    "picture", ["http://example.org/x.png", "x.png", "<script>", "javascript:1", "data:text/html,x"]
)
def test_a_figure_fetches_nothing(picture: str) -> None:
    with pytest.raises(ValueError, match="a figure is"):
        Page("t").figure(picture)


def test_numbers_in_tables_stand_right_and_words_left() -> None:
    text = Page("t").table(["name", "count", "share"], [("a", 12000, 0.5), ("b", 3, float("nan"))]).html()
    assert re.findall(r'<td class="n">([^<]*)</td>', text) == ["12,000", "0.500", "3", "nan"]
    with pytest.raises(ValueError, match="zip"):
        Page("t").table(["one"], [("a", "b")])


def test_right_and_wrong_are_told_by_sign_and_not_by_colour_alone() -> None:
    frames = np.zeros((3, 3, 8, 8), np.uint8)
    row = Row(
        strip(frames, "query"),
        [strip(frames, "same", "0.9", True), strip(frames, "other", "0.1", False), strip(None, "gone")],
    )
    reader = read(Page("t").strips([row]))
    words = [w for w in reader.words if w.strip()]
    assert words.count("✓") == words.count("✗") == 1
    assert "no frames" in words
    assert len(reader.fetched) == 3
