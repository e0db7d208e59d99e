"""Finding edited and partial copies in a collection: the network alone, telltime's index, and a model trained on it.

The collection is made of footage you name: all its videos, edited copies of some of them (five edits each, heavy
recompression and picture-in-picture always, the latter upon another of the videos), and partial copies: a few seconds
between two other videos. Every video with copies asks for them. A picture-in-picture or partial copy that also shows
some other video is left out where that one asks. Nothing is written beside the footage.

    python -m benchmarks.copies --footage DIR [--model runs/tca]

The default footage are the shots of the few clips that come with the demo: enough to see it run, too few to judge by.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks import _measure as measure
from telltime.demo.shots import write_shots
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.metrics.ranking import average_precision, places
from telltime.search import derive
from telltime.search.changes import videos_in
from telltime.search.index import Index
from telltime.search.scoring import Hit
from telltime.views.edits import EDITS, edit_video, picture_in_picture

ALWAYS = ("recompress-heavy", "picture-in-picture")
TOP, PART_SECONDS, WITHIN = 12, 3.0, 1.0
_HEIGHT, _WIDTH, _RATE = 240, 320, 15.0


@dataclass(frozen=True)
class Copy:
    """An edited copy: of which video, how, what else it shows; of a partial one, where in seconds."""

    of: Path
    edit: str
    shows: tuple[Path, ...] = ()
    query: tuple[float, float] = (0.0, 0.0)
    target: tuple[float, float] = (0.0, 0.0)


@dataclass
class Scores:
    """What searches for every original found."""

    precisions: list[float] = field(default_factory=list)
    top: dict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    spans: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        return {
            "map": float(np.mean(self.precisions)),
            f"recall@{TOP}": {edit: float(np.mean(found)) for edit, found in sorted(self.top.items())},
            "partial_spans_within_1_s": [int(np.sum(self.spans)), len(self.spans)],
            "seconds_a_query": measure.spread(self.seconds),
        }


def make(footage: list[Path], folder: Path, originals: int, each: int, seed: int) -> dict[Path, Copy]:
    """Write the copies; each with what it is."""
    rng = np.random.RandomState(seed)
    order = [footage[i] for i in rng.permutation(len(footage))]
    others = [name for name in EDITS if name not in ALWAYS]
    made: dict[Path, Copy] = {}
    for number, original in enumerate(order[:originals]):
        chosen = [*ALWAYS, *(others[i] for i in rng.permutation(len(others))[: max(0, each - len(ALWAYS))])]
        ground = order[(number + 1 + rng.randint(len(order) - 1)) % len(order)]
        for edit in chosen:
            path = folder / f"{number:03}-{edit}.avi"
            drawn = np.random.RandomState(rng.randint(2**31))
            if edit == "picture-in-picture":
                mixed = picture_in_picture(_frames(original), drawn, _frames(ground))
                write_video(path, _pictures(mixed), rate=_RATE, codec="mpeg4", qmin=3, qmax=5)
                made[path] = Copy(original, edit, (ground,))
            else:
                edit_video(original, edit, drawn, path)
                made[path] = Copy(original, edit)
        if number % 3 == 0:
            path = folder / f"{number:03}-partial.avi"
            before, after = (order[i] for i in rng.permutation(len(order))[:2])
            made[path] = _partial(original, before, after, path, rng)
    return made


def _partial(original: Path, before: Path, after: Path, path: Path, rng: np.random.RandomState) -> Copy:
    frames, first, last = _frames(original), _frames(before), _frames(after)
    count = min(len(frames), round(PART_SECONDS * _RATE))
    start = rng.randint(len(frames) - count + 1)
    joined = torch.cat([first, frames[start : start + count], last])
    write_video(path, _pictures(joined), rate=_RATE, codec="mpeg4", qmin=4, qmax=6)
    asked = (start / _RATE, (start + count) / _RATE)
    return Copy(original, "partial", (before, after), asked, (len(first) / _RATE, (len(first) + count) / _RATE))


def _frames(path: Path) -> Tensor:
    """A video's frames at 15 a second, uint8 ``[T, 3, 240, 320]``."""
    with Video(path) as video:
        probe = video.probe()
        shown = np.arange(0, probe.frames / probe.rate, 1 / _RATE) * probe.rate
        pixels = video.frames(shown.astype(int).clip(max=probe.frames - 1), partial=True, short_side=_HEIGHT).pixels
    return interpolate(pixels, (_HEIGHT, _WIDTH), mode="bilinear", antialias=True)


