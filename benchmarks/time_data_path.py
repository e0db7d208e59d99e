"""From a file to the clip TIME trains on: the published way against telltime's, on the same random numbers.

The published way, written out here: the whole file is decoded and converted to RGB, the frames of the clip go one by
one through Pillow's RandAugment at full size, all are made float, scaled and cropped, and OpenCV measures the motion of
every pair of frames, wanted or not. telltime converts the frames it takes, cuts the crop out, hands on uint8, and
changes clips where the training runs (here: the same CPU, counted in); motion is estimated only where its loss counts.

The bar is on the published way as it stands against telltime with flow off. The other rows are printed too: with no
directions on either side both wait for the decoder, and in the worker our motion estimate is slower than OpenCV's,
which is why it is meant to run on the training device.

Equal results are asserted first. CPU seconds are those of all threads of the process; runs alternate.
"""

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import av
import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import RandomState
from PIL import Image
from torch import Tensor

from benchmarks import _measure as measure
from benchmarks.data_path import footage
from telltime.clips.item import Item
from telltime.clips.segments import random_frames
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views.time import PRESETS, Values, augment, draw, scaled_shape
from telltime.views.time_published import rand_augmented
from telltime.views.time_reader import TimeReader

SIZE, FRAMES, PATCH = 224, 8, 16
BAR = 2.0


# --- the published way ------------------------------------------------------------------------------------------------


