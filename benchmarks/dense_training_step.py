"""A training step of TimeT against the step as published, on ViT-S/16 with random weights.

``python -m benchmarks.dense_training_step [--clips 2] [--frames 4] [--runs 5]``

The published step written out plainly: the backbone runs over all frames for features and once more for attention,
both again for the features that labels are carried by; attention is spelled out; labels are carried clip by clip over
full affinities, in double precision; and the search for anomalies is on. Equal loss and gradients are asserted first.
The ways then run in turn; memory is what a step takes beyond model and optimiser, in a process of its own. On a GPU the
batch is the paper's 128 clips, memory is the device's, and a row in bfloat16 is added.
"""

import argparse
import json
import os
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
from telltime.backbones.dense import DenseEncoder
from telltime.methods.timet import TimeT

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SIDE, GRID, PROTOTYPES = 224, 14, 200


class Published(nn.Module):
    """The step as published, over the weights of a :class:`~telltime.methods.timet.TimeT`."""

    def __init__(self, method: TimeT) -> None:
        super().__init__()
        self.vit, self.head, self.prototypes = method.encoder.network, method.head, method.prototypes
        y, x = torch.arange(GRID**2) // GRID, torch.arange(GRID**2) % GRID
        near = ((y[:, None] - y).abs() <= 6) & ((x[:, None] - x).abs() <= 6)
        self.register_buffer("near", near.float(), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        count, frames = clips.shape[:2]
        features, _ = self.extract(clips.flatten(0, 1))
        projected = self.head(features).unflatten(0, (count, frames))
        source = F.normalize(projected[:, 0], dim=-1) @ self.prototypes.T
        target = F.normalize(projected[:, -1], dim=-1) @ self.prototypes.T
        with torch.no_grad():
            q = self.assign(source.flatten(0, 1)).unflatten(0, (count, -1))
            bare, _ = self.extract(clips.flatten(0, 1))
            bare = bare.unflatten(0, (count, frames))
            labels = torch.stack([self.carry(bare[i], q[i]) for i in range(count)])
        losses = [F.cross_entropy(target[i] / 0.1, labels[i]) for i in range(count)]
        return torch.stack(losses).mean()

    def extract(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Patch features, and in another pass the attention of the class token."""
        tokens = self.embedded(images)
        for block in self.vit.blocks:
            tokens = tokens + self.attended(block, block.norm1(tokens))[0]
            tokens = tokens + block.mlp(block.norm2(tokens))
        features = self.vit.norm(tokens)[:, 1:]
        with torch.no_grad():
            tokens = self.embedded(images)
            for block in self.vit.blocks[:-1]:
                tokens = tokens + self.attended(block, block.norm1(tokens))[0]
                tokens = tokens + block.mlp(block.norm2(tokens))
            attention = self.attended(self.vit.blocks[-1], self.vit.blocks[-1].norm1(tokens))[1]
        return features, attention[:, :, 0]

    def embedded(self, images: Tensor) -> Tensor:
        patches = self.vit.patch_embed.proj(images).flatten(2).mT
        return torch.cat([self.vit.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.vit.pos_embed

    @staticmethod
    def attended(block: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        layer = block.attn
        q, k, v = layer.qkv(tokens).unflatten(2, (3, layer.num_heads, -1)).permute(2, 0, 3, 1, 4)
        attention = (q @ k.mT * layer.scale).softmax(-1)
        return layer.proj((attention @ v).transpose(1, 2).flatten(2)), attention

    def assign(self, scores: Tensor) -> Tensor:
        q = (scores / 0.05).exp().T
        rows, columns = q.shape
        q = q / q.sum()
        for _ in range(10):
            q = q / q.sum(1, keepdim=True) / rows
            q = q / q.sum(0, keepdim=True) / columns
        return (q / q.sum(0, keepdim=True)).T

    def carry(self, features: Tensor, first: Tensor) -> Tensor:
        """Labels of the last frame of one clip; ``[frames, places, C]`` and ``[places, K]``."""
        maps = [first.double()]
        for now in range(1, len(features)):
            query = F.normalize(features[now], dim=-1)[None].expand(now, -1, -1)
            keys = F.normalize(features[:now], dim=-1)
            affinity = (query @ keys.mT / 0.1).exp() * self.near
            affinity = affinity.mT.flatten(0, 1)
            least = affinity.topk(5, dim=0).values.amin(0)
            affinity[affinity < least] = 0
            affinity = affinity / affinity.sum(0, keepdim=True)
            maps.append(affinity.double().T @ torch.cat(maps))
        return maps[-1].argmax(1)


def method() -> TimeT:
    torch.manual_seed(0)
    encoder = DenseEncoder("vit_small_patch16_224.dino", pretrained=False)
    for block in encoder.network.blocks:  # timm begins with weights so small that all places look alike
        for layer in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5)
    return TimeT(encoder, prototypes=PROTOTYPES)


def drifting(clips: int, frames: int) -> Tensor:
    """Float clips of a texture that moves, with noise, so that no two places are alike."""
    generator = torch.Generator().manual_seed(1)
    ground = torch.randn(clips, 3, SIDE // 8, SIDE // 8, generator=generator)
    ground = F.interpolate(ground, (SIDE, SIDE), mode="nearest")
    moved = torch.stack([ground.roll((4 * t, 8 * t), (-2, -1)) for t in range(frames)], dim=1)
    return moved + 0.05 * torch.randn(moved.shape, generator=generator)


class Way:
    """One way to step, with a model and an optimiser of its own."""

    def __init__(self, name: str, clips: int, frames: int) -> None:
        ours = method().to(DEVICE)
        self.model: Any = ours.train() if name.startswith("ours") else Published(ours).to(DEVICE).eval()
        wanted = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(wanted, 1e-5)
        self.clips = drifting(clips, frames).to(DEVICE)
        self.anomalies = name == "published"
        self.bf16 = "bf16" in name

    def __call__(self, turn: int = 0) -> Tensor:
        self.optimiser.zero_grad()
        with torch.autograd.set_detect_anomaly(self.anomalies, check_nan=True):
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=self.bf16):
                out = self.model(self.clips)
            loss = out if isinstance(out, Tensor) else out.loss
            loss.backward()
        self.optimiser.step()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return loss.detach()


WAYS = {
    "published": "as published",
    "published, no anomalies": "the same without the search for anomalies",
    "ours": "one pass, a gradient for the last frame alone (ours)",
}
BF16 = {"ours, bf16": "ours under bfloat16 autocast"}


def assert_equal(clips: int, frames: int) -> dict[str, float]:
    """Loss and gradients of both are the same within rounding."""
    ours = method().train().to(DEVICE)
    pixels = drifting(clips, frames).to(DEVICE)
    expected = Published(ours).to(DEVICE)(pixels)
    expected.backward()
    gradients = {name: p.grad.clone() for name, p in ours.named_parameters() if p.grad is not None}
    ours.zero_grad()
    got = ours(pixels).loss
    got.backward()
    assert {name for name, p in ours.named_parameters() if p.grad is not None} == set(gradients)
    named = dict(ours.named_parameters())
    apart = {
        name: float((named[name].grad - other).abs().max() / other.abs().max())  # type: ignore[operator]
        for name, other in gradients.items()
        if other.abs().max() > 1e-9
    }
    differences = {"loss": abs(float(got.detach() / expected.detach()) - 1), "gradient": max(apart.values())}
    assert differences["loss"] < 1e-5, differences
    assert differences["gradient"] < 1e-3, differences
    return differences


def peak(name: str, clips: int, frames: int) -> dict[str, float]:
    """MiB a step takes beyond what lies there before it, and in all, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.dense_training_step", "--child", name]
    command += ["--clips", str(clips), "--frames", str(frames)]
    given = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=given)
    return json.loads(done.stdout)


def child(name: str, clips: int, frames: int) -> None:
    way = Way(name, clips, frames)
    way()
    way.optimiser.zero_grad()
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated() / 2**20
        way()
        whole = torch.cuda.max_memory_allocated() / 2**20
    else:
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        way()
        whole = _status("VmHWM")
    print(json.dumps({"step": whole - before, "process": whole}))


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 2**10


def main() -> None:
    on_gpu = DEVICE.type == "cuda"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=128 if on_gpu else 2, help="clips in a batch")
    parser.add_argument("--frames", type=int, default=4, help="frames of a clip")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each way")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    clips, frames = arguments.clips, arguments.frames
    if arguments.child:
        child(arguments.child, clips, frames)
        return
    errors = assert_equal(min(clips, 4), frames)
    print(f"equal: loss to {errors['loss']:.0e}, gradients to {errors['gradient']:.0e} of the largest entry")
    names = WAYS | (BF16 if on_gpu else {})
    memory = {name: peak(name, clips, frames) for name in names}
    ways: dict[str, Callable[[int], object]] = {name: Way(name, clips, frames) for name in names}
    clock = time.perf_counter if on_gpu else time.process_time
    seconds = alternate(ways, arguments.runs, clock=clock)
    rows = []
    for name, text in names.items():
        gain = f"{ratio(seconds['published'], seconds[name])['median']:.2f}x"
        share = f"{memory[name]['step'] / memory['published']['step']:.2f}"
        rows.append((text, milliseconds(seconds[name]), gain, f"{memory[name]['step']:.0f} MiB", share))
    title = f"TimeT step, ViT-S/16, {clips} clips of {frames} frames of {SIDE} pixels, {DEVICE.type}"
    table(title, ("way", "ms" if on_gpu else "ms of CPU", "gain", "memory of a step", "share"), rows)
    write(
        "dense_training_step" if not on_gpu else "dense_training_step_gpu",
        {
            "device": DEVICE.type,
            "clips": clips,
            "frames": frames,
            "equality": errors,
            "seconds": {name: spread(taken) for name, taken in seconds.items()},
            "gain": {name: ratio(seconds["published"], taken) for name, taken in seconds.items()},
            "memory_mib": memory,
        },
    )


if __name__ == "__main__":
    main()
