"""What people do to videos they copy: edits of decoded frames, one function each.

An edit takes uint8 frames ``[T, 3, H, W]`` and random numbers, and gives uint8 frames of any number and size together
with the frame each of them shows. Its strength is drawn; the same numbers give the same edit. Pixel edits draw
before they look at the frames and leave their number alone, so a long video may pass through in blocks.

>>> rng = np.random.RandomState(0)
>>> edited, shown = EDITS["letterbox"](frames, rng)
>>> edit_video(Video("a.mp4"), "picture-in-picture", rng, "b.mp4")
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from telltime.media.frames import scaled
from telltime.media.video import Video
from telltime.views.recompress import recompress

Rng = np.random.RandomState
Edit = Callable[[Tensor, Rng], tuple[Tensor, np.ndarray]]

_LUMA = (0.299, 0.587, 0.114)
_SHORT_SIDE = 360
"""Pixels an edited file's shorter side has at most."""

_TOGETHER = 64
"""Frames that are edited at a time when a file is written."""


def crop(frames: Tensor, rng: Rng) -> Tensor:
    """A box of 60 to 90 % of either side, anywhere."""
    share_y, share_x, at_y, at_x = rng.uniform(0.6, 0.9), rng.uniform(0.6, 0.9), rng.rand(), rng.rand()
    rows, columns = frames.shape[-2:]
    height, width = max(1, int(share_y * rows)), max(1, int(share_x * columns))
    top, left = int(at_y * (rows - height)), int(at_x * (columns - width))
    return frames[..., top : top + height, left : left + width]


def mirror(frames: Tensor, rng: Rng) -> Tensor:
    """Left and right change places."""
    return frames.flip(-1)


def overlay(frames: Tensor, rng: Rng) -> Tensor:
    """One to three lines of text and, half the time, a logo in a corner, opaque or nearly."""
    rows, columns = frames.shape[-2:]
    colour, alpha = _stamp(rows, columns, rng)
    mixed = frames * (1 - alpha) + colour * alpha
    return mixed.round_().to(torch.uint8)


def letterbox(frames: Tensor, rng: Rng) -> Tensor:
    """Black bars above and below, or at both sides, 8 to 25 % of the picture each."""
    share, upright = rng.uniform(0.08, 0.25), rng.rand() < 0.5
    rows, columns = frames.shape[-2:]
    bar = max(1, int(share * (rows if upright else columns)))
    return F.pad(frames, (0, 0, bar, bar) if upright else (bar, bar, 0, 0))


def grey(frames: Tensor, rng: Rng) -> Tensor:
    """No colour."""
    weights = torch.tensor(_LUMA).view(3, 1, 1)
    return (frames * weights).sum(-3, keepdim=True).round_().to(torch.uint8).expand_as(frames)


def brightness(frames: Tensor, rng: Rng) -> Tensor:
    """Brightness, contrast and gamma changed by up to a third."""
    shift, contrast, gamma = rng.uniform(-40, 40), rng.uniform(0.65, 1.5), np.exp(rng.uniform(-0.35, 0.35))
    levels = np.arange(256) / 255
    levels = (levels**gamma - 0.5) * contrast * 255 + 127.5 + shift
    table = torch.from_numpy(levels.round().clip(0, 255).astype(np.uint8))
    return table[frames.long()]


def blur(frames: Tensor, rng: Rng) -> Tensor:
    """A Gaussian of 0.5 to 2 % of the shorter side."""
    sigma = rng.uniform(0.005, 0.02) * min(frames.shape[-2:])
    reach = max(1, int(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / max(sigma, 0.3)) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1)
    blurred = F.pad(frames.float(), (reach, reach, reach, reach), mode="replicate")
    blurred = F.conv2d(blurred, kernel[:, :, None, :], groups=3)
    return F.conv2d(blurred, kernel[:, :, :, None], groups=3).round_().to(torch.uint8)


def noise(frames: Tensor, rng: Rng) -> Tensor:
    """Gaussian noise of 6 to 25 grey levels, the same on every frame of a block."""
    spread, seed = rng.uniform(6, 25), int(rng.randint(2**31))
    drawn = torch.randn(frames.shape[-3:], generator=torch.Generator().manual_seed(seed)) * spread
    return (frames + drawn).round_().clamp_(0, 255).to(torch.uint8)


def scale(frames: Tensor, rng: Rng) -> Tensor:
    """Half to a fifth of the pixels a side, back up again half the time, the aspect off by up to a fifth."""
    share, stretch, back = rng.uniform(0.2, 0.5), rng.uniform(0.8, 1.25), rng.rand() < 0.5
    rows, columns = frames.shape[-2:]
    small = _resize(frames, max(8, int(rows * share)), max(8, int(columns * share * stretch)))
    return _resize(small, rows, columns) if back else small


