"""One training batch of TCA: HDF5 reads item by item, as published, against frame descriptors that lie in memory.

The published way, written out here: every item reads its anchor, its positive and 16 negatives from an HDF5 file,
brings each to 300 rows with zeros, channels first, and 64 items are stacked. telltime has read the file once, in half
precision, and gathers the rows of a batch, packed, in float32. Equal rows are asserted first, for the same drawn
videos; the file lies in the system's cache, as it would at best. Seconds are the wall's, one process, runs alternate.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks import _measure as measure
from telltime.clips.pairs import PairLoader, Windows
from telltime.clips.ragged import Ragged
from telltime.features.frame_store import FrameStore
from telltime.features.hdf5 import import_hdf5

PADDED, NEGATIVES, DIM = 300, 16, 1024


def write_file(path: Path, videos: int, mean_frames: int, dim: int) -> None:
    """Unit rows, rounded to what half precision holds, of videos of half to one and a half times the mean length."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for number in range(videos):
            count = int(random.integers(mean_frames // 2, min(PADDED, mean_frames * 3 // 2) + 1))
            rows = F.normalize(torch.from_numpy(random.standard_normal((count, dim), dtype=np.float32)), dim=-1)
            file[name_of(number)] = rows.half().float().numpy()


def name_of(number: int) -> str:
    return f"video{number:06d}"


class Published(torch.utils.data.Dataset[tuple[Tensor, ...]]):
    """Items ``(a [C, T], p [C, T], n [16, C, T], their lengths)`` of given video numbers ``[items, 18]``."""

    def __init__(self, path: Path, numbers: np.ndarray) -> None:
        self.file, self.numbers = h5py.File(path, "r"), numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, item: int) -> tuple[Tensor, ...]:
        read = [self._padded(number) for number in self.numbers[item].tolist()]
        videos, lengths = zip(*read, strict=True)
        counts = [torch.tensor([length], dtype=torch.float32) for length in lengths]
        return videos[0], videos[1], torch.stack(videos[2:]), counts[0], counts[1], torch.cat(counts[2:])

    def _padded(self, number: int) -> tuple[Tensor, int]:
        rows = torch.from_numpy(self.file[name_of(number)][...])
        padded = torch.cat([rows, torch.zeros(PADDED - len(rows), rows.shape[1])])
        return padded.T, len(rows)


def in_memory(store: FrameStore, batch_size: int, items: int) -> PairLoader:
    """Our loader, as ``telltime fit tca-vcdb`` makes it; owners are the videos' numbers, so that they can be told."""
    videos = len(store)
    pairs = np.random.default_rng(1).integers(0, videos // 2, (items, 2))
    first, second = torch.from_numpy(pairs).unbind(1)
    single = torch.arange(items + 1)
    ids = [name_of(number) for number in range(videos)]
    return PairLoader(
        store.ragged(ids, dtype=torch.float16),
        np.arange(videos),
        Ragged(first, single),
        Ragged(second, single),
        np.arange(videos // 2, videos),
        NEGATIVES,
        batch_size,
        0,
        Windows(max_frames=PADDED),
    )


def drawn(batch: dict[str, Tensor], items: int) -> np.ndarray:
    """Numbers of the videos of a batch, int64 ``[items, 18]``: anchor, positive, negatives."""
    owners = batch["owners"]
    negatives = owners[2 * items :].view(items, NEGATIVES)
    return torch.cat([owners[:items, None], owners[items : 2 * items, None], negatives], 1).numpy()


def published_batch(data: Published, items: np.ndarray) -> list[Tensor]:
    return default_collate([data[int(item)] for item in items])


def same(ours: dict[str, Tensor], theirs: list[Tensor], items: int) -> None:
    """Assert that both have the same rows of the same lengths."""
    packed = Ragged(ours["rows"], ours["offsets"])
    padded = [*theirs[0], *theirs[1], *theirs[2].flatten(0, 1)]
    counts = torch.cat([theirs[3].flatten(), theirs[4].flatten(), theirs[5].flatten()]).long()
    assert torch.equal(packed.lengths, counts)
    for rows, video, count in zip(packed, padded, counts.tolist(), strict=True):
        assert torch.equal(rows, video.T[:count])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--videos", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--frames", type=int, nargs="+", default=[98, 30], help="mean frames a video")
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    results = {f"{mean} frames": compare(mean, options) for mean in options.frames}
    rows = [
        (
            name,
            measure.milliseconds([r["published_seconds"][key] for key in ("q25", "median", "q75")]),
            measure.milliseconds([r["telltime_seconds"][key] for key in ("q25", "median", "q75")]),
            f"{r['ratio']['median']:.1f} ({r['ratio']['q25']:.1f}-{r['ratio']['q75']:.1f})",
            f"{r['published_bytes'] / 1e6:.0f} / {r['telltime_bytes'] / 1e6:.0f}",
        )
        for name, r in results.items()
    ]
    header = ("mean length", "HDF5 by item, ms", "telltime, ms", "times faster", "MB a batch")
    measure.table(f"A batch of {options.batch} anchors with {NEGATIVES} negatives each", header, rows)
    described = {"videos": options.videos, "batch": options.batch, "negatives": NEGATIVES, "dim": DIM}
    print(f"\nwritten: {measure.write('training_batch', {**described, 'lengths': results}, options.out)}")


def compare(mean: int, options: argparse.Namespace) -> dict[str, Any]:
    """One mean length: seconds of a batch both ways."""
    rounds = options.repeats + 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.h5"
        write_file(path, options.videos, mean, DIM)
        loader = in_memory(import_hdf5(path, Path(folder) / "store"), options.batch, options.batch * rounds)
        numbers = [drawn(batch, options.batch) for batch in loader.epoch(0)]
        data = Published(path, np.concatenate(numbers))
        ours = loader.epoch(0)
        same(first := next(ours), theirs := published_batch(data, np.arange(options.batch)), options.batch)
        sizes = [sum(part.nbytes for part in parts) for parts in (theirs, first.values())]
        del first, theirs
        taken = measure.alternate(
            {
                "published": lambda turn: published_batch(data, np.arange(options.batch) + (turn + 2) * options.batch),
                "telltime": lambda _: next(ours),
            },
            options.repeats,
            clock=time.perf_counter,
        )
        data.file.close()
    return {
        "published_seconds": measure.spread(taken["published"]),
        "telltime_seconds": measure.spread(taken["telltime"]),
        "ratio": measure.ratio(taken["published"], taken["telltime"]),
        "published_bytes": sizes[0],
        "telltime_bytes": sizes[1],
    }


if __name__ == "__main__":
    main()