def _pictures(frames: Tensor) -> Iterator[np.ndarray]:
    yield from frames.movedim(1, -1).numpy()


def search(index: Index, made: dict[Path, Copy]) -> Scores:
    """Ask for the copies of every video that has some."""
    paths = [video.path for video in index.list()]
    found = Scores()
    for original in dict.fromkeys(copy.of for copy in made.values()):
        began = time.perf_counter()
        hits = index.search(original, top=len(paths))
        found.seconds.append(time.perf_counter() - began)
        by_path = {hit.path: hit for hit in hits}
        scores = np.array([by_path[path].score if path in by_path else -np.inf for path in paths])
        own = {path: copy for path, copy in made.items() if copy.of == original}
        aside = [original, *(path for path, copy in made.items() if copy.of != original and original in copy.shows)]
        excluded = [paths.index(str(path)) for path in aside]
        wanted = [paths.index(str(path)) for path in own]
        found.precisions.append(float(average_precision(places(scores, wanted, excluded))))
        for place, copy in zip(wanted, own.values(), strict=True):
            reached = bool(places(scores, [place], excluded).ranks[0] <= TOP)
            found.top[copy.edit].append(reached)
            if copy.edit == "partial":
                found.spans.append(reached and _located(by_path.get(paths[place]), copy))
    return found


def _located(hit: Hit | None, copy: Copy) -> bool:
    """Whether the best span lies within a second of the truth at all four ends."""
    if hit is None or not hit.spans:
        return False
    span = hit.spans[0]
    told = (span.query_start, span.query_end, span.target_start, span.target_end)
    return max(abs(a - b) for a, b in zip(told, (*copy.query, *copy.target), strict=True)) <= WITHIN


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--footage", type=Path, help="folder of videos, every one a different scene")
    parser.add_argument("--model", help="a trained model, compared with the embedded one")
    parser.add_argument("--originals", type=int, default=40, help="videos that get copies")
    parser.add_argument("--each", type=int, default=5, help="edited copies of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="telltime-") as held:
        folder = Path(held)
        if options.footage:
            footage = [Path(path) for path in videos_in([options.footage])]
        else:
            (folder / "shots").mkdir()
            footage = [path.resolve() for path in write_shots(folder / "shots", 240) if path.stem.endswith("-a")]
        (folder / "copies").mkdir()
        made = make(footage, folder / "copies", options.originals, options.each, options.seed)
        arms: dict[str, tuple[str | None, int]] = {"network alone": (None, 10**9), "index": (None, derive.LEAST)}
        if options.model:
            arms["trained"] = (options.model, derive.LEAST)
        results, rows = {}, []
        for name, (model, least) in arms.items():
            with patch.object(derive, "LEAST", least):
                index = Index(folder / name.replace(" ", "-"), model)
                done = index.add([*footage, *made], workers=options.workers)
            told = search(index, made).to_json()
            results[name] = told | {"index_seconds": done.seconds, "videos": done.videos, "frames": done.frames}
            recall = told[f"recall@{TOP}"]
            spans = told["partial_spans_within_1_s"]
            rows.append(
                (name, f"{told['map']:.3f}", *(f"{recall[edit]:.2f}" for edit in ALWAYS), f"{spans[0]}/{spans[1]}")
            )
        title = f"Copies among {len(footage) + len(made)} videos, {len({c.of for c in made.values()})} queries"
        measure.table(title, ("", "mAP", "heavy@12", "inset@12", "spans within 1 s"), rows)
    described = {"footage": len(footage), "copies": len(made), "seed": options.seed, "arms": results}
    print(f"\nwritten: {measure.write('copies', described, options.out)}")


if __name__ == "__main__":
    main()
