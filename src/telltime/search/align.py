"""Where two videos match: spans in both, found along the diagonals of their frame similarity.

A path through the matrix of frame similarities gains what a cell has above ``threshold`` and loses what it lacks; it
goes on by one frame in both videos, or by one in the one and up to three in the other, each frame passed over costing
``skip``: so speeds from a third to three times are followed, and equal speed is preferred where a still scene leaves
the choice. The best path (local alignment by dynamic programming, all candidates at once) is a span; where a line
through it leaves the frames of either video gives its ends, finer than frames are apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from telltime.clips.ragged import Ragged

THRESHOLD = 0.5
_MOVES = ((0, 0), (1, 1), (1, 2), (2, 1), (1, 3), (3, 1))  # 0 starts a path
_CELLS = 1 << 24  # of the matrices held at once
_NEVER = -1e4
_SAME_SPEED = 0.06

Times = Sequence[float] | np.ndarray


class Span(NamedTuple):
    """A stretch of the query that matches a stretch of the target; seconds.

    Attributes:
        score: mean similarity of the frames along the match, at most 1.
    """

    query_start: float
    query_end: float
    target_start: float
    target_end: float
    score: float


@dataclass(frozen=True)
class Alignment:
    """What counts as a match.

    Attributes:
        threshold: similarity above which two frames speak for a match; above what frames of strangers have, which is
            near 0 for whitened descriptors and near 0.5 for plain ones of the embedded network.
        skip: what it costs to pass over a frame of one video.
        gap: frames in a row below the threshold that a span may cross.
        least: the sum of similarities above the threshold that a span must reach.
        shortest: frames a span must have, unless a whole video has fewer.
        most: spans of a pair.
        repeats: whether the same stretch of one video may match several of the other; a still scene then matches
            itself over and over.
    """

    threshold: float = THRESHOLD
    skip: float = 0.1
    gap: int = 3
    least: float = 0.4
    shortest: int = 2
    most: int = 5
    repeats: bool = False


def align(
    query_rows: Tensor,
    target_rows: Tensor,
    query_times: Times | None = None,
    target_times: Times | None = None,
    how: Alignment = Alignment(),
) -> list[Span]:
    """The matching spans of two videos, best first; none when nothing matches.

    Args:
        query_rows, target_rows: ``[m, D]`` and ``[n, D]``, L2-normalised.
        query_times, target_times: seconds of each frame, rising; by default a frame a second.
    """
    times = None if target_times is None else [target_times]
    return align_many(query_rows, Ragged.of([target_rows]), query_times, times, how)[0]


def align_many(
    query_rows: Tensor,
    targets: Ragged,
    query_times: Times | None = None,
    target_times: Sequence[Times] | None = None,
    how: Alignment = Alignment(),
) -> list[list[Span]]:
    """:func:`align` of a query with many videos at once: a list of spans for each."""
    asked = _times(query_times, len(query_rows))
    times: Sequence[Times | None] = target_times if target_times is not None else [None] * len(targets)
    held = [_times(given, int(length)) for given, length in zip(times, targets.lengths, strict=True)]
    found: list[list[Span]] = [[] for _ in held]
    for some, matrices in _matrices(query_rows, targets):
        todo = np.arange(len(some))
        for _ in range(how.most):
            worth, paths = _best_paths(matrices[todo] - np.float32(how.threshold), how)
            short = np.minimum(how.shortest, np.minimum(matrices.shape[1], [len(held[some[k]]) for k in todo]))
            good = (worth >= how.least) & (np.array([len(path) for path in paths]) >= short)
            for place in np.flatnonzero(good):
                at, path = todo[place], paths[place]
                found[some[at]].append(_span(matrices[at], path, asked, held[some[at]], how.threshold))
                _strike_out(matrices[at], path, how.repeats)
            todo = todo[good]
            if not len(todo):
                break
    return found


def dp(queries: Ragged, gallery: Ragged, how: Alignment = Alignment()) -> Tensor:
    """How much of the shorter video the best alignment of a pair covers: float32 ``[Q, G]`` in 0 to 1.

    The sum of similarities above the threshold along the best path, over what a perfect match of the shorter video
    would reach.
    """
    out = torch.zeros(len(queries), len(gallery))
    for row, query in enumerate(queries):
        for some, matrices in _matrices(query, gallery):
            worth, _ = _best_paths(matrices - np.float32(how.threshold), how)
            shorter = np.minimum(len(query), gallery.lengths[some].numpy())
            out[row, some] = torch.from_numpy(worth / (shorter * (1 - how.threshold))).float()
    return out.clamp_(0, 1)


def _matrices(query: Tensor, targets: Ragged) -> Iterator[tuple[list[int], np.ndarray]]:
    """Indices of some targets of nearly equal length, and their matrices ``[B, m, n]``, ``_NEVER`` beyond their ends.

    Raises:
        ValueError: the query has no frames.
    """
    if not len(query):
        raise ValueError("the query has no frames to align")
    order = targets.lengths.argsort(stable=True, descending=True).tolist()
    lengths = targets.lengths.tolist()
    while order:
        widest = max(1, lengths[order[0]])
        some = order[: max(1, _CELLS // (len(query) * widest))]
        order = order[len(some) :]
        chosen = targets.take(some)
        seen = (query.float() @ chosen.rows.to(query.device).float().T).cpu().numpy()
        matrices = np.full((len(some), len(query), widest), _NEVER, dtype=np.float32)
        for place, (first, last) in enumerate(zip(chosen.offsets[:-1], chosen.offsets[1:], strict=True)):
            matrices[place, :, : last - first] = seen[:, first:last]
        yield some, matrices


def _best_paths(gains: np.ndarray, how: Alignment) -> tuple[np.ndarray, list[np.ndarray]]:
    """The best path of every matrix of gains ``[B, m, n]``: its worth ``[B]`` and its cells, int ``[k, 2]`` each."""
    count, rows, columns = gains.shape
    steps = np.zeros(gains.shape, dtype=np.int8)
    reach = max(move[0] for move in _MOVES)
    worth = np.zeros((reach, count, columns), dtype=np.float32)  # of the rows before, nearest first
    weak = np.zeros((reach, count, columns), dtype=np.int32)  # frames in a row below the threshold
    best = np.zeros(count, dtype=np.float32)
    ends = np.zeros((count, 2), dtype=np.int64)
    for row in range(rows):
        top = np.zeros((count, columns), dtype=np.float32)
        since = np.zeros((count, columns), dtype=np.int32)
        for index, (down, right) in enumerate(_MOVES[1:], 1):
            if right >= columns:
                continue
            value = worth[down - 1, :, :-right] - np.float32(how.skip * (down + right - 2))
            better = value > top[:, right:]
            np.copyto(top[:, right:], value, where=better)
            np.copyto(since[:, right:], weak[down - 1, :, :-right], where=better)
            np.copyto(steps[:, row, right:], index, where=better)
        now = gains[:, row] + top
        since = np.where(gains[:, row] > 0, 0, since + 1)
        now[(since > how.gap) | (now <= 0)] = 0
        worth, weak = np.roll(worth, 1, 0), np.roll(weak, 1, 0)
        worth[0], weak[0] = now, since
        at = now.argmax(1)
        top_here = now[np.arange(count), at]
        improved = top_here > best
        best[improved] = top_here[improved]
        ends[improved, 0], ends[improved, 1] = row, at[improved]
    return best, _walk_back(steps, ends)


def _walk_back(steps: np.ndarray, ends: np.ndarray) -> list[np.ndarray]:
    """Cells of the paths that end at ``ends``, first to last."""
    moves = np.array(_MOVES)
    batch = np.arange(len(ends))
    cells, on = [ends], [np.ones(len(ends), dtype=bool)]
    while True:
        move = moves[steps[batch, cells[-1][:, 0], cells[-1][:, 1]]]
        going = on[-1] & move.any(1)
        if not going.any():
            break
        cells.append(np.where(going[:, None], cells[-1] - move, cells[-1]))
        on.append(going)
    path, kept = np.stack(cells[::-1]), np.stack(on[::-1])
    return [path[kept[:, place], place] for place in batch]


def _strike_out(matrix: np.ndarray, path: np.ndarray, repeats: bool) -> None:
    """Take a path's frames out of the matrix ``[m, n]``, so that the next one uses others."""
    (top, left), (bottom, right) = path[0], path[-1]
    if repeats:
        matrix[top : bottom + 1, left : right + 1] = _NEVER
    else:
        matrix[top : bottom + 1] = _NEVER
        matrix[:, left : right + 1] = _NEVER