def picture_in_picture(frames: Tensor, rng: Rng, behind: Tensor | None = None) -> Tensor:
    """The video at 35 to 65 % of its size upon another one.

    Args:
        behind: frames ``[n, 3, h, w]`` to lie below, taken in turn; without them a drawn ground that fades in colours.
    """
    share, at_y, at_x = rng.uniform(0.35, 0.65), rng.uniform(0.02, 0.98), rng.uniform(0.02, 0.98)
    coarse = torch.from_numpy(rng.randint(0, 256, (1, 3, 4, 6)).astype(np.uint8))
    ground = _resize(coarse if behind is None else behind, *frames.shape[-2:])
    return inset(frames, ground[torch.arange(len(frames)) % len(ground)].clone(), share, at_y, at_x)


def inset(frames: Tensor, ground: Tensor, share: float, at_y: float, at_x: float) -> Tensor:
    """``ground`` ``[T, 3, H, W]`` with frames of the same shape drawn into it at ``share`` of its height and width.

    Args:
        at_y, at_x: where, from 0 (top, left) to 1.
    """
    rows, columns = ground.shape[-2:]
    height, width = max(1, int(share * rows)), max(1, int(share * columns))
    top, left = int(at_y * (rows - height)), int(at_x * (columns - width))
    ground[..., top : top + height, left : left + width] = _resize(frames, height, width)
    return ground


def recompress_mildly(frames: Tensor, rng: Rng) -> Tensor:
    """Through a video encoder and back at visible but modest loss, in the same size."""
    return recompress(frames, quality=float(rng.uniform(0.4, 0.7)))


def recompress_heavily(frames: Tensor, rng: Rng) -> Tensor:
    """Scaled to a quarter to a half a side, through an encoder at its worst qualities, and back up."""
    share, quality = rng.uniform(0.25, 0.5), float(rng.uniform(0.0, 0.25))
    rows, columns = frames.shape[-2:]
    small = _resize(frames, max(16, int(rows * share)), max(16, int(columns * share)))
    return _resize(recompress(small, quality=quality), rows, columns)


def cut(count: int, rng: Rng) -> np.ndarray:
    """Int64: one stretch of 30 to 80 % of the frames, at least one."""
    share, at = rng.uniform(0.3, 0.8), rng.rand()
    kept = max(1, round(share * count))
    first = int(at * (count - kept + 1))
    return np.arange(first, first + kept)


def speed(count: int, rng: Rng) -> np.ndarray:
    """Int64: the frames played 1.25 to 2 times as fast, or as slowly."""
    factor = np.exp(rng.uniform(np.log(1.25), np.log(2.0)) * rng.choice([-1, 1]))
    shown = max(1, round(count / factor))
    return np.minimum((np.arange(shown) * factor).astype(np.int64), count - 1)


PIXELS: dict[str, Callable[[Tensor, Rng], Tensor]] = {
    "crop": crop,
    "mirror": mirror,
    "overlay": overlay,
    "letterbox": letterbox,
    "recompress": recompress_mildly,
    "recompress-heavy": recompress_heavily,
    "picture-in-picture": picture_in_picture,
    "grey": grey,
    "brightness": brightness,
    "blur": blur,
    "noise": noise,
    "scale": scale,
}
"""Edits that change pictures and leave time alone."""

TIMES: dict[str, Callable[[int, Rng], np.ndarray]] = {"cut": cut, "speed": speed}
"""Edits that choose frames, as indices int64 ``[n]`` of a number of frames."""


def _of_pixels(edit: Callable[[Tensor, Rng], Tensor]) -> Edit:
    return lambda frames, rng: (edit(frames, rng), np.arange(len(frames)))


def _of_time(edit: Callable[[int, Rng], np.ndarray]) -> Edit:
    def apply(frames: Tensor, rng: Rng) -> tuple[Tensor, np.ndarray]:
        shown = edit(len(frames), rng)
        return frames[torch.from_numpy(shown)], shown

    return apply


EDITS: dict[str, Edit] = {name: _of_pixels(edit) for name, edit in PIXELS.items()} | {
    name: _of_time(edit) for name, edit in TIMES.items()
}
"""Every edit by name: ``edit(frames, rng) -> (edited frames, index of the frame each shows)``."""


def chain(frames: Tensor, names: Sequence[str], rng: Rng) -> tuple[Tensor, np.ndarray]:
    """Several edits, one after the other.

    Raises:
        ValueError: an edit that does not exist.
    """
    shown = np.arange(len(frames))
    for name in names:
        frames, chosen = _edit(name)(frames, rng)
        shown = shown[chosen]
    return frames, shown


