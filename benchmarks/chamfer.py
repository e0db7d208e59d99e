"""Symmetric Chamfer similarity of queries with a gallery: the published loop over pairs against tiles of all of them.

The published way, written out here: for every pair both videos' descriptors become tensors, and each direction makes
its own matrix of frame similarities. telltime multiplies many videos' frames at once and takes the largest value of
every segment on both axes. The rate of the matrix products alone, measured in the same run on the same cores, is the
bound no exact way can pass. Equal results are asserted first; seconds are the wall's, runs alternate.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import _measure as measure
from telltime.backbones.products import linear
from telltime.clips.ragged import Ragged
from telltime.search.similarity import symmetric_chamfer

QUERIES, DIM = 10, 1024
SHAPES = {"60 frames": (60, 60, 400), "200 frames": (200, 200, 120), "20 to 100 frames": (20, 100, 400)}


def published(queries: list[np.ndarray], gallery: list[np.ndarray]) -> np.ndarray:
    """Scores ``[Q, G]``, a pair at a time."""
    scores = np.empty((len(queries), len(gallery)))
    for row, query in enumerate(queries):
        for column, video in enumerate(gallery):
            scores[row, column] = (_directed(query, video) + _directed(video, query)) / 2
    return scores


def _directed(query: np.ndarray, video: np.ndarray) -> float:
    ask, held = torch.Tensor(query), torch.Tensor(video)
    return torch.einsum("ik,jk->ij", ask, held).max(dim=1)[0].mean().item()


def videos(count: int, short: int, long: int, dim: int, seed: int) -> list[np.ndarray]:
    """L2-normalised descriptors."""
    random = np.random.default_rng(seed)
    made = [random.standard_normal((n, dim), dtype=np.float32) for n in random.integers(short, long + 1, count)]
    return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in made]


def product_rate(rows: int, columns: int, dim: int, repeats: int) -> list[float]:
    """Multiplications and additions a second of a plain matrix product of the tiles' shape, by the faster library."""
    left, right = torch.randn(rows, dim), torch.randn(columns, dim)
    out = torch.empty(rows, columns)
    rates = []
    for turn in range(-1, repeats):
        for product in (lambda: torch.mm(left, right.T, out=out), lambda: linear(left, right)):
            start = time.perf_counter()
            product()
            if turn >= 0:
                rates.append(2 * rows * columns * dim / (time.perf_counter() - start))
    return rates


def compare(short: int, long: int, count: int, dim: int, repeats: int) -> dict[str, Any]:
    """One shape: seconds of both ways, and ours as a share of the machine's rate."""
    asked, held = videos(QUERIES, short, long, dim, 0), videos(count, short, long, dim, 1)
    queries, gallery = (Ragged.of([torch.from_numpy(rows) for rows in some]) for some in (asked, held))
    few = max(4, count // 20)
    np.testing.assert_allclose(symmetric_chamfer(queries, gallery)[:, :few], published(asked, held[:few]), atol=2e-6)
    taken = measure.alternate(
        {
            "published": lambda _: published(asked, held[:few]),
            "telltime": lambda _: symmetric_chamfer(queries, gallery),
        },
        repeats,
        clock=time.perf_counter,
    )
    work = 2 * len(queries.rows) * len(gallery.rows) * dim
    pairs, baseline = QUERIES * count, [seconds / (QUERIES * few) for seconds in taken["published"]]
    ours = [seconds / pairs for seconds in taken["telltime"]]
    rates = [rate for _ in range(repeats) for rate in product_rate(1024, 4096, dim, 1)]
    return {
        "pairs": pairs,
        "published_seconds_a_pair": measure.spread(baseline),
        "telltime_seconds_a_pair": measure.spread(ours),
        "ratio": measure.ratio(baseline, ours),
        "gflops": measure.spread([work / seconds / 1e9 for seconds in taken["telltime"]]),
        "product_gflops": measure.spread([rate / 1e9 for rate in rates]),
        "share_of_product_rate": work / min(taken["telltime"]) / max(rates),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dim", type=int, nargs="+", default=[DIM, 128])
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    results = {}
    for dim in options.dim:
        for name, (short, long, count) in SHAPES.items():
            results[f"{name}, {dim} numbers"] = compare(short, long, count, dim, options.repeats)
    rows = [
        (
            name,
            f"{1e3 * r['published_seconds_a_pair']['median']:.3f}",
            f"{1e3 * r['telltime_seconds_a_pair']['median']:.4f}",
            f"{r['ratio']['median']:.1f} ({r['ratio']['q25']:.1f}-{r['ratio']['q75']:.1f})",
            f"{r['share_of_product_rate']:.0%}",
        )
        for name, r in results.items()
    ]
    header = ("videos", "published, ms a pair", "telltime, ms a pair", "times faster", "of the product rate")
    measure.table("Symmetric Chamfer similarity", header, rows)
    print(f"\nwritten: {measure.write('chamfer', {'shapes': results}, options.out)}")


if __name__ == "__main__":
    main()
