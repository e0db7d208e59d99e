"""``telltime edit-time``: move a generated picture to other times of day."""

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._reading import bar, whole_number

if TYPE_CHECKING:
    from torch import Tensor

    from telltime.checkpoints.clock import Clock
    from telltime.methods.time_editing import TimeEditLoss
    from telltime.tasks.edit_time import Edited
    from telltime.tasks.result import Result

SUMMARY = "move a generated picture to other times of day, as a strip of the day"

TERMS = ("nll", "ticl", "directional", "l2")

EXAMPLES = """\
examples:
  telltime edit-time sg2-lhq-1024.pt --hours 6 12 19 23 --out day
  telltime edit-time sg2-lhq-1024.pt --model runs/mine --hours 5:30 21:00 --seed 7 --steps 200 --out day
  telltime edit-time sg2-lhq-1024.pt --clip openai/clip-vit-base-patch32 --words noon sunset --hours 12 19 --out day
  telltime edit-time sg2-lhq-1024.pt --start day/latents.safetensors --hours 3 --out night

GENERATOR is a StyleGAN2 checkpoint in the layout of the PyTorch port (weights under "g_ema"). Its latent is moved until
the clock, --model, tells the hour wanted; with --clip also the way that the words go. DIR gets strip.png, pictures/,
latents.safetensors, result.json and report.html. Any other differentiable renderer does in Python:
  telltime.tasks.edit_time.edit(render, latent, TimeEditLoss(...), hours=[6, 12, 19])
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``edit-time GENERATOR --hours HOUR... --out DIR``."""
    parser.add_argument("generator", type=Path, nargs="?", metavar="GENERATOR", help="StyleGAN2 checkpoint")
    parser.add_argument("--hours", type=clock_hour, nargs="+", required=True, metavar="HOUR", help="6, 19:30 or 19.5")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for what comes of it")
    parser.add_argument("--model", metavar="MODEL", help="a clock: run, model folder or published file (default: ours)")
    parser.add_argument("--clip", metavar="NAME", help="folder or hub id of a CLIP, to go the way of words too")
    parser.add_argument("--words", nargs="+", metavar="WORDS", help="for each hour (default: noon, sunset, night, ...)")
    parser.add_argument("--from-words", default="daytime", metavar="WORDS", help="where the words start (daytime)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the picture to start from (default 0)")
    parser.add_argument("--start", type=Path, metavar="FILE", help="start from a latent of this latents.safetensors")
    parser.add_argument("--truncation", type=float, default=1.0, metavar="X", help="towards the mean style (default 1)")
    parser.add_argument("--steps", type=whole_number(1), default=100, metavar="N", help="(default 100)")
    parser.add_argument("--rate", type=float, default=0.1, metavar="X", help="learning rate at its highest (0.1)")
    parser.add_argument(
        "--patience",
        type=whole_number(0),
        default=0,
        metavar="N",
        help="end after N steps without gain (default: never)",
    )
    parser.add_argument(
        "--weight",
        type=weighted,
        action="append",
        default=[],
        metavar="TERM=X",
        help=f"of {', '.join(TERMS)} (default 1, 0, 1, 0.0005; published: nll=0, ticl=1)",
    )
    parser.add_argument(
        "--together", type=whole_number(0), default=0, metavar="N", help="hours in one batch (default: all)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu or cuda; by default a GPU if there is one")
    parser.add_argument("--json", action="store_true", help="print result.json instead of a sentence")
    parser.set_defaults(usage_error=parser.error)


def clock_hour(text: str) -> float:
    """An argparse type: ``6``, ``19:30`` or ``19.5``, before 24."""
    whole, _, minutes = text.partition(":")
    try:
        value = int(whole) + int(minutes) / 60 if minutes else float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 24 or (minutes and not 0 <= int(minutes) < 60):
        raise argparse.ArgumentTypeError(f"{text} is no hour of the day; expected 6, 19:30 or 19.5")
    return value


def weighted(text: str) -> tuple[str, float]:
    """An argparse type: ``TERM=X``."""
    name, _, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if name not in TERMS or not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no weight; expected one of {', '.join(TERMS)} with =X, at least 0")
    return name, number


def run(args: argparse.Namespace) -> int:
    """Edit, write and tell; 0 when done."""
    from telltime.checkpoints.generator_file import ADVICE, find_generator

    if args.generator is None:
        args.usage_error(ADVICE)
    if args.words and len(args.words) != len(args.hours):
        args.usage_error(f"--words needs one for each of the {len(args.hours)} hours, not {len(args.words)}")
    if args.words and not args.clip:
        args.usage_error("--words goes with --clip NAME, which knows what they look like")
    if args.out.exists() and not args.out.is_dir():
        args.usage_error(f"--out {args.out} is a file")
    find_generator(args.generator)
    args.hours = sorted(args.hours) if not args.words else args.hours
    result, edited = _edit(args)
    from telltime.report.evaluation import write_report

    written, page = result.write(args.out), write_report(result, args.out)
    if args.json:
        print(json.dumps(result.to_json(), indent=2))
        return 0
    before, after = (result.metrics[f"mae_hours_{when}"] for when in ("before", "after"))
    print(f"{len(edited.hours)} times of day in {result.seconds:.1f} s; by the clock that guided they are")
    print(f"{after:.2f} h off on average, {before:.2f} h before")
    print(f"{args.out / 'strip.png'}, {args.out / 'latents.safetensors'}, {written} and {page}")
    return 0


