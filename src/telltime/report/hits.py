"""The page of one search: film strips of query and hits over time, the stretches that match, and where frames agree."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from telltime.datasets.scan import printable
from telltime.media.errors import MediaError
from telltime.media.video import Video
from telltime.report.page import Page
from telltime.report.palette import SERIES
from telltime.search.scoring import Hit, Query, clock, span_text

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from telltime.search.index import Index

_WIDTH, _LEFT = 640, 52
_FRAMES, _HEIGHT = 9, 44
_BETWEEN = 46
_MATRIX = 300
_COLOUR = (43, 122, 155)
_MODES = {"copies": "copies of it, whole or in part", "scenes": "videos that are alike as a whole"}


def write_hits(index: "Index", query: str | Path, hits: Sequence[Hit], path: str | Path, mode: str = "copies") -> Path:
    """Write the page and return its path.

    Args:
        index: that the hits come from.
        query: the video that was searched for.
        path: where to.
    """
    asked = index.query(query)
    page = Page(f"What is like {Path(asked.path).name}", f"{_MODES[mode]}, among {len(index)} videos of {index.where}")
    sure = [hit for hit in hits if hit.probability >= 0.5]
    best = max((hit.score for hit in hits), default=0.0)
    page.scores({"hits shown": len(hits), "more likely related than not": len(sure), "best score": best})
    page.table(
        ["", "video", "score", "probability", "where it matches (query = video)"],
        [
            [place, printable(hit.path), round(hit.score, 3), round(hit.probability, 3), _spans(hit)]
            for place, hit in enumerate(hits, 1)
        ],
    )
    shown = _pictures(asked.path)
    for place, hit in enumerate(hits, 1):
        title = f"{place}. {Path(printable(hit.path)).name}"
        where = _spans(hit) or "no stretch matches frame by frame"
        page.section(title, f"score {hit.score:.3f}, probability {hit.probability:.1%}; {where}")
        held = index.held(hit.path)
        page.figure(_timeline(asked, shown, held, _pictures(hit.path), hit), "Query above, hit below; matches joined.")
        if held is not None:
            page.figure(_matrix(asked, held, hit), "Frames of the query (down) against frames of the hit (across).")
    page.text(
        "The probability says how sure it is that a hit is no chance resemblance, when one video of the collection is "
        "expected to be related: scores of unrelated videos of this very collection tell how high chance comes."
    )
    return page.write(path)


def _spans(hit: Hit) -> str:
    return ", ".join(span_text(span) for span in hit.spans)


class _Film:
    """Frames spread over a video, and its length in seconds."""

    def __init__(self, pictures: list[str], seconds: float) -> None:
        self.pictures, self.seconds = pictures, seconds


def _pictures(path: str) -> _Film:
    """Data URIs of frames in the middle of equal parts of a video; none where it cannot be read."""
    from PIL import Image

    try:
        with Video(path) as video:
            probe = video.probe()
            wanted = ((np.arange(_FRAMES) + 0.5) / _FRAMES * probe.frames).astype(int)
            pixels = video.frames(wanted, partial=True, short_side=2 * _HEIGHT).pixels.numpy()
    except MediaError:
        return _Film([], 0.0)
    found = []
    for frame in pixels:
        picture = Image.fromarray(np.ascontiguousarray(frame.transpose(1, 2, 0)))
        found.append(_uri(picture, "WEBP", quality=70))
    return _Film(found, probe.seconds)


def _timeline(query: Query, shown: _Film, held: Query | None, film: _Film, hit: Hit) -> str:
    """Both videos as strips over time, with coloured bands from stretch to stretch."""
    ends = [span.query_end for span in hit.spans], [span.target_end for span in hit.spans]
    lengths = _length(shown, query, ends[0]), _length(film, held, ends[1])
    low = _HEIGHT + _BETWEEN
    height = low + _HEIGHT + 16
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="where query and hit match">']
    for row, (name, strip, seconds) in enumerate((("query", shown, lengths[0]), ("hit", film, lengths[1]))):
        top = low if row else 0
        parts.append(_strip(strip, top))
        parts.append(_label(0, top + _HEIGHT / 2, name, "var(--ink)"))
        parts.append(_label(0, top + _HEIGHT / 2 + 13, clock(seconds), "var(--muted)"))
    for number, span in enumerate(hit.spans):
        colour = f"var(--{SERIES[number % len(SERIES)]})"
        a, b = (_across(at, lengths[0]) for at in (span.query_start, span.query_end))
        c, d = (_across(at, lengths[1]) for at in (span.target_start, span.target_end))
        points = f"{a:.1f},{_HEIGHT + 5} {b:.1f},{_HEIGHT + 5} {d:.1f},{low - 5} {c:.1f},{low - 5}"
        parts.append(f'<polygon points="{points}" fill="{colour}" opacity="0.25"/>')
        for left, right, top in ((a, b, _HEIGHT + 1), (c, d, low - 5)):
            wide = max(2, right - left)
            parts.append(f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="4" fill="{colour}"/>')
        for left, right, top in ((a, b, 0), (c, d, low)):
            parts.append(
                f'<rect x="{left:.1f}" y="{top}" width="{max(2, right - left):.1f}" height="{_HEIGHT}" fill="none" '
                f'stroke="{colour}" stroke-width="2"/>'
            )
        words = f"{clock(span.target_start)}–{clock(span.target_end)}"
        parts.append(_label(min(c, _WIDTH - 70), low + _HEIGHT + 12, words, colour))
    return "".join(parts) + "</svg>"


def _length(film: _Film, query: Query | None, ends: Sequence[float]) -> float:
    described = float(query.times[-1]) if query is not None and len(query.times) else 0.0
    return max(film.seconds or described, *ends, 0.001)


def _strip(film: _Film, top: float) -> str:
    """Frames side by side over the width, or an empty band."""
    wide = (_WIDTH - _LEFT) / _FRAMES
    band = f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT}" height="{_HEIGHT}" fill="var(--line)"/>'
    pictures = "".join(
        f'<svg x="{_LEFT + place * wide:.1f}" y="{top}" width="{wide:.1f}" height="{_HEIGHT}" overflow="hidden">'
        f'<image href="{uri}" width="{wide:.1f}" height="{_HEIGHT}" preserveAspectRatio="xMidYMid slice"/></svg>'
        for place, uri in enumerate(film.pictures)
    )
    return band + pictures


def _matrix(query: Query, held: Query, hit: Hit) -> str:
    """The frame similarities as a picture, darker where more alike, with the stretches that match as lines."""
    from PIL import Image

    alike = (query.rows @ held.rows.T).numpy().clip(0, 1)
    pixels = np.zeros((*alike.shape, 4), dtype=np.uint8)
    pixels[..., :3], pixels[..., 3] = _COLOUR, (255 * alike).astype(np.uint8)
    rows, columns = alike.shape
    wide = float(_WIDTH - _LEFT) if columns >= rows else max(80.0, _MATRIX * columns / rows)
    tall = max(24.0, min(_MATRIX, wide * rows / columns))
    uri = _uri(Image.fromarray(pixels, "RGBA"), "PNG")
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {tall + 18:.0f}" role="img" aria-label="frame similarity">',
        f'<image href="{uri}" x="{_LEFT}" y="0" width="{wide:.1f}" height="{tall:.1f}" preserveAspectRatio="none" '
        'style="image-rendering: pixelated"/>',
        f'<rect x="{_LEFT}" y="0" width="{wide:.1f}" height="{tall:.1f}" fill="none" stroke="var(--line)"/>',
        _label(0, 10, "00:00", "var(--muted)"),
        _label(0, tall - 2, clock(float(query.times[-1])), "var(--muted)"),
        _label(_LEFT, tall + 14, "00:00", "var(--muted)"),
        _label(_LEFT + wide - 34, tall + 14, clock(float(held.times[-1])), "var(--muted)"),
    ]
    for number, span in enumerate(hit.spans):
        y1, y2 = (tall * _place(at, query.times) for at in (span.query_start, span.query_end))
        x1, x2 = (_LEFT + wide * _place(at, held.times) for at in (span.target_start, span.target_end))
        colour = f"var(--{SERIES[(number + 1) % len(SERIES)]})"
        parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2.5"/>'
        )
    return "".join(parts) + "</svg>"


def _place(at: float, times: np.ndarray) -> float:
    """Where in the picture a moment lies, 0 to 1: the middle of a frame's cell is its time."""
    count = len(times)
    return float((np.interp(at, times, np.arange(count)) + 0.5) / count)


def _across(at: float, seconds: float) -> float:
    return _LEFT + (_WIDTH - _LEFT) * min(1.0, max(0.0, at / seconds))


def _label(x: float, y: float, words: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" fill="{colour}">{words}</text>'


def _uri(picture: "Picture", kind: str, **options: int) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
