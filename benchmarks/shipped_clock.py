"""Train and measure the head that ships with the package, the one ``telltime when`` uses without ``--model``.

    python -m benchmarks.shipped_clock --work WORK             # draws, looks, trains, measures
    python -m benchmarks.shipped_clock --work WORK --write     # and puts the head into src/telltime/assets/clock

It learns from generated photos alone (``telltime data generate-photos``): drawn scenes of 20 cities whose light is
computed from the sun. It is calibrated on scenes that it has not seen, and measured on yet other scenes, of the same
cities and of four more. That says nothing about real photos: ``--photos DIR`` measures on a folder of those besides.

WORK keeps what was drawn and looked at; the same command goes on where it was.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._measure import table, write

SETS: dict[str, dict[str, Any]] = {
    "train": {"photos": 7200, "seed": 11, "places": 20, "cameras": 12},
    "held": {"photos": 2400, "seed": 12, "places": 20, "cameras": 4},
    "test": {"photos": 2400, "seed": 13, "places": 24, "cameras": 4},
}
HEAD = ("epochs=12", "method.arguments.hidden=192", "method.arguments.dropout=0.5", "method.arguments.harmonics=8")
"""What the recipe is changed to, as there are more photos than in most folders; chosen on the held-out scenes."""
SIZE = (224, 299)
DAYS = 30
_KEPT = 32


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("shipped-clock"), help="folder of photos and features")
    parser.add_argument("--workers", type=int, default=2, help="photos drawn and read at a time")
    parser.add_argument("--share", type=float, default=1.0, help="of the photos to draw; below 1 it is a trial")
    parser.add_argument("--photos", type=Path, help="a folder of real photos with times, to measure on too")
    parser.add_argument("--write", action="store_true", help="put the head into the package")
    args = parser.parse_args(argv)

    clock, found = trained(args.work, args.workers, args.share)
    rows = measure(clock, args.work, args.workers)
    if args.photos is not None:
        rows |= {"real photos": on_folder(clock, args.photos, args.workers)}
    show = ("photos", "top1", "mae_hours", "median_hours", "within_2h", "coverage_50", "coverage_80")
    table(
        "the head that ships", ("", *show), [(name, *(_short(row[key]) for key in show)) for name, row in rows.items()]
    )
    write("shipped_clock", {"sets": SETS, "trained": found, "measured": rows})
    if args.write:
        from telltime.checkpoints.clock import SHIPPED

        clock.meta["measured"] = {name: {key: _short(row[key]) for key in show} for name, row in rows.items()}
        clock.save(SHIPPED, half=True)
        size = sum(path.stat().st_size for path in SHIPPED.iterdir())
        print(f"\n{SHIPPED}: {size / 1e3:.0f} kB")
    return 0


def trained(work: Path, workers: int, share: float) -> tuple[Any, dict[str, Any]]:
    """The head: drawn photos, ``telltime fit ticl-photos``, and calibration on other scenes."""
    from telltime.checkpoints.calibration import fit_calibration
    from telltime.checkpoints.clock import Clock, load_clock
    from telltime.cli.main import main as telltime
    from telltime.datasets.generated_photos import generate_photos

    for name, told in SETS.items():
        if not (work / name / "metadata.json").is_file():
            count = round(told["photos"] * share)
            generate_photos(work / name, **(told | {"photos": count}), days=DAYS, size=SIZE, threads=workers)
    run = work / "run"
    if not (run / "model" / "config.json").is_file():
        annotation = work / "train" / "metadata.json"
        arguments = ["fit", "ticl-photos", "--root", work / "train", "--annotation", annotation, "--out", run]
        arguments += ["--set", f"method.reader.cache={work / 'features'}", "--workers", workers]
        for setting in HEAD:
            arguments += ["--set", setting]
        if code := telltime([str(argument) for argument in arguments]):
            raise SystemExit(code)
    head = load_clock(run)
    seen = looked(head, work, "held", workers)
    raw = head.density(seen.features, calibrated=False).numpy()
    calibration = fit_calibration(raw, seen.hours, None, seen.scenes)
    calibration = replace(calibration, scores=tuple(np.quantile(calibration.scores, np.linspace(0, 1, 201)).tolist()))
    suns = head.meta.get("suns") or []
    places = np.linspace(0, len(suns) - 1, min(_KEPT, len(suns))).astype(int)
    meta = {
        "method": "ticl",
        "made_by": "python -m benchmarks.shipped_clock --write",
        "learnt_from": f"{len(json.loads((work / 'train' / 'metadata.json').read_text()))} generated photos",
        "suns": [suns[place] for place in places],
    }
    made = Clock(head.head, head.tower, calibration, head.mean, head.scale, meta=meta)
    return made, {"calibration": {k: calibration.to_json()[k] for k in ("temperature", "exponent", "floor")}}


class Seen:
    """Photos with features and truth: ``features`` [N, D], ``hours`` [N], ``captures`` and ``scenes`` [N]."""

    def __init__(self, kept: Any) -> None:
        known = np.flatnonzero(~np.isnan(kept.table.hours()))
        records = [kept.table.records[place] for place in known]
        self.features = kept.features[known]
        self.hours = kept.table.hours()[known]
        self.captures = [record.capture for record in records]
        self.scenes = [record.path.name.rpartition("_")[0] for record in records]


def looked(clock: Any, work: Path, name: str, workers: int) -> Seen:
    """A drawn set through the tower; features are kept in ``work``."""
    from telltime.datasets.photos import load
    from telltime.features.photos import embed_photos, photo_features

    kept = load(work / name, "all", annotation=work / name / "metadata.json")
    return Seen(photo_features(embed_photos(clock.tower, kept, work / f"features-{name}", None, workers), kept))


def on_folder(clock: Any, folder: Path, workers: int) -> dict[str, float]:
    """A folder of photos whose files tell their times."""
    from telltime.clips.policy import BadMedia
    from telltime.datasets.photos import load
    from telltime.features.photos import embed_photos, photo_features

    kept = load(folder, "all")
    policy = BadMedia("skip", None, 0.5)
    return scores(clock, Seen(photo_features(embed_photos(clock.tower, kept, None, policy, workers), kept)), sun=False)


def measure(clock: Any, work: Path, workers: int) -> dict[str, dict[str, float]]:
    """Unseen scenes: all, those of cities it learnt from, those of others; by look alone, and by the sun too."""
    seen = looked(clock, work, "test", workers)
    learnt = {row["timezone"] + row["ground_path"].rpartition("-")[0] for row in _rows(work / "train")}
    names = [row["timezone"] + row["ground_path"].rpartition("-")[0] for row in _rows(work / "test")]
    own = dict(zip((row["ground_path"].rpartition("_")[0] for row in _rows(work / "test")), names, strict=True))
    new = np.array([own[scene] not in learnt for scene in seen.scenes])
    day = (seen.hours >= 7) & (seen.hours < 20)
    parts = {"all": np.ones(len(new), bool), "new scenes, known cities": ~new, "new cities": new, "07 to 20 h": day}
    found = {}
    for name, part in parts.items():
        found[name] = scores(clock, seen, part)
        found[f"{name}, by the sun"] = scores(clock, seen, part, sun=True)
    return found


def scores(clock: Any, seen: Seen, part: np.ndarray | None = None, sun: bool = False) -> dict[str, float]:
    """Numbers of the clock's metrics on some photos, with ``photos``: how many."""
    from telltime.metrics import circular
    from telltime.metrics.clock import clock_scores
    from telltime.search.telling import told_of

    rows = np.flatnonzero(np.ones(len(seen.hours), bool) if part is None else part)
    captures = [seen.captures[row] for row in rows]
    told = told_of(clock, seen.features[rows], [Path()] * len(rows), captures, sun)
    density = np.stack([one.density for one in told])
    arcs = {
        share / 100: circular.Arc(
            *(np.array([getattr(one.arcs[share], end) for one in told]) for end in ("start", "end"))
        )
        for share in (50, 80)
    }
    return {"photos": len(rows), **clock_scores(density, seen.hours[rows], arcs)}


def _rows(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "metadata.json").read_text())
    return found


def _short(value: float) -> float:
    return round(float(value), 3)


if __name__ == "__main__":
    sys.exit(main())