def _span(
    matrix: np.ndarray, path: np.ndarray, query_times: np.ndarray, target_times: np.ndarray, threshold: float
) -> Span:
    """The span of a path: its line, cut where it leaves the stretch of either video."""
    rows, columns = path.T
    similar = matrix[rows, columns]
    asked, seen = query_times[rows], _between(target_times, columns + _offset(matrix, rows, columns))
    slope, shift = _line(asked, seen, similar)
    on_line = _nearest_frames(target_times, slope * query_times + shift)
    first, last = _stretch(query_times, *_go_on(matrix[np.arange(len(query_times)), on_line] > threshold, rows))
    on_line = _nearest_frames(query_times, (target_times - shift) / slope)
    edges = _stretch(target_times, *_go_on(matrix[on_line, np.arange(len(target_times))] > threshold, columns))
    start, end = max(first, (edges[0] - shift) / slope), min(last, (edges[1] - shift) / slope)
    if end <= start:
        start, end = first, last
    low, high = _stretch(target_times, 0, len(target_times) - 1)
    begun, ended = (float(min(max(slope * at + shift, low), high)) for at in (start, end))
    return Span(float(start), float(end), begun, ended, float(similar.mean()))


def _go_on(similar: np.ndarray, path: np.ndarray) -> tuple[int, int]:
    """First and last frame of a path, moved on while frames on its line are ``similar``: a path that follows a change
    of speed passes over frames, at its ends too."""
    first, last = int(path[0]), int(path[-1])
    while first and similar[first - 1]:
        first -= 1
    while last + 1 < len(similar) and similar[last + 1]:
        last += 1
    return first, last