def published_item(path: Path, seed: int, values: Values, flow: bool) -> tuple[Tensor, Tensor | None]:
    """float32 clip ``[8, 3, 224, 224]`` in -1..1, and directions int64 ``[7, 196]``."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    rng = RandomState(seed)
    dice = Random(rng.bytes(16))
    frames = frames[random_frames(len(frames), FRAMES, dice)]
    draw(rng, values, SIZE)  # what telltime draws here and the publication does not
    if values.operations:
        frames = rand_augmented(frames, dice, rng, values)
    pictures = [torch.tensor(np.array(Image.fromarray(frame))) for frame in frames]
    clip = (torch.stack(pictures).float() / 255 - 0.5) / 0.5
    clip = clip.permute(0, 3, 1, 2)
    shape = scaled_shape(*clip.shape[2:], round(1 / rng.uniform(1 / 320, 1 / 256)))
    clip = F.interpolate(clip, shape, mode="bilinear", align_corners=False)
    top, left = (int(rng.randint(0, length - SIZE)) for length in shape)
    clip = clip[:, :, top : top + SIZE, left : left + SIZE]
    return clip, published_flow(clip) if flow else None


def published_flow(clip: Tensor) -> Tensor:
    grey = (0.299 * clip[:, 0] + 0.587 * clip[:, 1] + 0.114 * clip[:, 2]).numpy() * 128
    told = []
    for before, after in pairwise(grey):
        motion = cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 3, 15, 3, 5, 1.2, 0)
        side = SIZE // PATCH
        patches = motion.reshape(side, PATCH, side, PATCH, 2).mean((1, 3))
        size, angle = cv2.cartToPolar(patches[..., 0], patches[..., 1])
        moving = cv2.normalize(size, None, 0, 100, cv2.NORM_MINMAX) // 1 > 0
        told.append(((np.clip(angle * 180 / np.pi // 45, 0, 7) + 1) * moving).ravel())
    return torch.from_numpy(np.stack(told)).long()


# --- telltime's way ---------------------------------------------------------------------------------------------------


def ours(path: Path, seed: int, reader: TimeReader) -> Item:
    """What a worker does."""
    with Video(path) as video:
        return reader(video, RandomState(seed))


def on_device(item: Item) -> Tensor:
    """What is done where the training runs: float32 ``[1, 3, 8, 224, 224]``."""
    told = {key: value[None] for key, value in item.items() if key not in ("clips", "frames", "flow")}
    return augment(item["clips"][None], told).mul_(2).sub_(1)


# --- the comparison ---------------------------------------------------------------------------------------------------


def check(path: Path) -> dict[str, float]:
    """Both ways give the same clips and directions, to the rounding of pixels."""
    apart, agree = 0.0, 1.0
    for preset, pipeline in (("none", "crop-first"), ("paper", "published")):
        flow = pipeline == "published"
        reader = TimeReader(values=preset, crop="reference", antialias=False, pipeline=pipeline, flow=flow)
        for seed in range(3):
            clip, told = published_item(path, seed, PRESETS[preset], flow)
            item = ours(path, seed, reader)
            seen = on_device(item)[0].transpose(0, 1)
            apart = max(apart, float((seen - clip).abs().max()) * 127.5)
            if told is not None:
                agree = min(agree, float((item["flow"] == told).float().mean()))
    assert apart < 0.51, f"the clips differ by {apart} of 255"
    assert agree >= 0.99, f"the directions agree on {agree:.3f}"
    return {"largest_difference_of_255": apart, "least_agreement_of_directions": agree}


def compare(path: Path, repeats: int) -> dict[str, Any]:
    told = check(path)
    paper = PRESETS["paper"]
    plain = TimeReader(values="paper", crop="reference", antialias=False)
    flowing = TimeReader(values="paper", crop="reference", antialias=False, flow=True)
    items = [ours(path, turn + 100, plain) for turn in range(-1, repeats)]
    taken = measure.alternate(
        {
            "published, flow": lambda turn: published_item(path, turn + 100, paper, True),
            "published, no flow": lambda turn: published_item(path, turn + 100, paper, False),
            "telltime worker": lambda turn: ours(path, turn + 100, plain),
            "telltime device": lambda turn: on_device(items[turn + 1]),
            "telltime worker, flow": lambda turn: ours(path, turn + 100, flowing),
        },
        repeats,
    )
    whole = [a + b for a, b in zip(taken["telltime worker"], taken["telltime device"], strict=True)]
    theirs, _ = published_item(path, 0, paper, False)
    return {
        "equality": told,
        "seconds": {name: measure.spread(values) for name, values in (taken | {"telltime whole": whole}).items()},
        "ratio_as_published": measure.ratio(taken["published, flow"], whole),
        "ratio_no_directions": measure.ratio(taken["published, no flow"], whole),
        "ratio_directions_in_worker": measure.ratio(taken["published, flow"], taken["telltime worker, flow"]),
        "ratio_bytes": theirs.nbytes / items[0]["clips"].nbytes,
        "taken": taken | {"telltime whole": whole},
    }


def show(results: dict[str, dict[str, Any]]) -> None:
    ways = list(next(iter(results.values()))["taken"])
    rows = [(way, *(measure.milliseconds(found["taken"][way]) for found in results.values())) for way in ways]
    measure.table("CPU milliseconds a clip, median (quartiles)", ("way", *results), rows)
    gains = [
        (title, *(f"{found[key]['median']:.2f}" for found in results.values()))
        for title, key in (
            ("directions wanted by nobody: as published / telltime", "ratio_as_published"),
            ("no directions on either side", "ratio_no_directions"),
            ("directions on both sides, in the worker", "ratio_directions_in_worker"),
        )
    ]
    measure.table("Gains (above 1 telltime is ahead)", ("published / telltime, times", *results), gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="rounds of each comparison (default 15)")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder for time_data_path.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # Something-Something's clips: 240 rows, 45 frames on average at 12 a second, VP9
    how = {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": "8", "g": 128}
    files = {"427x240 vp9, 45 frames": (45, 240, 427), "320x240 vp9, 45 frames": (45, 240, 320)}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (frames, height, width)) in enumerate(files.items()):
            path = Path(folder) / f"{number}.webm"
            write_video(path, footage(frames, height, width - width % 2), rate=12, **how)
            results[name] = compare(path, options.repeats)
    show(results)
    print(f"\nwritten: {measure.write('time_data_path', {'files': results}, options.out)}")
    for name, found in results.items():
        assert found["ratio_as_published"]["median"] >= BAR, f"{name}: less than {BAR} times faster with flow off"


if __name__ == "__main__":
    main()