def _edit(args: argparse.Namespace) -> "tuple[Result, Edited]":
    import torch

    from telltime.checkpoints.clock import load_clock
    from telltime.checkpoints.generator import load_generator
    from telltime.tasks.edit_time import EditSettings, edit, summary

    started = time.monotonic()
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    generator = load_generator(args.generator)
    network = generator.network.to(device)
    start = _start(args, generator).to(device)
    clock = load_clock(args.model, device).requires_grad_(False)
    loss = _loss(args, clock, device)
    settings = EditSettings(args.steps, args.rate, args.patience, together=args.together)
    with bar(args.json) as told:
        report = None if told is None else lambda done, total: told("steps", done, total)
        edited = edit(network, start, loss, args.hours, settings, report)
    pictures = torch.cat([edited.before[None], edited.pictures])
    with torch.no_grad():
        features = clock.tower(torch.stack([clock.tower.prepare(picture) for picture in pictures]))
    weights = {term: getattr(loss.weights, term) for term in TERMS}
    result = summary(
        edited,
        clock.density(features).cpu().numpy(),
        model={"name": args.model or "shipped", "generator": args.generator.name, "clip": args.clip},
        data={"name": "generated", "seed": args.seed, "start": args.start and str(args.start), "weights": weights},
        started=started,
        protocol=f"{args.steps} steps of Adam at {args.rate:g}",
    )
    _write(args.out, edited, start)
    return result, edited


def _start(args: argparse.Namespace, generator: Any) -> "Tensor":
    """The latent to start from, ``[1, styles, style_dim]``."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from telltime.checkpoints.errors import CheckpointError

    network = generator.network
    if args.start is None:
        noise = torch.randn(1, network.style_dim, generator=torch.Generator().manual_seed(args.seed))
        with torch.no_grad():
            latents = network.latents(noise)
            if args.truncation < 1:
                mean = generator.mean if generator.mean is not None else network.mean_style(seed=args.seed)
                latents = mean + args.truncation * (latents - mean)
        return latents
    try:
        held = load_file(args.start)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{args.start}: no latents can be read from it ({error})") from error
    latents = held.get("start", held.get("latents"))
    if latents is None or latents.shape[1:] != (network.styles, network.style_dim):
        raise CheckpointError(
            f"{args.start} holds no 'start' or 'latents' [n, {network.styles}, {network.style_dim}], which this "
            "generator takes"
        )
    return latents[:1].float()


def _loss(args: argparse.Namespace, clock: "Clock", device: Any) -> "TimeEditLoss":
    import torch

    from telltime.losses.time_editing import text_direction
    from telltime.methods.time_editing import EditWeights, TimeEditLoss, tower_scores

    weights = EditWeights(**dict(args.weight))
    describe, words = None, None
    if args.clip:
        from telltime.checkpoints.clip_pair import load_clip_pair, words_of

        pair = load_clip_pair(args.clip, device)
        wanted = args.words or [words_of(hour) for hour in args.hours]
        source = pair.templated(args.from_words)
        words = torch.cat([text_direction(source, pair.templated(each)) for each in wanted])
        describe = pair.image
    return TimeEditLoss(
        tower_scores(clock.tower, lambda features: clock.head(clock.ready(features))), describe, words, weights
    )


def _write(out: Path, edited: "Edited", start: "Tensor") -> None:
    """``strip.png``, ``pictures/`` and ``latents.safetensors``, each whole."""
    import torch
    from PIL import Image
    from safetensors.torch import save_file

    from telltime.media.files import whole
    from telltime.report.day_strip import day_strip

    minutes = [round(hour * 60) % 1440 for hour in edited.hours]
    names = ["start", *(f"{each // 60:02d}:{each % 60:02d}" for each in minutes)]
    pictures = torch.cat([edited.before[None], edited.pictures])
    with whole(out / "strip.png") as beside:
        day_strip(pictures, names).save(beside)
    for place, (picture, name) in enumerate(zip(pictures, names, strict=True)):
        with whole(out / "pictures" / f"{place:02d}-{name.replace(':', '')}.png") as beside:
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(beside)
    with whole(out / "latents.safetensors") as beside:
        hours = torch.tensor(edited.hours, dtype=torch.float64)
        save_file({"latents": edited.latents.contiguous(), "start": start.cpu().contiguous(), "hours": hours}, beside)
