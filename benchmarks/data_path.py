"""From a file to the ten views TCLR trains on: the published way against telltime's, on the same random numbers.

The published way, written out here: the whole file is decoded with OpenCV, every frame a clip needs goes through Pillow
once for each view in the worker, and float32 clips are handed on. telltime decodes the window only, hands on small
uint8 crops, and changes colours for whole views where the training runs (here: the same CPU, counted in).

Equal results are asserted first. CPU seconds are those of all threads of the process; runs alternate.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as pil

from benchmarks import _measure as measure
from telltime.clips import sampling
from telltime.clips.item import Item
from telltime.media.video import Video
from telltime.media.write import write_video
from telltime.views.readers import TCLRReader, TestReader
from telltime.views.tclr import PRETRAIN, augment, draw

SIZE, FRAMES, VIEWS = 112, 16, 10


def footage(frames: int, height: int, width: int) -> Iterator[np.ndarray]:
    """A smooth texture under a moving camera, two discs before it, a little grain: about as hard to code as sport."""
    rng = np.random.default_rng(0)
    small = rng.integers(20, 236, (height // 12, width // 12, 3), dtype=np.uint8)
    back = cv2.resize(small, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    unit = height // 12
    for t in range(frames):
        x, y = int(width / 2 * (1 + np.sin(t / 60))), int(height / 2 * (1 + np.cos(t / 45)))
        picture = back[y : y + height, x : x + width].copy()
        for k, colour in enumerate(((200, 60, 40), (40, 80, 210))):
            centre = (
                int(width * (0.5 + 0.4 * np.sin(t / 20 + 2 * k))),
                int(height * (0.5 + 0.35 * np.cos(t / 15 + k))),
            )
            cv2.circle(picture, centre, (2 + k) * unit, colour, -1)
        grain = rng.integers(-2, 3, (height, width, 1), dtype=np.int16)
        yield np.clip(picture + grain, 0, 255).astype(np.uint8)


# --- the published way ------------------------------------------------------------------------------------------------


def published_views(path: Path, seed: int, frame: tuple[int, int]) -> list[Tensor]:
    """Ten float32 clips ``[16, 3, 112, 112]``, as the published loader makes them.

    Args:
        frame: height and width the crops are drawn for. The publication draws for 240 x 320 whatever the file, so that
            of a larger frame it sees a corner.
    """
    rng = np.random.RandomState(seed)
    video = cv2.VideoCapture(str(path))
    start = sampling.pretrain_start(video.get(cv2.CAP_PROP_FRAME_COUNT), rng)
    assert start is not None
    glob, local = sampling.pretrain_frames(start)
    clips = [set(clip.tolist()) for clip in (glob, *local)]
    drawn = draw(rng, VIEWS, PRETRAIN, *frame)
    views: list[list[Tensor]] = [[] for _ in range(VIEWS)]
    index = 0
    while True:
        good, picture = video.read()
        if not good:
            break
        for clip, wanted in enumerate(clips):
            if index in wanted:
                for view in (2 * clip, 2 * clip + 1):
                    views[view].append(published_frame(picture, {name: value[view] for name, value in drawn.items()}))
        index += 1
    return [torch.stack(view) for view in views]


def published_frame(picture: np.ndarray, p: dict[str, Any]) -> Tensor:
    """One frame of one view through Pillow: crop, colours, mirror image, float, black box."""
    r = p["uniform"]
    image = pil.resized_crop(Image.fromarray(picture), p["top"], p["left"], p["side"], p["side"], [SIZE, SIZE])
    if r[0] < 0.125:
        image = pil.adjust_contrast(image, p["contrast"])
    if r[1] < 0.3:
        image = pil.adjust_hue(image, p["hue"])
    if r[2] < 0.3:
        image = pil.adjust_saturation(image, p["saturation"])
    if r[3] < 0.3:
        image = pil.adjust_brightness(image, p["brightness"])
    if 0.125 < r[0] < 0.25:
        image = pil.adjust_contrast(image, p["contrast"])
    if r[4] > 0.7:
        if r[4] < 0.875:
            image = pil.to_grayscale(image, 3)
            if r[5] > 0.25:
                image = pil.adjust_gamma(image, p["gamma"])
        else:
            pixels = np.array(image)
            pixels[..., p["channel"]] = 0
            image = Image.fromarray(pixels)
    if r[6] > 0.5:
        image = pil.hflip(image)
    result = pil.to_tensor(image)
    if r[7] < 0.5:
        top, left = p["erase_top"], p["erase_left"]
        result[:, top : top + p["erase_height"], left : left + p["erase_width"]] = 0
    return result


def published_test_clips(path: Path, positions: int) -> list[Tensor]:
    """The test clips of one video: the whole file is decoded again for each position."""
    clips = []
    for position in range(positions):
        video = cv2.VideoCapture(str(path))
        wanted = set(sampling.test_frames(video.get(cv2.CAP_PROP_FRAME_COUNT), positions)[position].tolist())
        clip, index = [], 0
        while True:
            good, picture = video.read()
            if not good:
                break
            if index in wanted:
                side = int(0.8 * min(picture.shape[:2]))
                image = pil.resize(pil.center_crop(Image.fromarray(picture), [side, side]), [SIZE, SIZE])
                clip.append(pil.to_tensor(image))
            index += 1
        clips.append(torch.stack(clip))
    return clips


# --- telltime's way ---------------------------------------------------------------------------------------------------


def ours_item(path: Path, seed: int, reader: TCLRReader) -> Item:
    """What a worker does."""
    with Video(path) as video:
        return reader(video, np.random.RandomState(seed))


def ours_views(item: Item) -> Tensor:
    """What is done where the training runs: float32 ``[10, 3, 16, 112, 112]``."""
    draws = {key: value for key, value in item.items() if key != "clips"}
    return augment(item["clips"], draws)


# --- the comparison ---------------------------------------------------------------------------------------------------


def distance(theirs: list[Tensor], ours: Tensor) -> dict[str, float]:
    """How far our views are from the published ones, in 8-bit steps."""
    far = (torch.stack(theirs).transpose(1, 2) - ours).abs().mul_(255)
    return {"mean": float(far.mean()), "share_above_1": float((far > 1.01).float().mean()), "max": float(far.max())}


def size(values: Any) -> int:
    """Bytes of the tensors handed from a worker to the training process."""
    return sum(tensor.nbytes for tensor in (values.values() if isinstance(values, dict) else values))


def compare(path: Path, corner: bool, repeats: int) -> dict[str, Any]:
    """Both ways on one file: equality first (not for ``corner``: other crops), then CPU seconds and bytes."""
    reader = TCLRReader()
    with Video(path) as video:
        probe = video.probe()
    frame = (240, 320) if corner else (probe.height, probe.width)
    apart = [
        distance(published_views(path, seed, frame), ours_views(ours_item(path, seed, reader))) for seed in range(3)
    ]
    worst = {key: max(found[key] for found in apart) for key in apart[0]}
    if not corner:
        assert worst["share_above_1"] < 0.005, f"{path.name}: the views differ: {worst}"
        assert worst["max"] <= 16, f"{path.name}: the views differ: {worst}"
    items = [ours_item(path, turn + 100, reader) for turn in range(repeats)]
    taken = measure.alternate(
        {
            "published": lambda turn: published_views(path, turn + 100, frame),
            "worker": lambda turn: ours_item(path, turn + 100, reader),
            "device": lambda turn: ours_views(items[turn]),
        },
        repeats,
    )
    whole = [w + d for w, d in zip(taken["worker"], taken["device"], strict=True)]
    theirs, ours = size(published_views(path, 0, frame)), size(items[0])
    return {
        "difference": None if corner else worst,
        "seconds": {name: measure.spread(values) for name, values in (taken | {"whole": whole}).items()},
        "bytes": {"published": theirs, "telltime": ours, "ratio": theirs / ours},
        "ratio_worker": measure.ratio(taken["published"], taken["worker"]),
        "ratio_whole": measure.ratio(taken["published"], whole),
        "taken": taken | {"whole": whole},
    }


def compare_test(path: Path, repeats: int, positions: int = 10) -> dict[str, Any]:
    """All test positions of a video."""
    reader = TestReader(positions)
    with Video(path) as video:
        ours = augment(reader(video)["clips"], {})
    worst = distance(published_test_clips(path, positions), ours)
    assert worst["max"] <= 1.01, f"{path.name}: the test clips differ: {worst}"

    def read(turn: int) -> Tensor:
        with Video(path) as video:
            return augment(reader(video)["clips"], {})

    ways = {"published": lambda turn: published_test_clips(path, positions), "whole": read}
    taken = measure.alternate(ways, max(3, repeats // 3))
    return {"difference": worst, "ratio_whole": measure.ratio(taken["published"], taken["whole"]), "taken": taken}


def show(results: dict[str, dict[str, Any]]) -> None:
    ms = measure.milliseconds
    training = {name: found for name, found in results.items() if "ratio_worker" in found}
    lines = [
        (name, ms(found["taken"]["published"]), *(ms(found["taken"][part]) for part in ("worker", "device", "whole")))
        for name, found in training.items()
    ]
    heads = ("ten views of one video", "published", "telltime worker", "telltime device", "telltime whole")
    measure.table("CPU milliseconds, median (quartiles)", heads, lines)
    gains = [
        (
            name,
            f"{found['ratio_worker']['median']:.1f}",
            f"{found['ratio_whole']['median']:.1f}",
            f"{found['bytes']['ratio']:.1f}",
            "different crops" if found["difference"] is None else f"{found['difference']['mean']:.2f}",
        )
        for name, found in training.items()
    ]
    heads = ("published / telltime, times", "worker", "whole CPU", "bytes", "mean difference of 255")
    measure.table("Gains (above 1 telltime is ahead)", heads, gains)
    lost = [(name, "0", ms(found["taken"]["device"])) for name, found in training.items()]
    measure.table("Where telltime loses: CPU ms in the training process", ("file", "published", "telltime"), lost)
    tests = [
        (name, ms(found["taken"]["published"]), ms(found["taken"]["whole"]), f"{found['ratio_whole']['median']:.1f}")
        for name, found in results.items()
        if name not in training
    ]
    measure.table("CPU ms of ten test positions", ("file", "published", "telltime", "times"), tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="rounds of each comparison (default 15)")
    parser.add_argument("--length", type=float, default=1.0, help="factor on the length of the files")
    parser.add_argument("--small", action="store_true", help="only the 320x240 file")
    parser.add_argument("--out", type=Path, default=measure.RESULTS, help="folder for data_path.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    # UCF101's files have 186 frames on average and either one keyframe or one in 12; Kinetics' last ten seconds
    files: dict[str, tuple[int, int, int, dict[str, Any]]] = {
        "320x240 mpeg4, one keyframe": (186, 240, 320, {"codec": "mpeg4", "g": 300}),
        "320x240 mpeg4, keyframe in 12": (186, 240, 320, {"codec": "mpeg4", "g": 12}),
        "1280x720 mpeg4, keyframe in 12": (300, 720, 1280, {"codec": "mpeg4", "g": 12}),
        "1280x720 h264, keyframe in 60": (300, 720, 1280, {"codec": "libx264", "g": 60, "preset": "veryfast"}),
    }
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (frames, height, width, how)) in enumerate(files.items()):
            if height > 240 and options.small:
                continue
            path = Path(folder) / (f"{number}.mp4" if how["codec"] == "libx264" else f"{number}.avi")
            frames = int(frames * options.length)
            write_video(path, footage(frames, height, width), **how)
            print(f"{name}: {frames} frames of {path.stat().st_size / frames / 1e3:.1f} kB")
            results[name] = compare(path, False, options.repeats)
            if height > 240:
                results[f"{name}, published corner crops"] = compare(path, True, options.repeats)
            results[f"{name}, test positions"] = compare_test(path, options.repeats)
    show(results)
    print(f"\nwritten: {measure.write('data_path', {'files': results}, options.out)}")


if __name__ == "__main__":
    main()