def edit_video(
    video: Video | str | Path, name: str | Sequence[str], rng: Rng, out_path: str | Path, codec: str = "mpeg4"
) -> np.ndarray:
    """Write an edited copy of a video, read in blocks.

    Args:
        name: an edit, or several to be made one after the other.
        out_path: where to; its shorter side has at most 360 pixels before it is edited.
        codec: FFmpeg's name of the encoder that writes the copy.

    Returns:
        float64 ``[n]``: the time in the original, in seconds, that each frame of the copy shows.

    Raises:
        MediaError: the video cannot be read.
        ValueError: an edit that does not exist, or no frame decodes.
    """
    from telltime.media.write import write_video

    names = [name] if isinstance(name, str) else list(name)
    for one in names:
        _edit(one)
    seeds = rng.randint(2**31, size=len(names)).tolist()
    with video if isinstance(video, Video) else Video(video) as opened:
        probe = opened.probe()
        rate = probe.rate if np.isfinite(probe.rate) and probe.rate > 0 else 25.0
        shown = np.arange(probe.frames)
        for number, one in enumerate(names):
            shown = shown[TIMES[one](len(shown), Rng(seeds[number]))] if one in TIMES else shown
        edits = [(PIXELS[one], seeds[number]) for number, one in enumerate(names) if one in PIXELS]
        written: list[np.ndarray] = []
        write_video(out_path, _pictures(opened, shown, edits, written), rate, codec)
    return np.concatenate(written) / rate


def _pictures(
    video: Video, shown: np.ndarray, edits: list[tuple[Callable[[Tensor, Rng], Tensor], int]], written: list[np.ndarray]
) -> Iterator[np.ndarray]:
    """The frames of the copy, uint8 ``[H, W, 3]`` of even size; what each shows is added to ``written``."""
    for indices, frames in video.passing(shown, together=_TOGETHER):
        rows, columns = frames.shape[-2:]
        width, height = scaled(columns, rows, _SHORT_SIDE)
        frames = _resize(frames, height, width)
        for edit, seed in edits:
            frames = edit(frames, Rng(seed))
        repeats = np.searchsorted(shown, indices, "right") - np.searchsorted(shown, indices, "left")
        written.append(indices.repeat(repeats))
        rows, columns = (max(2, side - side % 2) for side in frames.shape[-2:])
        for picture, times in zip(frames.movedim(-3, -1).numpy(), repeats.tolist(), strict=True):
            for _ in range(times):
                yield picture[:rows, :columns]


def _edit(name: str) -> Edit:
    if name not in EDITS:
        raise ValueError(f"there is no edit {name!r}; there are {', '.join(EDITS)}")
    return EDITS[name]


def _resize(frames: Tensor, height: int, width: int) -> Tensor:
    """uint8 frames in another size, antialiased."""
    if frames.shape[-2:] == (height, width):
        return frames
    if height == width == 1:  # which PyTorch cannot do in uint8
        return F.interpolate(frames.float(), (1, 1), mode="bilinear", antialias=True).round_().to(torch.uint8)
    return F.interpolate(frames, (height, width), mode="bilinear", antialias=True)


def _stamp(rows: int, columns: int, rng: Rng) -> tuple[Tensor, Tensor]:
    """Colours ``[3, H, W]`` of text and logo, and how opaque they are, ``[1, H, W]`` in 0..1."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGBA", (columns, rows))
    pen = ImageDraw.Draw(picture)
    opacity = int(rng.uniform(180, 255))
    for _ in range(rng.randint(1, 4)):
        words = "".join(chr(97 + letter) if letter < 26 else " " for letter in rng.randint(0, 30, rng.randint(8, 30)))
        font = ImageFont.load_default(max(8.0, rng.uniform(0.06, 0.16) * rows))
        where = (rng.uniform(0, 0.4) * columns, rng.uniform(0, 0.9) * rows)
        colour = tuple(int(level) for level in rng.choice([0, 64, 255], 3))
        pen.text(where, words, fill=(*colour, opacity), font=font, stroke_width=1, stroke_fill=(0, 0, 0, opacity))
    if rng.rand() < 0.5:
        side = rng.uniform(0.12, 0.3) * min(rows, columns)
        left = 0.02 * columns if rng.rand() < 0.5 else 0.98 * columns - side
        top = 0.02 * rows if rng.rand() < 0.5 else 0.98 * rows - side
        colour = tuple(int(level) for level in rng.randint(0, 256, 3))
        pen.ellipse((left, top, left + side, top + side), fill=(*colour, opacity))
    drawn = torch.from_numpy(np.asarray(picture).copy()).movedim(-1, 0).float()
    return drawn[:3], drawn[3:] / 255
