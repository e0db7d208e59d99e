"""Calibrating an index on the videos it holds."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from telltime.clips.ragged import Ragged
from telltime.search.about import About
from telltime.search.calibrate import Calibration, Tail
from telltime.search.changes import Known
from telltime.search.rows import unpack
from telltime.search.scoring import both_ways
from telltime.search.tables import Tables

_QUERIES, _GALLERY = 100, 600  # videos
_QUERY_FRAMES, _GALLERY_FRAMES = 4_000, 24_000
_FRAME_PAIRS = 1_000
_FRAME_RATE = 1e-3
_LOWEST, _HIGHEST = 0.2, 0.95


def calibrate(tables: Tables, about: About, known: Mapping[str, Known]) -> Calibration:
    """Scores of pairs of different videos, some hundred of the collection, and what they say of scores to come."""
    videos = sorted(known.values(), key=lambda video: video.number)
    order = np.random.default_rng(len(videos)).permutation(len(videos))
    chosen = _within([videos[i] for i in order], _GALLERY, _GALLERY_FRAMES)
    table = tables.read(about.rows, ["number", "frames", "rows"], [video.number for video in chosen])
    digests = {video.number: video.digest for video in chosen}
    return calibration(unpack(table).to(torch.float32), [digests[n] for n in table["number"].to_pylist()], len(videos))


def calibration(rows: Ragged, contents: Sequence[str], videos: int) -> Calibration:
    """The same from rows.

    Args:
        rows: of some videos, float32, L2-normalised.
        contents: a digest of each; those with the same are no unrelated pair.
        videos: how many there are in all.
    """
    queries = _first(rows, _QUERIES, _QUERY_FRAMES)
    forward, back = (scores.numpy() for scores in both_ways(queries, rows))
    names = np.array(contents)
    other = names[: len(queries), None] != names[None]
    whole, part = (forward + back) / 2, np.maximum(forward, back)
    rng = np.random.default_rng(0)
    some, more = (rng.integers(len(rows.rows), size=_FRAME_PAIRS) for _ in range(2))
    owners = rows.owners.numpy()
    alike = (rows.rows[some] @ rows.rows[more].T).numpy()
    apart = names[owners[some]][:, None] != names[owners[more]][None]
    frames = Tail.fit(alike[apart], far=False)  # frames of copies and of one scene are many among them
    frame = float(np.clip(frames.threshold(_FRAME_RATE), _LOWEST, _HIGHEST))
    return Calibration(Tail.fit(whole[other]), Tail.fit(part[other]), frame, videos)


def _within(videos: Sequence[Known], most: int, frames: int) -> list[Known]:
    """The first videos, as many as have so many frames together, but two at least."""
    total = 0
    kept: list[Known] = []
    for video in videos[:most]:
        total += video.frames
        if total > frames and len(kept) >= 2:
            break
        kept.append(video)
    return kept


def _first(rows: Ragged, most: int, frames: int) -> Ragged:
    within = int((rows.offsets[1:] <= frames).sum())
    return rows.slice(0, max(1, min(most, within)))
