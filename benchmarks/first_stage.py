"""The index's first stage on a million clustered vectors: time to build, latency of a query, share of the truth found.

The baseline is looking at every vector, through the same tables. Bars: built in under 3 minutes, median under 8 ms,
recall@10 of at least 0.98, on two cores.
"""

import argparse
import tempfile
import time

import numpy as np

from benchmarks._measure import alternate, milliseconds, ratio, spread, table, write

SIZE, TOP = 256, 10


def clustered(rows: int, rng: np.random.Generator) -> np.ndarray:
    """float32 ``[rows, 256]`` of length 1: frames of many scenes, some 100 to a scene."""
    centres = rng.standard_normal((max(1, rows // 100), SIZE), dtype=np.float32)
    vectors = centres[rng.integers(len(centres), size=rows)]
    for part in np.array_split(vectors, max(1, rows // 50_000)):
        part += 0.6 * rng.standard_normal(part.shape, dtype=np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return vectors


def true_nearest(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """int64 ``[Q, 10]``."""
    scores = queries @ vectors.T
    best = np.argpartition(-scores, TOP, 1)[:, :TOP]
    return np.take_along_axis(best, np.take_along_axis(-scores, best, 1).argsort(1), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=100)
    args = parser.parse_args()

    import torch

    from telltime.search.first_stage import FirstStage
    from telltime.search.rows import frames_schema, pack_frames
    from telltime.search.tables import Tables

    rng = np.random.default_rng(0)
    vectors = clustered(args.rows, rng)
    asked = vectors[rng.integers(args.rows, size=args.queries)]
    asked = asked + 0.02 * rng.standard_normal(asked.shape, dtype=np.float32)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    truth = true_nearest(vectors, asked)

    with tempfile.TemporaryDirectory() as folder:
        tables = Tables(folder)
        tables.create("frames", frames_schema(SIZE))
        began = time.perf_counter()
        for numbers in np.array_split(np.arange(args.rows), max(1, args.rows // 100_000)):
            tables.add("frames", pack_frames(numbers, torch.from_numpy(vectors[numbers])))
        written = time.perf_counter() - began
        stage = FirstStage(tables.table("frames"))
        flat = stage.nearest(asked[:2], TOP).numbers
        assert (np.sort(flat, 1) == np.sort(truth[:2], 1)).all(), "looking at every vector must find the truth"
        exact = alternate({"flat": lambda turn: stage.nearest(asked[:1], TOP)}, 5, clock=time.perf_counter)["flat"]
        began = time.perf_counter()
        stage.build()
        built = time.perf_counter() - began
        taken, right = [], []
        for turn in range(-5, args.queries):
            began = time.perf_counter()
            numbers = stage.nearest(asked[turn : turn + 1] if turn >= 0 else asked[:1], TOP).numbers[0]
            if turn >= 0:
                taken.append(time.perf_counter() - began)
                right.append(len(np.intersect1d(numbers, truth[turn])) / TOP)
    recall = float(np.mean(right))
    gain = ratio([float(np.median(exact))] * len(taken), taken)
    rows = [
        ["write the vectors, s", f"{written:.1f}"],
        ["build, s", f"{built:.1f}"],
        ["query, every vector, ms", milliseconds(exact)],
        ["query, first stage, ms", milliseconds(taken)],
        ["times faster", f"{gain['median']:.1f}"],
        ["recall@10", f"{recall:.4f}"],
    ]
    table(f"First stage: {args.rows:,} clustered vectors of {SIZE}", ["", "median (quartiles)"], rows)
    results = {
        "rows": args.rows,
        "write_seconds": written,
        "build_seconds": built,
        "flat_seconds": spread(exact),
        "query_seconds": spread(taken),
        "times_faster": gain,
        "recall@10": recall,
        "bars": {"build_seconds": 180, "median_seconds": 0.008, "recall@10": 0.98},
    }
    print(f"written to {write('first_stage', results)}")


if __name__ == "__main__":
    main()