def _nearest_frames(times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Index of the frame nearest to each of the wanted times."""
    return np.searchsorted((times[1:] + times[:-1]) / 2, wanted)


def _offset(matrix: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Where between the frames around it a match peaks, in frames, -0.5 to 0.5: the top of a parabola."""
    before = matrix[rows, np.maximum(columns - 1, 0)]
    after = matrix[rows, np.minimum(columns + 1, matrix.shape[1] - 1)]
    at = matrix[rows, columns]
    inside = (columns > 0) & (columns < matrix.shape[1] - 1) & (before > -2) & (after > -2)
    bend = before - 2 * at + after
    peaked = inside & (bend < -1e-3) & (at >= before) & (at >= after)
    return np.where(peaked, 0.5 * (before - after) / np.where(peaked, bend, 1), 0)


def _line(asked: np.ndarray, seen: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Slope and shift of target seconds over query seconds; slope 1 where nothing speaks clearly for another speed."""
    weights = np.maximum(weights, 1e-3)
    centre = np.average(asked, weights=weights)
    middle = np.average(seen, weights=weights)
    width = np.average((asked - centre) ** 2, weights=weights)
    slope = 1.0
    if len(asked) >= 4 and width > 0:
        slope = float(np.average((asked - centre) * (seen - middle), weights=weights) / width)
    slope = slope if 1 / 3 <= slope <= 3 and abs(slope - 1) > _SAME_SPEED else 1.0
    return slope, float(np.median(seen - slope * asked))


def _stretch(times: np.ndarray, first: int, last: int) -> tuple[float, float]:
    """Seconds that frames ``first`` to ``last`` stand for: half way to the frames beside them.

    Where a video ends is not known: half a step after its last frame is taken for it.
    """
    start = (times[first - 1] + times[first]) / 2 if first else times[first]
    if last + 1 < len(times):
        return float(start), float(times[last] + times[last + 1]) / 2
    return float(start), float(times[last] + (np.median(np.diff(times)) / 2 if len(times) > 1 else 0))


def _between(times: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.interp(places, np.arange(len(times)), times)


def _times(given: Times | None, count: int) -> np.ndarray:
    if given is None:
        return np.arange(count, dtype=np.float64)
    times = np.asarray(given, dtype=np.float64)
    if times.shape != (count,):
        raise ValueError(f"{count} frames need {count} times, not {list(times.shape)}")
    return times
