"""Retrieval by time of day, 48 queries among 13,043 photos: the published double loop against arrays.

The published way, written out here: faiss searches, then for every query the times of the whole database are parsed
anew to count the photos of its time. telltime finds the neighbours, the differences on the clock and the map, which of
the photos are right, recall, its published reading and what chance gives; average precision over whole rankings, which
the published way does not have, stands in a row of its own. Equal results are asserted first; the published counting is
timed on a few queries and scaled up. Seconds are the wall's, runs alternate.
"""

import argparse
import time
from datetime import datetime, timedelta
from pathlib import Path

import faiss
import numpy as np
import torch

from benchmarks import _measure as measure
from telltime.metrics import time_retrieval as metrics

QUERIES, PHOTOS, DIM, DEPTH = 48, 13_043, 768, 100
WITHIN, DEGREES = 29.5 / 60, 360.0  # times are whole minutes: rounding of hours decides on none


def published_positives(query: dict[str, str], database: list[dict[str, str]]) -> int:
    """How many photos of the database are of a query's time, each time parsed from its text."""
    count = 0
    for row in database:
        times = [datetime.strptime(each["time"].split(".")[0], "%Y-%m-%d %H:%M:%S") for each in (query, row)]
        first, second = (each.hour + each.minute / 60 for each in times)
        away = abs(first - second)
        places = [np.array([float(each["latitude"]), float(each["longitude"])]) for each in (query, row)]
        if min(away, 24 - away) < WITHIN and np.linalg.norm(places[0] - places[1]) < DEGREES:
            count += 1
    return count


def published(
    asked: np.ndarray, held: np.ndarray, queries: list[dict[str, str]], database: list[dict[str, str]], few: int
) -> tuple[np.ndarray, list[int], float, float]:
    """Neighbours, counts of a few queries, and the seconds of each part."""
    start = time.perf_counter()
    index = faiss.IndexFlatL2(held.shape[1])
    index.add(held)
    found = index.search(asked, DEPTH)[1]
    middle = time.perf_counter()
    counts = [published_positives(query, database) for query in queries[:few]]
    return found, counts, middle - start, time.perf_counter() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=QUERIES)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--few", type=int, default=3, help="queries the published way counts for")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    total = options.queries + options.photos
    features = random.standard_normal((total, DIM), dtype=np.float32)
    start = datetime(2010, 1, 1)
    moments = [start + timedelta(minutes=int(m)) for m in random.integers(0, 1_500_000, total)]
    places = np.stack([random.uniform(-60, 70, total), random.uniform(-180, 180, total)], 1).round(6)
    told = [
        {"time": f"{moment}.0", "latitude": str(north), "longitude": str(east)}
        for moment, (north, east) in zip(moments, places.tolist(), strict=True)
    ]
    hours = np.array([moment.hour + moment.minute / 60 for moment in moments])
    cut = options.queries
    asked, held = features[:cut], features[cut:]

    def ours(whole: bool) -> tuple[metrics.Found, np.ndarray, dict[int, float]]:
        found = metrics.neighbours(asked, held, DEPTH)
        near = metrics.time_difference(hours[:cut], hours[cut:]) < WITHIN
        right = near & (metrics.place_difference(places[:cut], places[cut:]) < DEGREES)
        hits = metrics.hits_of(found, right)
        scores = metrics.recall(hits)
        metrics.published_recall(hits)
        metrics.chance_recall(right)
        if whole:
            metrics.average_precisions(torch.cdist(torch.from_numpy(asked), torch.from_numpy(held)).numpy(), right)
        return found, right, scores

    theirs, counts, _, _ = published(asked, held, told[:cut], told[cut:], options.few)
    found, right, _ = ours(False)
    assert (found.indices != theirs).mean() < 0.001, "both ways find the same photos, but for ties"
    assert right.sum(1)[: options.few].tolist() == counts, "both ways count the same photos"

    baseline: list[float] = []

    def theirs_timed(_: int) -> None:
        *_rest, search, counting = published(asked, held, told[:cut], told[cut:], options.few)
        baseline.append(search + counting / options.few * options.queries)

    taken = measure.alternate(
        {
            "published": theirs_timed,
            "as published": lambda _: ours(False),
            "and average precision": lambda _: ours(True),
        },
        options.repeats,
        clock=time.perf_counter,
    )
    scaled = baseline[-options.repeats :]
    rows, results = [], {}
    for name in ("as published", "and average precision"):
        faster = measure.ratio(scaled, taken[name])
        results[name] = {"seconds": measure.spread(taken[name]), "ratio": faster}
        rows.append((name, f"{np.median(scaled):.1f}", measure.milliseconds(taken[name]), f"{faster['median']:.0f}"))
    measure.table(
        f"Retrieval by time of day, {options.queries} queries, {options.photos:,} photos",
        ("", "published, s", "telltime, ms", "times faster"),
        rows,
    )
    described = {
        "queries": options.queries,
        "photos": options.photos,
        "published_seconds": measure.spread(scaled),
        "ways": results,
    }
    print(f"\nwritten: {measure.write('time_retrieval', described, options.out)}")


if __name__ == "__main__":
    main()
