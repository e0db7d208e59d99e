"""Average precision of 100 queries over 200,000 videos: the published walk down a sorted list against rank counting.

The published way, written out here: a dictionary of scores a query, sorted by Python, walked from the top for each of
three tasks. telltime counts, for every relevant video, how many score higher. Equal results are asserted first, with
untied and with tied scores (two decimals); the published way is timed on a few queries and scaled up. CPU seconds.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmarks import _measure as measure
from telltime.metrics.ranking import average_precisions

TASKS = (75, 88, 124)  # relevant videos a query in FIVR-200K's three tasks, in the mean


def published(similarities: Mapping[str, float], relevant: set[str]) -> float:
    """Average precision of one query, as the published evaluation computes it."""
    hits = rank = total = 0.0
    for video in sorted(similarities.keys(), key=lambda name: similarities[name], reverse=True):
        rank += 1
        if video in relevant:
            hits += 1
            total += hits / rank
    return total / len(relevant)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--videos", type=int, default=200_000)
    parser.add_argument("--few", type=int, default=3, help="queries the published way is timed on")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    random = np.random.default_rng(0)
    names = [f"v{i:06}" for i in range(options.videos)]
    chosen = [random.choice(options.videos, max(TASKS), replace=False) for _ in range(options.queries)]
    relevant = {count: [indices[:count] for indices in chosen] for count in TASKS}
    results, rows = {}, []
    for kind in ("untied", "tied"):
        scores = random.random((options.queries, options.videos), dtype=np.float32)
        scores[np.arange(options.queries)[:, None], np.stack(chosen)] += 0.3
        scores = scores.round(2) if kind == "tied" else scores
        held = [dict(zip(names, row.tolist(), strict=True)) for row in scores[: options.few]]
        wanted = {count: [{names[i] for i in indices} for indices in some] for count, some in relevant.items()}

        def theirs(_: int, held: list[dict[str, float]] = held, wanted: dict = wanted) -> list[float]:
            return [published(one, w[q]) for w in wanted.values() for q, one in enumerate(held)]

        def ours(_: int, scores: np.ndarray = scores) -> list[np.ndarray]:
            return [average_precisions(scores, some) for some in relevant.values()]

        np.testing.assert_allclose(theirs(0), np.concatenate([found[: options.few] for found in ours(0)]), rtol=1e-9)
        taken = measure.alternate({"published": theirs, "telltime": ours}, options.repeats, warmup=0)
        scaled = [seconds / options.few * options.queries for seconds in taken["published"]]
        results[kind] = {
            "published_seconds": measure.spread(scaled),
            "telltime_seconds": measure.spread(taken["telltime"]),
            "ratio": measure.ratio(scaled, taken["telltime"]),
        }
        rows.append(
            (
                kind,
                f"{np.median(scaled):.1f}",
                f"{np.median(taken['telltime']):.2f}",
                f"{results[kind]['ratio']['median']:.0f}",
            )
        )
    title = f"Average precision, {options.queries} queries, {options.videos:,} videos, three tasks"
    measure.table(title, ("scores", "published, s", "telltime, s", "times faster"), rows)
    described = {"queries": options.queries, "videos": options.videos, "tasks": TASKS, "scores": results}
    print(f"\nwritten: {measure.write('average_precision', described, options.out)}")


if __name__ == "__main__":
    main()
