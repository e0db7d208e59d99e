"""A density over the day as a 24-hour dial: for the terminal in Braille dots, for pages and files as SVG.

Noon is on top and midnight at the bottom, and time runs clockwise: morning is on the left, evening on the right, as the
sun goes for who looks south. Hours are floats in [0, 24); an arc runs clockwise from its start to its end, past
midnight if need be, and is the whole day where both are equal.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from telltime.report.palette import DARK, LIGHT, variables

Arc = tuple[float, float]

_BARS = " ▁▂▃▄▅▆▇█"
_PLAIN = " .:-=+*#%"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_SKY = ((-18.0, "#20304f"), (-6.0, "#4a5f8f"), (0.0, "#c98a5b"), (6.0, "#e9c46a"), (90.1, "#a9d3ee"))
"""Upper edges of sun elevation in degrees: night, twilight, civil twilight, golden hour, day."""


def hhmm(hour: float) -> str:
    """``17.75`` as ``17:45``, rounded to the minute."""
    minutes = round(hour * 60) % 1440
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def line(density: np.ndarray, width: int = 48, unicode: bool = True) -> str:
    """The day from left to right as ``width`` blocks, the fullest at the likeliest time.

    Args:
        density: ``[bins]``, 00:00 first.
        width: characters.
        unicode: ``False`` keeps to ASCII.
    """
    levels = _PLAIN if not unicode else _BARS
    mass = _spread(density, width)
    top = mass.max()
    scaled = np.ceil(mass / top * (len(levels) - 1) - 0.5) if top > 0 else np.zeros(width)
    return "".join(levels[int(level)] for level in scaled)


def axis(width: int = 48) -> str:
    """Hours to stand below :func:`line`."""
    marks = [" "] * (width + 2)
    for hour in range(0, 25, 3):
        place = round(hour / 24 * width)
        text = f"{hour:02d}"
        start = min(max(0, place - 1), width)
        marks[start : start + 2] = text
    return "".join(marks).rstrip()


def dial(density: np.ndarray, median: float, claimed: float | None = None, rows: int = 11) -> list[str]:
    """The dial in Braille dots, one string a line.

    Rays show the density, the hand its median, and a small circle on the rim the time that is claimed.

    Args:
        density: ``[bins]``, 00:00 first.
        median: hour the hand points to.
        claimed: hour the file states, if any.
        rows: lines of the dial itself; two more hold the hours 12 and 00.
    """
    tall = 4 * rows
    middle, outer = (tall - 1) / 2, (tall - 1) / 2
    inner = outer * 0.42
    dots = np.zeros((tall, tall), dtype=bool)

    def ray(hour: float, start: float, end: float) -> None:
        x, y = _direction(hour)
        for reach in np.arange(start, end + 0.01, 0.5):
            dots[round(middle + reach * y), round(middle + reach * x)] = True

    mass = _spread(density, 72)
    top = mass.max()
    for place, share in enumerate(mass):
        at = (place + 0.5) / 72 * 24
        ray(at, inner, inner + (outer - 1.5 - inner) * (share / top if top > 0 else 0))
    for hour in np.arange(0, 24, 0.5):
        ray(hour, outer, outer)
    for hour in (0, 6, 12, 18):
        ray(hour, outer - 1, outer)
    ray(median, 0, inner - 2)
    if claimed is not None:
        x, y = _direction(claimed)
        row, column = middle + (outer - 2) * y, middle + (outer - 2) * x
        for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0)):
            dots[min(tall - 1, max(0, round(row + dy))), min(tall - 1, max(0, round(column + dx)))] = True
    body = []
    for row in range(0, tall, 4):
        cells = []
        for column in range(0, tall, 2):
            code = sum(_DOTS[i][j] for i in range(4) for j in range(2) if dots[row + i, column + j])
            cells.append(chr(0x2800 + code))
        body.append("".join(cells))
    wide = tall // 2
    body = [
        ("06 " if i == rows // 2 else "   ") + text + (" 18" if i == rows // 2 else "   ")
        for i, text in enumerate(body)
    ]
    return ["12".center(wide + 6), *body, "00".center(wide + 6)]


def svg(
    density: np.ndarray,
    median: float,
    arcs: Mapping[int, Arc] | None = None,
    *,
    claimed: float | None = None,
    elevations: Sequence[float] | np.ndarray | None = None,
    size: int = 240,
    alone: bool = False,
    title: str = "",
) -> str:
    """The dial as an ``<svg>`` element.

    Args:
        density: ``[bins]``, 00:00 first.
        median: hour the hand points to, written in the middle.
        arcs: by percentage, e.g. ``{50: (16.5, 18.0), 80: (15.0, 19.5)}``; the smaller the share, the thicker the line.
        claimed: hour the file states; an open circle on the rim.
        elevations: sun elevation in degrees over the day, ``[any]``; the rim is coloured by it.
        size: of the drawing in pixels, where nothing else says.
        alone: a file of its own, with colours for light and dark; otherwise the page that holds it gives them.
        title: read out to who cannot see it.
    """
    label = _escaped(title or f"most likely {hhmm(median)}")
    space = ' xmlns="http://www.w3.org/2000/svg"' if alone else ""
    parts = [
        f'<svg{space} viewBox="-120 -120 240 240" width="{size}" height="{size}" role="img" aria-label="{label}" '
        'font-family="system-ui, sans-serif">'
    ]
    if alone:
        parts.append(
            f"<style>:root {{ {variables(LIGHT)} }} @media (prefers-color-scheme: dark) "
            f"{{ :root {{ {variables(DARK)} }} }}</style>"
            '<circle r="119" fill="var(--card)"/>'
        )
    parts.append(_rim(elevations))
    mass = np.asarray(density, dtype=np.float64)
    top = mass.max()
    step = 24 / len(mass)
    points = [(44.0, k * step) for k in range(len(mass), -1, -1)]
    for k, share in enumerate(mass):
        reach = 44 + 42 * (share / top if top > 0 else 0)
        points += [(reach, k * step), (reach, (k + 1) * step)]
    outline = " ".join(f"{r * _direction(h)[0]:.1f},{r * _direction(h)[1]:.1f}" for r, h in points)
    parts.append(f'<polygon points="{outline}" fill="var(--s0)" fill-opacity=".75"/>')
    for place, (share, arc) in enumerate(sorted((arcs or {}).items())):
        parts.append(
            f'<path d="{_path(38 - 5 * place, arc)}" fill="none" stroke="var(--s1)" '
            f'stroke-width="{max(1.5, 4 - 2 * place)}" stroke-linecap="round"><title>{share} % arc</title></path>'
        )
    x, y = _direction(median)
    parts.append(
        f'<line x1="{42 * x:.1f}" y1="{42 * y:.1f}" x2="{90 * x:.1f}" y2="{90 * y:.1f}" stroke="var(--ink)" '
        'stroke-width="2"/>'
        f'<text y="6" text-anchor="middle" font-size="17" font-weight="650" fill="var(--ink)">{hhmm(median)}</text>'
    )
    if claimed is not None:
        x, y = _direction(claimed)
        parts.append(
            f'<circle cx="{95 * x:.1f}" cy="{95 * y:.1f}" r="5" fill="var(--card)" stroke="var(--s3)" '
            f'stroke-width="2.5"><title>claimed {hhmm(claimed)}</title></circle>'
        )
    return "".join(parts) + "</svg>"


def _rim(elevations: Sequence[float] | np.ndarray | None) -> str:
    """The rim with its hours, coloured by the sun where its way is known."""
    parts = []
    if elevations is None:
        parts.append('<circle r="95" fill="none" stroke="var(--line)" stroke-width="5"/>')
    else:
        height = np.asarray(elevations, dtype=np.float64)
        step = 24 / len(height)
        colours = [next(colour for edge, colour in _SKY if value < edge) for value in height]
        start = 0
        for end in range(1, len(height) + 1):
            if end == len(height) or colours[end] != colours[start]:
                arc = (start * step, end * step)
                parts.append(f'<path d="{_path(95, arc)}" fill="none" stroke="{colours[start]}" stroke-width="6"/>')
                start = end
    for hour in range(24):
        x, y = _direction(hour)
        near = 88 if hour % 3 == 0 else 91
        parts.append(
            f'<line x1="{near * x:.1f}" y1="{near * y:.1f}" x2="{98 * x:.1f}" y2="{98 * y:.1f}" stroke="var(--muted)" '
            'stroke-width="1"/>'
        )
        if hour % 3 == 0:
            parts.append(
                f'<text x="{108 * x:.1f}" y="{108 * y + 4:.1f}" text-anchor="middle" font-size="11" '
                f'fill="var(--muted)">{hour:02d}</text>'
            )
    return "".join(parts)


def _path(radius: float, arc: Arc) -> str:
    """The way along a circle from one hour to another, clockwise; a whole day is drawn as two halves."""
    start, end = arc
    length = end - start if end > start else end - start + 24
    if length >= 24:
        start, length = 0.0, 24.0
    way = f"M{_at(radius, start)}"
    halves = 2 if length > 12 else 1
    for half in range(1, halves + 1):
        way += f" A{radius:.1f} {radius:.1f} 0 0 1 {_at(radius, start + length * half / halves)}"
    return way


def _at(radius: float, hour: float) -> str:
    x, y = _direction(hour)
    return f"{radius * x:.2f} {radius * y:.2f}"


def _direction(hour: float) -> tuple[float, float]:
    """Where an hour lies: right and down, as screens count."""
    angle = (hour - 12) / 24 * 2 * math.pi
    return math.sin(angle), -math.cos(angle)


def _spread(density: np.ndarray, parts: int) -> np.ndarray:
    """``density`` over another number of equal parts of the day."""
    mass = np.asarray(density, dtype=np.float64)
    whole = np.concatenate([[0.0], np.cumsum(mass)])
    edges = np.interp(np.linspace(0, len(mass), parts + 1), np.arange(len(mass) + 1), whole)
    return np.diff(edges)


def _escaped(words: str) -> str:
    import html

    return html.escape("".join(c if c >= " " else " " for c in words), quote=True)
