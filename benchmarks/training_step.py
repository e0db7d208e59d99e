"""A training step of TCLR against the step as published: ten separate forwards and looped losses, fp32, contiguous.

``python -m benchmarks.training_step [--videos 2] [--size 112] [--runs 3]``

Equal losses, gradients and running statistics are asserted first: in double precision with a narrow network, in fp32
with the published one. The ways then run in turn; peak memory is that of a child process each. On a GPU the batch is
the paper's 40 and memory is the device's.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks._measure import alternate, milliseconds, ratio, spread, table, write
from telltime.backbones.r3d import R3D18
from telltime.methods.tclr import TCLR, VIEWS

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Published(nn.Module):
    """The step as published: views one after the other, losses a pair and a video at a time."""

    def __init__(self, width: int = 64, temperature: float = 0.1) -> None:
        super().__init__()
        self.backbone = R3D18(width)
        channels = self.backbone.channels
        self.fc1, self.bn1 = nn.Linear(channels, channels), nn.BatchNorm1d(channels)
        self.bn2, self.fc2 = nn.BatchNorm1d(128), nn.Linear(channels, 128, bias=False)
        self.temperature = temperature

    def head(self, features: Tensor) -> Tensor:
        return F.normalize(self.bn2(self.fc2(F.relu(self.bn1(self.fc1(features))))), dim=-1)

    def forward(self, views: Tensor) -> Tensor:
        whole, slices, clips = [], [], []
        for number, view in enumerate(views.chunk(VIEWS)):
            features = F.adaptive_avg_pool3d(self.backbone(view), (None, 1, 1))[..., 0, 0]
            embedded = self.head(features.mean(-1))
            if number < 2:
                whole.append(embedded)
                slices.append([self.head(features[..., t]) for t in range(features.shape[-1])])
            else:
                clips.append(embedded)
        return self.loss(whole, slices, [clips[:4], clips[4:]])

    def loss(self, whole: list[Tensor], slices: list[list[Tensor]], clips: list[list[Tensor]]) -> Tensor:
        loss = self.contrast(whole[0], whole[1])
        local = [*clips[0], *clips[1]]
        for a, one in enumerate(local):
            for b, other in enumerate(local):
                if a != b:
                    loss = loss + self.contrast(one, other) / 4
        videos = len(whole[0])
        for video in range(videos):
            first, second = (torch.stack([clip[video] for clip in version]) for version in clips)
            loss = loss + self.contrast(first, second)
        target = torch.arange(4, device=loss.device)
        for of_version in slices:
            for version in clips:
                for video in range(videos):
                    parts = torch.stack([part[video] for part in of_version])
                    logits = parts @ torch.stack([clip[video] for clip in version]).T / self.temperature
                    both = F.cross_entropy(logits, target, reduction="sum")
                    both = both + F.cross_entropy(logits.T, target, reduction="sum")
                    loss = loss + both / (2 * videos)
        return loss

    def contrast(self, a: Tensor, b: Tensor) -> Tensor:
        """NT-Xent by a boolean mask over a full similarity matrix, as published."""
        count = len(a)
        rows = torch.cat([b, a])
        similarity = rows @ rows.T
        positive = torch.cat([similarity.diagonal(count), similarity.diagonal(-count)])[:, None]
        eye = torch.eye(2 * count, dtype=torch.bool, device=a.device)
        negative = similarity[~(eye | eye.roll(count, 0))].view(2 * count, -1)
        logits = torch.cat([positive, negative], dim=1) / self.temperature
        return F.cross_entropy(logits, logits.new_zeros(2 * count, dtype=torch.long), reduction="sum") / (2 * count)


def ours(reference: Published, **options: Any) -> TCLR:
    """TCLR with the weights of ``reference``."""
    state = reference.state_dict()
    method = TCLR(R3D18(len(state["backbone.stem.0.weight"])), **options).to(state["fc1.weight"].dtype)
    method.load_state_dict({key: state[key.removeprefix("head.")] for key in method.state_dict()})
    return method


class Way:
    """One way to step, on clips of its own: a model, its optimiser, and what precision and layout it takes."""

    def __init__(self, name: str, videos: int, size: int) -> None:
        torch.manual_seed(0)
        model: nn.Module = Published()
        self.layout, self.autocast = torch.contiguous_format, False
        if name != "published":
            passes = int(name.rsplit(" ", 1)[1]) if "views at a time" in name else None
            model = ours(model, views_per_pass=passes)  # type: ignore[arg-type]
            self.layout, self.autocast = torch.channels_last_3d, "fp32" not in name
        self.model = model.to(DEVICE)
        self.optimiser = torch.optim.Adam(self.model.parameters(), 1e-4)
        clips = torch.rand(VIEWS * videos, 3, 16, size, size, generator=torch.Generator().manual_seed(1))
        self.clips = clips.to(DEVICE).contiguous(memory_format=self.layout)
        self.cpu_seconds: list[float] = []

    def __call__(self, turn: int = 0) -> Tensor:
        start = time.process_time()
        self.optimiser.zero_grad()
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=self.autocast):
            out = self.model(self.clips)
        loss = out if isinstance(out, Tensor) else out.loss
        loss.backward()
        self.optimiser.step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        if turn >= 0:
            self.cpu_seconds.append(time.process_time() - start)
        return loss.detach()


WAYS = {
    "published": "ten forwards, looped losses, fp32, contiguous",
    "fp32": "one forward, batched losses, fp32, channels last",
    "bf16": "one forward, batched losses, bf16 autocast, channels last (ours)",
}
MICRO = "bf16, views at a time: 2"


def differences(width: int, videos: int, size: int, dtype: torch.dtype) -> dict[str, float]:
    """How far our step is from the published one: loss and gradient relative, running statistics absolute."""
    torch.manual_seed(0)
    published = Published(width).to(dtype)
    fused = ours(published)
    clips = F.interpolate(torch.rand(VIEWS * videos, 3, 4, 5, 5, dtype=dtype), (16, size, size), mode="trilinear")
    expected, got = published(clips), fused(clips).loss
    expected.backward()
    got.backward()
    parameters, state = dict(published.named_parameters()), published.state_dict()
    pairs = [(p.grad, parameters[name.removeprefix("head.")].grad) for name, p in fused.named_parameters()]
    apart = torch.stack([(one - other).norm() for one, other in pairs]).norm()
    statistics = [
        (value - state[key.removeprefix("head.")]).abs().max()
        for key, value in fused.state_dict().items()
        if "running" in key
    ]
    return {
        "loss": abs(got.item() / expected.item() - 1),
        "gradient": (apart / torch.stack([other.norm() for _, other in pairs]).norm()).item(),
        "statistics": torch.stack(statistics).max().item(),
    }


def assert_equal() -> dict[str, dict[str, float]]:
    """The published step is ours, within rounding (which in fp32 moves either gradient by some 1 % of its length)."""
    exact = differences(8, 3, 32, torch.float64)
    assert max(exact.values()) < 1e-9, exact
    single = differences(64, 3, 40, torch.float32)
    assert single["loss"] < 1e-4, single
    assert single["gradient"] < 3e-2, single
    assert single["statistics"] < 1e-4, single
    return {"float64, width 8": exact, "float32, width 64": single}


def losses_alone(runs: int, videos: int = 40) -> dict[str, list[float]]:
    """Forward and backward of the four terms of a batch of 40, looped and batched."""
    published, method = Published(), TCLR(R3D18(width=8))
    rows = F.normalize(torch.randn(18, videos, 128, generator=torch.Generator().manual_seed(2)), dim=-1).to(DEVICE)

    def looped(_: int) -> Tensor:
        z = rows.clone().requires_grad_()
        parts = z.unbind(0)
        slices = [list(parts[2:6]), list(parts[6:10])]
        published.loss(list(parts[:2]), slices, [list(parts[10:14]), list(parts[14:])]).backward()
        return gradient_of(z)

    def batched(_: int) -> Tensor:
        z = rows.clone().requires_grad_()
        slices, clips = (z[part].unflatten(0, (2, 4)).transpose(1, 2) for part in (slice(2, 10), slice(10, 18)))
        method.objective(z[:2], slices, clips).loss.backward()
        return gradient_of(z)

    def gradient_of(z: Tensor) -> Tensor:
        assert z.grad is not None
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return z.grad

    torch.testing.assert_close(batched(0), looped(0), rtol=1e-3, atol=1e-4)
    return alternate({"looped": looped, "batched": batched}, 5 * runs, clock=time.perf_counter)


def peak(name: str, videos: int, size: int) -> float | None:
    """GiB one step takes in a process of its own; ``None`` where it does not fit."""
    child = [
        sys.executable,
        "-m",
        "benchmarks.training_step",
        "--child",
        name,
        "--videos",
        str(videos),
        "--size",
        str(size),
    ]
    done = subprocess.run(child, stdout=subprocess.PIPE, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def child(name: str, videos: int, size: int) -> None:
    """One step; prints the peak of memory in GiB."""
    Way(name, videos, size)()
    if DEVICE.type == "cuda":
        print(torch.cuda.max_memory_allocated() / 2**30)
    else:
        print(_resident_peak())


def _resident_peak() -> float:
    """GiB; from the system's own account where there is one, because ``ru_maxrss`` starts at the parent's size."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=40 if DEVICE.type == "cuda" else 2, help="videos in a batch")
    parser.add_argument("--size", type=int, default=112, help="pixels of a clip's side")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each way")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.videos, arguments.size)
        return

    errors = assert_equal()
    for what, error in errors.items():
        print(f"equal in {what}: loss to {error['loss']:.0e}, gradient to {error['gradient']:.0e} of its length")
    memory = {name: peak(name, arguments.videos, arguments.size) for name in (*WAYS, MICRO)}
    ways: dict[str, Callable[[int], object]] = {
        name: Way(name, arguments.videos, arguments.size) for name in memory if memory[name] is not None
    }
    seconds = alternate(ways, arguments.runs, clock=time.perf_counter)
    cpu = {name: way.cpu_seconds for name, way in ways.items() if isinstance(way, Way)}
    losses = losses_alone(arguments.runs)

    clips = VIEWS * arguments.videos
    rows = []
    for name, text in {**WAYS, MICRO: "the same, two views at a time, recomputed"}.items():
        gib = "does not fit" if memory[name] is None else f"{memory[name]:.2f} GiB"
        if name in seconds:
            middle = spread(seconds[name])["median"]
            gain = f"{ratio(seconds['published'], seconds[name])['median']:.2f}x" if "published" in seconds else ""
            work = f"{ratio(cpu['published'], cpu[name])['median']:.2f}x" if "published" in seconds else ""
            rows.append((text, milliseconds(seconds[name]), f"{clips / middle:.2f}", gain, work, gib))
        else:
            rows.append((text, "", "", "", "", gib))
    title = f"TCLR step, R3D-18, {arguments.videos} videos of {arguments.size} pixels, {DEVICE.type}"
    table(title, ("way", "ms", "clips/s", "gain", "gain in CPU time", "peak memory"), rows)
    loss_rows = [(name, milliseconds(taken)) for name, taken in losses.items()]
    loss_rows.append(("gain", f"{ratio(losses['looped'], losses['batched'])['median']:.1f}x"))
    table("losses alone, 40 videos, forward and backward", ("way", "ms"), loss_rows)
    gains = {
        name: {"wall": ratio(seconds["published"], seconds[name]), "cpu": ratio(cpu["published"], cpu[name])}
        for name in seconds
        if "published" in seconds
    }
    results = {
        "device": DEVICE.type,
        "videos": arguments.videos,
        "size": arguments.size,
        "equality": errors,
        "seconds": {name: spread(taken) for name, taken in seconds.items()},
        "clips_per_second": {name: clips / spread(taken)["median"] for name, taken in seconds.items()},
        "gain": gains,
        "peak_gib": memory,
        "losses_seconds": {name: spread(taken) for name, taken in losses.items()},
        "losses_gain": ratio(losses["looped"], losses["batched"]),
    }
    write("training_step" if DEVICE.type == "cpu" else "training_step_gpu", results)


if __name__ == "__main__":
    main()
