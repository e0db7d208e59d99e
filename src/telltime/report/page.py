"""One self-contained HTML page: no script, no network, light and dark, wide and narrow."""

import html
import math
import re
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Self

from telltime.media.files import whole
from telltime.report.palette import DARK, LIGHT, variables
from telltime.report.strips import Row, Strip

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


STYLE = f"""
:root {{ {variables(LIGHT)} color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; }}
main {{ max-width: 71rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }}
header {{ border-bottom: 1px solid var(--line); margin-bottom: 1.75rem; padding-bottom: 1rem; }}
h1 {{ font-size: clamp(1.5rem, 4.5vw, 2.1rem); line-height: 1.2; margin: 0; letter-spacing: -.015em; text-wrap: balance; }}
h2 {{ font-size: 1.2rem; margin: 2.75rem 0 .35rem; letter-spacing: -.01em; }}
p {{ max-width: 44rem; margin: .5rem 0; overflow-wrap: anywhere; }}
.subtitle, .lead, figcaption, small {{ color: var(--muted); }}
.subtitle {{ margin: .4rem 0 0; }}
.lead {{ margin: 0 0 1rem; }}
.scores {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }}
.score {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem 1rem; }}
.score b {{ display: block; font-size: 1.7rem; line-height: 1.15; font-weight: 650; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }}
.score span, .score small {{ display: block; overflow-wrap: anywhere; }}
.score span {{ color: var(--muted); font-size: .9rem; }}
.score small {{ font-size: .8rem; margin-top: .2rem; }}
figure {{ margin: 1rem 0; max-width: 46rem; }}
figcaption {{ font-size: .875rem; margin-top: .4rem; max-width: 44rem; overflow-wrap: anywhere; }}
.plot {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .75rem; }}
.plot svg {{ display: block; width: 100%; height: auto; max-width: 40rem; margin: 0 auto; font-family: inherit; }}
.plot img {{ display: block; max-width: 100%; height: auto; margin: 0 auto; }}
.row {{ display: grid; grid-template-columns: minmax(12rem, 15rem) 1fr; gap: 1rem 1.25rem; align-items: start;
  background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem; margin: .75rem 0; }}
.hits {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .85rem .75rem; }}
.strip {{ min-width: 0; font-size: .875rem; line-height: 1.35; }}
.strip img, .strip .none {{ display: block; width: 100%; height: auto; border-radius: .25rem; margin-bottom: .3rem;
  border-top: 3px solid var(--line); }}
.strip .none {{ padding: 1.2rem 0; text-align: center; color: var(--muted); background: var(--ground); }}
.strip span, .strip small {{ display: block; overflow-wrap: anywhere; }}
.strip small {{ font-size: .78rem; }}
.strip i {{ font-style: normal; font-weight: 700; }}
.query span {{ font-weight: 600; }}
.query img {{ border-top-color: var(--ink); }}
.single {{ max-width: 30rem; margin: .75rem 0; }}
.right img {{ border-top-color: var(--right); }} .right i {{ color: var(--right); }}
.wrong img {{ border-top-color: var(--wrong); }} .wrong i {{ color: var(--wrong); }}
.scroll {{ overflow-x: auto; margin: .75rem 0; }}
table {{ border-collapse: collapse; font-size: .925rem; min-width: min(100%, 20rem); }}
th, td {{ text-align: left; padding: .38rem 1.4rem .38rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
td {{ overflow-wrap: break-word; max-width: 32rem; }}
th {{ color: var(--muted); font-weight: 550; white-space: nowrap; }}
.n {{ text-align: right; font-variant-numeric: tabular-nums; }}
pre {{ background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .85rem 1rem; overflow-x: auto;
  font: .875rem/1.6 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }}
details {{ margin: 1rem 0; }}
summary {{ cursor: pointer; color: var(--muted); }}
@media (max-width: 40rem) {{
  main {{ padding: 1.5rem .9rem 3rem; }}
  .row {{ grid-template-columns: 1fr; }}
  .hits {{ grid-template-columns: repeat(2, 1fr); }}
  .plot {{ padding: .5rem .25rem; }}
}}
@media print {{ .row, .plot, .score {{ break-inside: avoid; }} }}
"""
