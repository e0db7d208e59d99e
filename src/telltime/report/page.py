"""One self-contained HTML page: no script, no network, light and dark, wide and narrow."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Self

from telltime.media.files import whole
from telltime.report.strips import Row, Strip
from telltime.report.style import STYLE

_MARKS = {True: ("right", "✓"), False: ("wrong", "✗")}


class Page:
    """A page built from top to bottom; every method adds one block and returns the page.

    All text is escaped; only :meth:`figure` takes markup, as SVG drawn by :mod:`telltime.report.plots`.

    Args:
        title: heading and window title.
        subtitle: a quieter line below it.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._blocks: list[str] = []

    def section(self, title: str, lead: str = "") -> Self:
        """A heading, and a sentence below it."""
        return self._add(f"<h2>{_text(title)}</h2>" + (f'<p class="lead">{_text(lead)}</p>' if lead else ""))

    def text(self, words: str) -> Self:
        """A paragraph; blank lines part paragraphs."""
        return self._add("".join(f"<p>{_text(part.strip())}</p>" for part in words.split("\n\n") if part.strip()))

    def code(self, commands: str | Sequence[str]) -> Self:
        """Command lines, one a line."""
        lines = commands if isinstance(commands, str) else "\n".join(commands)
        return self._add(f"<pre><code>{_text(lines)}</code></pre>")

    def scores(self, scores: Mapping[str, float | str], notes: Mapping[str, str] | None = None) -> Self:
        """Numbers in large type, each with its name and, where ``notes`` has one, a remark."""
        cards = "".join(
            f'<div class="score"><b>{_value(value)}</b><span>{_text(name)}</span>'
            + (f"<small>{_text(notes[name])}</small>" if notes and name in notes else "")
            + "</div>"
            for name, value in scores.items()
        )
        return self._add(f'<div class="scores">{cards}</div>')

    def figure(self, picture: str, caption: str = "") -> Self:
        """An ``<svg>`` element, or the data URI of a picture.

        Raises:
            ValueError: it is neither; a page fetches nothing.
        """
        if picture.startswith("data:image/"):
            body = f'<img src="{_text(picture)}" alt="{_text(caption)}">'
        elif picture.startswith("<svg"):
            body = picture
        else:
            raise ValueError(f"a figure is an <svg> element or a data:image/ URI, not {picture[:40]!r}")
        below = f"<figcaption>{_text(caption)}</figcaption>" if caption else ""
        return self._add(f'<figure><div class="plot">{body}</div>{below}</figure>')

    def strips(self, rows: Sequence[Row]) -> Self:
        """Rows of a query and its neighbours; right ones are marked ✓, wrong ones ✗."""
        return self._add("".join(f'<div class="row">{_query(row.query)}{_hits(row.hits)}</div>' for row in rows))

    def strip(self, shown: Strip) -> Self:
        """A single film strip."""
        return self._add(_strip(shown, "single"))

    def stack(self, strips: Sequence[Strip]) -> Self:
        """Film strips of the same frames, one above the other, over the whole width."""
        return self._add(f'<div class="stack">{"".join(_strip(shown, "layer") for shown in strips)}</div>')

    def sheet(self, cards: Sequence[tuple[Strip, str]]) -> Self:
        """Pictures side by side, each with its words and, where it is not empty, a small ``<svg>`` drawing."""
        if wrong := [drawing for _, drawing in cards if drawing and not drawing.startswith("<svg")]:
            raise ValueError(f"a drawing is an <svg> element, not {wrong[0][:40]!r}")
        shown = (f'<div class="card">{_strip(strip, "hit")}{drawing}</div>' for strip, drawing in cards)
        return self._add(f'<div class="hits sheet">{"".join(shown)}</div>')

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[object]], folded: str = "") -> Self:
        """A table; numbers are set to the right. With ``folded`` it is behind a line of that text to click on."""
        numeric = [
            bool(rows) and all(isinstance(row[i], Real) and not isinstance(row[i], bool) for row in rows)
            for i in range(len(headers))
        ]
        side = ['class="n"' if n else "" for n in numeric]
        head = "".join(f'<th scope="col" {s}>{_text(h)}</th>' for s, h in zip(side, headers, strict=True))
        body = "".join(
            "<tr>" + "".join(f"<td {s}>{_value(v)}</td>" for s, v in zip(side, row, strict=True)) + "</tr>"
            for row in rows
        )
        table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        return self._add(f"<details><summary>{_text(folded)}</summary>{table}</details>" if folded else table)

    def html(self) -> str:
        """The whole document."""
        subtitle = f'<p class="subtitle">{_text(self.subtitle)}</p>' if self.subtitle else ""
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f"<title>{_text(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            f"<header><h1>{_text(self.title)}</h1>{subtitle}</header>\n"
            + "\n".join(self._blocks)
            + "\n</main>\n</body>\n</html>\n"
        )

    def write(self, path: str | Path) -> Path:
        """Write the page, whole or not at all, and return its path."""
        path = Path(path)
        with whole(path) as beside:
            beside.write_text(self.html(), encoding="utf-8")
        return path

    def _add(self, block: str) -> Self:
        self._blocks.append(block)
        return self


def _text(words: object) -> str:
    """Escaped text; what has no place in a document (lone surrogates, control characters) is replaced."""
    clean = str(words).encode("utf-8", "replace").decode("utf-8")
    clean = "".join(c if c >= " " or c in "\n\t" else "�" for c in clean)
    return html.escape(clean, quote=True)


def _breakable(words: object) -> str:
    """Escaped text that may break after the joints of file names."""
    return re.sub(r"([/_]+)", r"\1<wbr>", _text(words))


def _value(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, Real):
        return _breakable(value)
    number = float(value)
    if math.isfinite(number) and number == int(number) and abs(number) < 1e12:
        return f"{int(number):,}"
    return f"{number:.3f}" if abs(number) < 10 else f"{number:,.1f}"


def _query(query: Strip) -> str:
    return _strip(query, "query")


def _hits(hits: Sequence[Strip]) -> str:
    return f'<div class="hits">{"".join(_strip(hit, "hit") for hit in hits)}</div>'


def _strip(shown: Strip, kind: str) -> str:
    colour, mark = _MARKS.get(shown.correct, ("", "")) if shown.correct is not None else ("", "")
    picture = (
        f'<img src="{_text(shown.image)}" alt="" loading="lazy">'
        if shown.image
        else '<div class="none">no frames</div>'
    )
    badge = f'<i title="{colour}">{mark}</i> ' if mark else ""
    detail = f"<small>{_breakable(shown.detail)}</small>" if shown.detail else ""
    return f'<div class="strip {kind} {colour}">{picture}<span>{badge}{_breakable(shown.caption)}</span>{detail}</div>'
