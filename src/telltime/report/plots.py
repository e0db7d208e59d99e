"""Plots as inline SVG that follows the page's light or dark colours; drawn by matplotlib without a display."""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from telltime.report.palette import LIGHT, SERIES, STAND_INS, themed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.6  # inches; the page scales the drawing to its column
_INK, _MUTED, _LINE = STAND_INS["ink"], STAND_INS["muted"], STAND_INS["line"]


def curves(
    series: Mapping[str, Sequence[float] | tuple[Sequence[float], Sequence[float]]],
    *,
    x: str = "step",
    y: str = "",
    log: bool = False,
    smooth: bool = True,
) -> str:
    """Lines over a common axis, each named at its right end.

    Args:
        series: name to values, or to (positions, values); values that are not finite leave a gap.
        x, y: axis titles.
        log: logarithmic ``y``.
        smooth: draw the running mean of long noisy series over a faint line of the values.
    """
    figure, axes = _axes(2.9)
    ends = []
    for index, (name, given) in enumerate(series.items()):
        at, values = _pair(given)
        if not len(values):
            continue
        colour = _colour(index)
        shown = _running_mean(values) if smooth and len(values) >= 60 else values
        if shown is not values:
            axes.plot(at, values, color=colour, alpha=0.22, linewidth=0.8)
        axes.plot(at, shown, color=colour, linewidth=1.8, marker="o" if len(values) == 1 else None)
        finite = np.flatnonzero(np.isfinite(shown))
        if len(finite):
            ends.append((float(shown[finite[-1]]), float(at[finite[-1]]), name, colour))
    if log and all(v > 0 for v, *_ in ends):
        axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    _name_ends(figure, axes, ends)
    return _svg(figure)


def bars(values: Mapping[str, float], *, unit: str = "", most: int = 30, mean: bool = True) -> str:
    """Horizontal bars, largest first; of more than ``most`` the ends are kept and the gap is said.

    Args:
        values: name to value; shares (all within 0 and 1) are written as percent.
        unit: title of the axis.
        most: bars drawn at most.
        mean: draw the mean of all values as a line.
    """
    ranked = sorted(
        ((n, float(v)) for n, v in values.items() if math.isfinite(v)), key=lambda item: (-item[1], item[0])
    )
    left_out = len(ranked) - most if len(ranked) > most else 0
    kept = ranked[: (most + 1) // 2] + [("", math.nan)] * bool(left_out) + ranked[len(ranked) - most // 2 :]
    kept = kept if left_out else ranked
    figure, axes = _axes(0.55 + 0.235 * max(1, len(kept)))
    share = all(0 <= v <= 1 for _, v in ranked)
    for row, (_, value) in enumerate(kept):
        if math.isnan(value):
            axes.text(0, row, f"  … {left_out} more between", va="center", color=_MUTED, fontstyle="italic")
            continue
        axes.barh(row, value, height=0.66, color=_colour(0))
        _beside(axes, row, _number(value, share))
    axes.set_yticks([r for r, (n, _) in enumerate(kept) if n], [_short(n) for n, _ in kept if n])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    if ranked and mean and len(ranked) > 1:
        centre = sum(v for _, v in ranked) / len(ranked)
        _rule(axes, centre, f"mean {_number(centre, share)}")
    _value_axis(axes, share, unit)
    return _svg(figure)


def compare(scores: Mapping[str, Mapping[str, float]], *, unit: str = "", chance: float | None = None) -> str:
    """Scores beside each other: one group of horizontal bars a metric, one colour a model.

    Args:
        scores: model name to {metric name: value}.
        unit: title of the axis.
        chance: drawn as a dotted line where given.
    """
    metrics = list(dict.fromkeys(m for row in scores.values() for m in row))
    share = all(0 <= v <= 1 for row in scores.values() for v in row.values())
    thick = 0.8 / max(1, len(scores))
    figure, axes = _axes(0.9 + len(metrics) * (0.24 + 0.22 * len(scores)))
    for index, (name, row) in enumerate(scores.items()):
        places = [(m + (index - (len(scores) - 1) / 2) * thick, row[t]) for m, t in enumerate(metrics) if t in row]
        at, values = [p for p, _ in places], [v for _, v in places]
        axes.barh(at, values, height=thick * 0.86, color=_colour(index), label=name)
        for place, value in places:
            _beside(axes, place, _number(value, share), colour=_colour(index))
    axes.set_yticks(range(len(metrics)), [_short(m) for m in metrics])
    axes.set_ylim(len(metrics) - 0.4, -0.6)
    if chance is not None:
        _rule(axes, chance, "chance")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.42 / (figure.get_figheight() - 0.5)), ncols=3, frameon=False)
    _value_axis(axes, share, unit)
    return _svg(figure)


