"""Encoding videos' frames with TCA: one padded video at a time, as published, against packed sequences.

The published way, written out here: every video is filled up with zeros to 300 rows (or cut to them), goes through
PyTorch's own transformer layer alone, sequence first and with a mask, and the padding is thrown away afterwards.
telltime packs the rows of many videos into one matrix. Both use the same weights in float32. Equal frames and vectors
are asserted first; seconds are the wall's, runs alternate.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import _measure as measure
from telltime.backbones.tca_encoder import TCAEncoder
from telltime.clips.ragged import Ragged

PADDED, DIM = 300, 1024
SHAPES = {
    "60 frames": (60, 60),
    "20 to 100 frames": (20, 100),
    "113 frames": (113, 113),
    "250 to 350 frames": (250, 350),
}
"""Shortest and longest video; 113 frames is FIVR-200K's mean at a frame a second, and the last has nothing to pad."""


class Published(nn.Module):
    """Post-norm layers on ``[T, 1, dim]``, with a mask of what is padding."""

    def __init__(self, dim: int, state: dict[str, Tensor]) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, 8, 2048, 0.1)
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.load_state_dict(state)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Rows ``[T, dim]`` to unit frames ``[min(T, 300), dim]`` and the video's unit vector ``[1, dim]``."""
        count = min(len(video), PADDED)
        padded = F.pad(video[:PADDED], (0, 0, 0, PADDED - count))[None]
        valid = torch.arange(PADDED)[None] < count
        encoded = self.transformer_encoder(padded.transpose(0, 1), src_key_padding_mask=~valid).transpose(0, 1)
        encoded = encoded * valid[..., None]
        return F.normalize(encoded[0, :count], dim=-1), F.normalize(encoded.sum(1) / count, dim=-1)


def published(model: Published, videos: list[Tensor]) -> tuple[list[Tensor], Tensor]:
    """Frames of every video, and all vectors ``[V, dim]``."""
    done = [model(video) for video in videos]
    return [frames for frames, _ in done], torch.cat([vector for _, vector in done])


def packed(model: TCAEncoder, videos: list[Tensor], together: int) -> tuple[list[Tensor], Tensor]:
    """The same, packed: as many videos at a time as have about ``together`` rows."""
    frames: list[Tensor] = []
    vectors = []
    for batch in batches(videos, together):
        vector, encoded = model(Ragged.of(batch))
        frames += list(encoded)
        vectors.append(vector)
    return frames, torch.cat(vectors)


def batches(videos: list[Tensor], together: int) -> list[list[Tensor]]:
    """Videos in their order, cut where a batch has ``together`` rows."""
    found: list[list[Tensor]] = [[]]
    rows = 0
    for video in videos:
        if rows >= together:
            found.append([])
            rows = 0
        found[-1].append(video)
        rows += len(video)
    return found


@torch.inference_mode()
def compare(short: int, long: int, count: int, together: int, repeats: int, dim: int = DIM) -> dict[str, Any]:
    """One shape: seconds a video of both ways."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(short, long + 1, (count,), generator=generator).clamp(max=PADDED).tolist()
    videos = [F.normalize(torch.randn(length, dim, generator=generator), dim=-1) for length in lengths]
    ours = TCAEncoder(dim).eval()
    theirs = Published(dim, ours.state_dict()).eval()
    few = videos[: max(2, count // 8)]
    for found, expected in zip(packed(ours, few, together), published(theirs, few), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=0)
    taken = measure.alternate(
        {"published": lambda _: published(theirs, few), "telltime": lambda _: packed(ours, videos, together)},
        repeats,
        clock=time.perf_counter,
    )
    baseline = [seconds / len(few) for seconds in taken["published"]]
    gain = [seconds / len(videos) for seconds in taken["telltime"]]
    return {
        "videos": count,
        "frames": sum(lengths),
        "padded_rows_a_row": PADDED * count / sum(lengths),
        "published_seconds_a_video": measure.spread(baseline),
        "telltime_seconds_a_video": measure.spread(gain),
        "ratio": measure.ratio(baseline, gain),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--videos", type=int, default=64)
    parser.add_argument("--rows", type=int, default=4096, help="packed together, about")
    parser.add_argument("--out", type=Path, default=measure.RESULTS)
    options = parser.parse_args()
    results = {
        name: compare(short, long, options.videos, options.rows, options.repeats)
        for name, (short, long) in SHAPES.items()
    }
    rows = [
        (
            name,
            measure.milliseconds([r["published_seconds_a_video"][key] for key in ("q25", "median", "q75")]),
            measure.milliseconds([r["telltime_seconds_a_video"][key] for key in ("q25", "median", "q75")]),
            f"{r['ratio']['median']:.1f} ({r['ratio']['q25']:.1f}-{r['ratio']['q75']:.1f})",
            f"{r['padded_rows_a_row']:.1f}",
        )
        for name, r in results.items()
    ]
    header = ("videos", "published, ms a video", "telltime, ms a video", "times faster", "of it padding alone")
    measure.table(f"Encoding {DIM}-number frames, padded to {PADDED} one by one or packed", header, rows)
    print(f"\nwritten: {measure.write('encoding', {'padded_to': PADDED, 'dim': DIM, 'shapes': results}, options.out)}")


if __name__ == "__main__":
    main()
