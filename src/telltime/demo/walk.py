"""The walk itself: draw footage, learn from it, measure what was learned, search real shots, write the page."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telltime.checkpoints.model import Model, load
from telltime.datasets.generated import generate
from telltime.datasets.generated import load as load_generated
from telltime.datasets.record import Record, Table
from telltime.demo.clock import Times, tell_times
from telltime.demo.copies import CopySearch, search_copies
from telltime.demo.segments import Segments, segment_shots
from telltime.demo.shots import write_shots
from telltime.media.files import whole
from telltime.tasks.linear import linear
from telltime.tasks.measuring import Reading
from telltime.tasks.neighbours import neighbours
from telltime.tasks.result import Result, versions
from telltime.tasks.temporal_distinctness import temporal_distinctness
from telltime.training.build import resolve
from telltime.training.progress import Sink
from telltime.training.run import Run
from telltime.training.start import train

RECIPE, EPOCHS, POSITIONS = "tclr-small", 8, 9
LEARNED, RANDOM = "pre-trained", "random weights"


class DemoError(Exception):
    """The demo cannot be written where it was asked to."""


@dataclass
class Walk:
    """What the demo found out, all of it measured in this run.

    Attributes:
        folder: where everything was written.
        steps: rows of ``metrics.jsonl``: the loss and its terms.
        scores: name of the score to {``"pre-trained"``, ``"random weights"``} to value.
        chance: name of the score to what guessing gives, where that is known.
        results: the full results of the pre-trained model, by task.
        shots: the search among real shots, by model.
        copies: the search for edited copies of real shots.
        times: what the head that ships told of drawn photos.
        segments: masks before and after tuning on time.
        seconds: what each part took.
    """

    folder: Path
    steps: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    chance: dict[str, float] = field(default_factory=dict)
    results: dict[str, Result] = field(default_factory=dict)
    shots: dict[str, Result] = field(default_factory=dict)
    copies: CopySearch | None = None
    times: Times | None = None
    segments: Segments | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    def write(self) -> Path:
        """``demo.json``: every number on the page."""
        path = self.folder / "demo.json"
        told = {
            "scores": self.scores,
            "chance": self.chance,
            "loss": self.steps,
            "shots": {name: result.metrics for name, result in self.shots.items()},
            "copies": self.copies
            and {
                "videos": self.copies.videos,
                "map": self.copies.mean_ap,
                "found_by_edit": self.copies.by_edit,
            },
            "times": self.times
            and {
                "photos": self.times.photos,
                "mae_hours": self.times.error,
                "mae_hours_of_a_constant": self.times.constant,
                "clock_wrong_by_hours": self.times.wrong_by,
                "offsets": {camera: found.to_json() for camera, found in self.times.offsets.items()},
            },
            "segments": self.segments
            and {
                "videos": self.segments.videos,
                "steps": self.segments.steps,
                "unseen": self.segments.unseen,
                "miou": self.segments.miou,
            },
            "seconds": self.seconds,
            "versions": versions(),
        }
        with whole(path) as beside:
            beside.write_text(json.dumps(told, indent=2) + "\n")
        return path


def walk(
    folder: Path,
    sink: Sink,
    seed: int = 0,
    max_steps: int | None = None,
    workers: int = 1,
    footage_options: dict[str, Any] | None = None,
    masks_options: dict[str, Any] | None = None,
) -> Walk:
    """Do all of it in ``folder``, which must be empty or new.

    Args:
        sink: told each part as it begins, and the rows of the training.
        seed: of footage, weights and batches.
        max_steps: end the training early.
        workers: processes that read videos.
        footage_options: other arguments of :func:`telltime.datasets.generated.generate`, e.g. fewer videos.
        masks_options: of :func:`telltime.datasets.generated_masks.generate_masked`.

    Raises:
        DemoError: there is something in ``folder``.
    """
    if folder.is_dir() and any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty; remove it or name another with --out")
    told, clock = Walk(folder), time.monotonic()

    def part(name: str) -> None:
        nonlocal clock
        told.seconds[name] = round(time.monotonic() - clock, 1)
        clock = time.monotonic()

    sink.say("1/7  drawing footage, and cutting real clips at their shots")
    shots = write_shots(folder / "shots")
    footage = generate(folder / "footage", **{"tie": 1.0, "seed": seed} | (footage_options or {}))
    learn, test = load_generated(footage, "train"), load_generated(footage, "test")
    sink.say(f"     {len(learn)} videos to learn from, {len(test)} unseen ones, {len(shots)} halves of real shots")
    part("footage")

    sink.say("2/7  pre-training with TCLR, without labels")
    values = {"data.name": "generated", "data.root": str(footage), "epochs": EPOCHS, "max_steps": max_steps}
    resolved = resolve(RECIPE, values=values | {"seed": seed, "workers": workers})
    with Run(folder / "run") as run:
        train(resolved, learn, run, sink)
        rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    told.steps = [row for row in rows if row["kind"] == "step"]
    part("training")

    sink.say("3/7  measuring it beside the same network with random weights")
    models = {LEARNED: load(folder / "run"), RANDOM: untrained(resolved.build().method)}
    reading = Reading(workers=workers, batch=32, cache=folder / "features")
    for name, model in models.items():
        for result in (
            neighbours(model, learn, test, reading, positions=POSITIONS, name=name),
            linear(model, learn, test, reading, positions=POSITIONS, name=name),
            temporal_distinctness(model, test, reading, seed=seed, name=name),
        ):
            metric = {"neighbours": "recall@1", "linear": "top1"}.get(result.task, "temporal_distinctness")
            told.scores.setdefault(metric, {})[name] = result.metrics[metric]
            if metric in result.details.get("chance", {}):
                told.chance[metric] = result.details["chance"][metric]
            if name == LEARNED:
                told.results[result.task] = result
    part("measuring")

    sink.say("4/7  searching among real shots: which first half belongs to this second half?")
    firsts, seconds = (shot_table(folder / "shots", shots, half) for half in "ab")
    for name, model in models.items():
        told.shots[name] = neighbours(model, firsts, seconds, reading, ks=(1, 3), name=name)
    part("search")

    sink.say("5/7  tuning an image network on the time of the shots, and segmenting them without labels")
    told.segments = segment_shots(shots, folder, sink, seed, max_steps, workers, masks_options)
    part("segments")

    sink.say("6/7  indexing the real shots among edited copies of them, and finding the copies")
    told.copies = search_copies([record.path for record in firsts.records], folder, seed)
    part("copies")

    sink.say("7/7  telling the time of drawn photos, and which camera's clock is wrong")
    told.times = tell_times(folder, seed)
    part("times")
    told.write()
    return told


def untrained(method: Any) -> Model:
    """The network of a recipe as its seed made it, before any step."""
    from telltime.checkpoints.model import ClipSpec

    reader = method.reader
    return Model(method.backbone, ClipSpec(frames=reader.frames, size=reader.size, order=reader.order))


def shot_table(root: Path, paths: list[Path], half: str) -> Table:
    """The first (``"a"``) or second (``"b"``) halves of the shots, labelled by clip and shot."""
    names = tuple(sorted({path.stem[:-2] for path in paths}))
    records = tuple(
        Record(path.name, path, label=names.index(path.stem[:-2])) for path in paths if path.stem.endswith(half)
    )
    split = {"a": "train", "b": "test"}[half]
    return Table("shots", split, root, classes=names, records=records)