def confusion(matrix: "np.ndarray | Sequence[Sequence[float]]", classes: Sequence[str]) -> str:
    """A confusion matrix, true classes down, predicted across; each row shaded by its shares.

    Args:
        matrix: counts ``[K, K]``.
        classes: K names; they are written up to 40 classes, the counts up to 12.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    size = len(counts)
    if counts.shape != (size, size) or len(classes) != size:
        raise ValueError(f"a confusion matrix of {len(classes)} classes must be square, not {counts.shape}")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rgb = [int(LIGHT["s0"][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    pixels = np.concatenate([np.broadcast_to(rgb, (size, size, 3)), 0.9 * np.sqrt(share)[..., None]], axis=2)
    figure, axes = _axes(WIDTH * 0.96)
    axes.imshow(pixels, interpolation="none", aspect="equal")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if size <= 40:
        small = 9 if size <= 20 else 6
        names = [_short(c, 18) for c in classes]
        axes.set_xticks(
            range(size), names, rotation=90 if size > 5 else 30, fontsize=small, ha="center" if size > 5 else "right"
        )
        axes.set_yticks(range(size), names, fontsize=small)
    if size <= 12:
        for row, column in np.argwhere(counts > 0):
            colour = "#ffffff" if share[row, column] > 0.5 else _INK
            text = f"{counts[row, column]:g}"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
    for side in axes.spines.values():
        side.set(visible=True, color=_LINE)
    axes.tick_params(length=0)
    return _svg(figure)


def _axes(height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("none")
    figure.patch.set_visible(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_LINE)
    axes.tick_params(which="both", colors=_MUTED, labelcolor=_INK, length=0)
    axes.xaxis.label.set_color(_MUTED)
    axes.yaxis.label.set_color(_MUTED)
    return figure, axes


def _svg(figure: "Figure") -> str:
    """The figure as an ``<svg>`` element without fixed size; text stays text, equal input gives equal bytes."""
    import matplotlib
    from matplotlib.text import Text

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "telltime", "text.color": _INK}):
        for text in figure.findobj(Text):
            if isinstance(text, Text) and text.get_color() == "black":
                text.set_color(_INK)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r'<svg role="img" \1', svg, count=1)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    return themed(re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.DOTALL))


def _pair(given: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(given, tuple) and len(given) == 2 and np.ndim(given[0]) == 1:
        at, values = (np.asarray(v, dtype=np.float64) for v in given)
        return at, values
    values = np.asarray(given, dtype=np.float64)
    return np.arange(1, len(values) + 1, dtype=np.float64), values


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a twentieth, shorter at the ends; gaps are passed over."""
    half = max(2, len(values) // 40)
    finite = np.isfinite(values)
    sums = np.concatenate([[0], np.cumsum(np.where(finite, values, 0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    low = np.maximum(np.arange(len(values)) - half, 0)
    high = np.minimum(np.arange(len(values)) + half + 1, len(values))
    seen = counts[high] - counts[low]
    return np.where(seen > 0, (sums[high] - sums[low]) / np.maximum(seen, 1), np.nan)


def _name_ends(figure: "Figure", axes: "Axes", ends: list[tuple[float, float, str, str]]) -> None:
    """Write each line's name beside its last point, pushed apart where they would touch."""
    if not ends:
        return
    height = figure.get_figheight() * 72 * 0.75
    transform = axes.transData
    figure.draw_without_rendering()
    points = sorted(((transform.transform((x, y))[1] * 72 / figure.dpi, x, y, n, c) for y, x, n, c in ends))
    placed: list[float] = []
    for point, *_ in points:
        placed.append(max(point, placed[-1] + 13) if placed else point)
    over = max(0.0, placed[-1] - max(height, points[-1][0]))
    for (point, x, y, name, colour), place in zip(points, placed, strict=True):
        axes.annotate(
            _short(name, 22), (x, y), (6, place - over - point), textcoords="offset points", color=colour, va="center"
        )


def _beside(axes: "Axes", row: float, words: str, colour: str = _MUTED) -> None:
    """Write a value in the column to the right of the bars."""
    axes.text(1.11, row, words, transform=axes.get_yaxis_transform(), ha="right", va="center", color=colour)


def _rule(axes: "Axes", at: float, words: str) -> None:
    """A dashed line across the bars, named above them."""
    axes.axvline(at, color=_INK, linewidth=1, linestyle=(0, (3, 3)))
    axes.text(at, 1.01, words, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=_INK)


def _value_axis(axes: "Axes", share: bool, unit: str) -> None:
    axes.set_xlabel(unit)
    axes.spines["bottom"].set_visible(False)
    axes.grid(axis="x", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    if share:
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100 %"])
    else:
        axes.margins(x=0.02)


def _number(value: float, share: bool) -> str:
    return f"{100 * value:.1f}" if share else f"{value:.3g}"


def _short(name: str, most: int = 26) -> str:
    """``name`` cut in its middle; no ``$`` that would start a formula."""
    name = name if len(name) <= most else f"{name[: most // 2]}…{name[-(most - most // 2 - 1) :]}"
    return name.replace("$", r"\$")


def _colour(index: int) -> str:
    return STAND_INS[SERIES[index % len(SERIES)]]
