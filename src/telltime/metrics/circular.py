"""The day as a circle: distributions of the time of day, and the numbers that sum them up.

A density is the probabilities of equal bins of the day, the first from midnight: float ``[bins]`` or ``[N, bins]``,
rows sum to 1. Within a bin the time is spread evenly. Hours are floats in [0, 24). Tensors on the CPU do as arrays.
"""

import math
from typing import Any, NamedTuple

import numpy as np

DAY = 24.0
_MINUTES = 1440


class Arc(NamedTuple):
    """A stretch of the day, from ``start`` forward to ``end``, hours in [0, 24); the whole day where both are equal."""

    start: Any
    end: Any

    @property
    def length(self) -> Any:
        """Hours, above 0 and at most 24."""
        span = np.mod(np.subtract(self.end, self.start), DAY)
        return np.where(span == 0, DAY, span)[()]

    def holds(self, hours: Any) -> Any:
        """Whether times lie in it, both ends included."""
        return np.mod(np.subtract(hours, self.start), DAY) <= self.length


class Peak(NamedTuple):
    """A time around which a density gathers, and the share that belongs to it."""

    hour: float
    share: float


def bin_of(minutes: Any, classes: int) -> Any:
    """The class of whole minutes since midnight: ``minutes * classes // 1440``, exact for any number of classes.

    Raises:
        ValueError: minutes outside the day, or more classes than minutes.
    """
    whole = np.asarray(minutes)
    if not 1 <= classes <= _MINUTES:
        raise ValueError(f"the day has 1 to {_MINUTES} classes, not {classes}")
    if whole.size and not ((whole >= 0) & (whole < _MINUTES)).all():
        raise ValueError(f"minutes of the day lie in 0 to {_MINUTES - 1}")
    return (whole.astype(np.int64) * classes // _MINUTES)[()]


def minutes_of(hours: Any) -> Any:
    """Whole minutes of the day, int64: the minute that a time lies in, whatever its seconds."""
    found = np.floor(np.mod(np.asarray(hours, np.float64), DAY) * 60 + 1e-6).astype(np.int64) % _MINUTES
    return found[()]


def classes_of(hours: Any, classes: int) -> Any:
    """The class of each time, int64; see :func:`bin_of`."""
    return bin_of(minutes_of(hours), classes)


def centres(bins: int) -> np.ndarray:
    """Hours in the middle of each bin, float64 ``[bins]``."""
    return (np.arange(bins) + 0.5) * (DAY / bins)


def difference(first: Any, second: Any) -> Any:
    """Signed way from ``second`` to ``first``, hours in [-12, 12)."""
    return np.mod(np.subtract(first, second, dtype=np.float64) + DAY / 2, DAY) - DAY / 2


def distance(first: Any, second: Any) -> Any:
    """Hours between two times, the shorter way round, 0 to 12."""
    return np.abs(difference(first, second))


def rebin(density: Any, bins: int) -> np.ndarray:
    """The same density over another number of bins, float64 ``[..., bins]``; no share is lost."""
    given = _rows(density)
    count = given.shape[-1]
    if bins == count:
        return given
    if count % bins == 0:
        return given.reshape(*given.shape[:-1], bins, count // bins).sum(-1)
    if bins % count == 0:
        return given.repeat(bins // count, axis=-1) * (count / bins)
    return np.diff(_shares(given, np.arange(bins + 1) * (count / bins)), axis=-1)


def refine(density: Any, bins: int) -> np.ndarray:
    """A density over at least as many bins, float64 ``[..., bins]``, falling or rising within a bin as around it.

    Each given bin keeps its share; within it the density is a straight line with the slope between its neighbours, as
    far as that stays above 0.
    """
    given = _rows(density)
    count = given.shape[-1]
    parts = math.lcm(count, bins) // count
    slope = np.clip((np.roll(given, -1, axis=-1) - np.roll(given, 1, axis=-1)) / 2, -2 * given, 2 * given)
    inside = (np.arange(parts) + 0.5) / parts - 0.5
    fine = (given[..., None] + slope[..., None] * inside) / parts
    return rebin(fine.reshape(*given.shape[:-1], count * parts), bins)


def at(density: Any, hours: Any) -> np.ndarray:
    """Probability an hour at each of ``hours`` ``[...]``, interpolated between the middles of the bins; shapes match.

    Of ``[N, bins]`` and hours ``[N]`` or ``[N, K]``, each row answers for its own hours.
    """
    given = _rows(density)
    bins = given.shape[-1]
    place = np.mod(np.asarray(hours, np.float64), DAY) * (bins / DAY) - 0.5
    low = np.floor(place).astype(np.int64)
    part = place - low
    if given.ndim == 1:
        left, right = given[low % bins], given[(low + 1) % bins]
    else:
        wide = low.reshape(len(given), -1)
        left, right = (np.take_along_axis(given, (wide + step) % bins, 1).reshape(low.shape) for step in (0, 1))
    return (left * (1 - part) + right * part) * (bins / DAY)


def mode(density: Any) -> Any:
    """The middle of the likeliest bin, hours."""
    given = _rows(density)
    return centres(given.shape[-1])[given.argmax(-1)][()]


def circular_mean(density: Any) -> Any:
    """Direction of the mean resultant vector, hours."""
    return (np.angle(_vector(_rows(density))) * (DAY / 2 / np.pi) % DAY)[()]


def resultant(density: Any) -> Any:
    """Length of the mean resultant vector: 1 where all is at one time, 0 where nothing is told."""
    return np.abs(_vector(_rows(density)))[()]


def expected_error(density: Any, hours: Any) -> Any:
    """Mean circular distance, in hours, of a density from each of ``hours`` ``[...]`` (one a row)."""
    even = _even(_rows(density))
    edges, slopes = _costs(even)
    bins = even.shape[-1]
    place = np.mod(np.asarray(hours, np.float64), DAY) * (bins / DAY)
    low = np.minimum(place.astype(np.int64), bins - 1)
    part = place - low
    edge, left, right = (_pick(values, low) for values in (edges, slopes, np.roll(slopes, -1, axis=-1)))
    return (edge + (left * part + (right - left) * part**2 / 2) * (DAY / bins))[()]


def circular_median(density: Any) -> Any:
    """The time with the least mean circular distance from a density, hours; exact, not of a grid."""
    even = _even(_rows(density))
    bins = even.shape[-1]
    edges, left = _costs(even)
    right = np.roll(left, -1, axis=-1)
    rise = right - left
    crossing = (left < 0) & (right > 0)
    part = np.where(crossing, -left / np.where(crossing, rise, 1), 0.0)
    cost = edges + (left * part + rise * part**2 / 2) * (DAY / bins)
    best = cost.argmin(-1)
    return np.mod((best + _pick(part, best)) * (DAY / bins), DAY)[()]


def arc(density: Any, share: Any) -> Arc:
    """The shortest arc that holds ``share`` (0 to 1) of a density.

    Args:
        share: one number, or one a row.

    Raises:
        ValueError: the share lies outside (0, 1].
    """
    given = _rows(density)
    wanted = np.broadcast_to(np.asarray(share, np.float64), given.shape[:-1])
    if wanted.size and not ((wanted > 0) & (wanted <= 1)).all():
        raise ValueError(f"an arc holds a share above 0 and up to 1, not {share}")
    flat = given.reshape(-1, given.shape[-1])
    flat = flat / np.maximum(flat.sum(-1, keepdims=True), 1e-300)
    starts, ends = _windows(flat, wanted.reshape(-1, 1))
    best = (ends - starts).argmin(-1)
    step = DAY / flat.shape[-1]
    start, length = _pick(starts, best) * step, np.minimum(_pick(ends - starts, best) * step, DAY)
    whole = length >= DAY * (1 - 1e-12)
    start = np.mod(np.where(whole, 0.0, start), DAY).reshape(wanted.shape)
    return Arc(start[()], np.mod(start + np.where(whole, 0.0, length).reshape(wanted.shape), DAY)[()])


def peaks(density: Any, least: float = 0.2, width: float = 0.75, valley: float = 0.6) -> list[Peak] | list[list[Peak]]:
    """The times a density gathers around, the likeliest first: two of them mean "morning or evening?".

    The density is smoothed, its tops are kept that a dip parts from every higher one, and each bin belongs to the
    top it would be climbed to.

    Args:
        density: ``[bins]``, or ``[N, bins]`` for a list of lists.
        least: share that a peak must have to be told of.
        width: hours, of the smoothing (the deviation of a wrapped normal curve).
        valley: how deep a dip must be, as a share of the lower of the two tops.
    """
    given = _rows(density)
    if given.ndim > 1:
        return [_peaks_of(row, least, width, valley) for row in given]
    return _peaks_of(given, least, width, valley)


def smooth(density: Any, width: float) -> np.ndarray:
    """A density blurred by a wrapped normal curve of ``width`` hours (its standard deviation)."""
    given = _rows(density)
    bins = given.shape[-1]
    turns = np.arange(bins // 2 + 1)
    fade = np.exp(-0.5 * (turns * (2 * np.pi / DAY) * width) ** 2)
    return np.maximum(np.fft.irfft(np.fft.rfft(given, axis=-1) * fade, n=bins, axis=-1), 0.0)


def _peaks_of(row: np.ndarray, least: float, width: float, valley: float) -> list[Peak]:
    curve = smooth(row, width)
    bins = len(curve)
    owners: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    order = sorted(range(bins), key=lambda place: -curve[place])
    for place in order:
        sides = {owners[(place + step) % bins] for step in (-1, 1) if (place + step) % bins in owners}
        if not sides:
            owners[place] = place
            members[place] = [place]
            continue
        high, *low = sorted(sides, key=lambda top: -curve[top])
        for top in low:
            if curve[place] > valley * curve[top]:
                for moved in members.pop(top):
                    owners[moved] = high
                    members[high].append(moved)
        owners[place] = high
        members[high].append(place)
    shares = {top: float(row[found].sum()) for top, found in members.items()}
    found = [Peak(float(centres(bins)[top]), share) for top, share in shares.items() if share >= least]
    top = max(shares, key=lambda one: shares[one])
    return sorted(found, key=lambda peak: -peak.share) or [Peak(float(centres(bins)[top]), shares[top])]


def _rows(density: Any) -> np.ndarray:
    given = np.asarray(density, np.float64)
    if not given.ndim or not given.shape[-1]:
        raise ValueError("a density has at least one bin")
    return given


def _pick(values: np.ndarray, places: Any) -> Any:
    """``values[..., places]``, a place a row."""
    return np.take_along_axis(values, np.asarray(places)[..., None], -1)[..., 0]


def _even(given: np.ndarray) -> np.ndarray:
    """An even number of bins, rows summing to 1: then the time opposite to an edge is an edge."""
    given = given / np.maximum(given.sum(-1, keepdims=True), 1e-300)
    return rebin(given, 2 * given.shape[-1]) if given.shape[-1] % 2 else given


def _costs(even: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At the lower edge of every bin: the mean distance in hours, and its slope, which is linear within a bin."""
    bins = even.shape[-1]
    away = distance(centres(bins), 0.0)
    edges = np.fft.irfft(np.fft.rfft(even, axis=-1) * np.fft.rfft(away).conj(), n=bins, axis=-1)
    passed = np.concatenate([np.zeros((*even.shape[:-1], 1)), even.cumsum(-1)], -1)[..., :-1]
    half = bins // 2
    behind = passed - np.roll(passed, half, axis=-1)
    behind[..., :half] += 1.0
    return edges, 2 * behind - 1


def _vector(given: np.ndarray) -> np.ndarray:
    bins = given.shape[-1]
    turn = centres(bins) * (2 * np.pi / DAY)
    total = np.maximum(given.sum(-1), 1e-300)
    return (given * np.exp(1j * turn)).sum(-1) / total


def _shares(given: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Share before each place (in bins, 0 to the number of them), ``[..., len(places)]``."""
    passed = np.concatenate([np.zeros((*given.shape[:-1], 1)), given.cumsum(-1)], -1)
    low = np.minimum(places.astype(np.int64), given.shape[-1] - 1)
    part = places - low
    return passed[..., low] * (1 - part) + passed[..., low + 1] * part


def _windows(flat: np.ndarray, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arcs with an end at an edge of a bin, among which the shortest is: starts and ends in bins ``[N, 2 * bins]``."""
    count, bins = flat.shape
    passed = np.concatenate([np.zeros((count, 1)), flat.cumsum(-1)], -1)
    passed[:, -1] = 1.0
    twice = np.concatenate([passed, passed[:, 1:] + 1.0], -1)
    lift = 4.0 * np.arange(count)[:, None]
    line = (twice + lift).reshape(-1)
    size = twice.shape[1]
    edges = np.arange(bins)

    wanted = np.minimum(passed[:, :-1] + share, 2.0)
    ends = _reach(line, twice, wanted, lift, size, "left")
    back = np.maximum(twice[:, bins : 2 * bins] - share, 0.0)
    starts = _reach(line, twice, back, lift, size, "right")
    lower = np.concatenate([np.broadcast_to(edges, (count, bins)), starts], -1)
    upper = np.concatenate([ends, np.broadcast_to(edges + bins, (count, bins))], -1)
    return lower.astype(np.float64), np.maximum(upper, lower)


def _reach(line: np.ndarray, twice: np.ndarray, wanted: np.ndarray, lift: np.ndarray, size: int, side: Any) -> Any:
    """Where the running share of each row comes to ``wanted``, in bins; over an empty stretch the near end of it."""
    rows = np.arange(len(twice))[:, None]
    slack = -1e-12 if side == "left" else 1e-12
    found = np.searchsorted(line, (wanted + slack + lift).reshape(-1), side).reshape(wanted.shape) - rows * size
    high = np.clip(found, 1, size - 1)
    low = high - 1
    below, above = twice[rows, low], twice[rows, high]
    step = above - below
    return low + np.clip(np.where(step > 0, (wanted - below) / np.where(step > 0, step, 1), side == "left"), 0, 1)
