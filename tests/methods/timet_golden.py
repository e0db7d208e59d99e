"""TimeT as the golden files were made with it: a tiny transformer whose weights depend on names alone."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from telltime.backbones.dense import DenseEncoder
from telltime.methods.timet import TimeT

PARTS = {
    "feature_extractor.backbone.": "encoder.network.",
    "feature_extractor.head.": "head.",
    "teacher.backbone.": "teacher.encoder.network.",
    "teacher.head.": "teacher.head.",
    "teacher_prototypes": "teacher.prototypes",
}


def ours(published: str) -> str:
    """Our name of a published parameter."""
    return next((new + published[len(old) :] for old, new in PARTS.items() if published.startswith(old)), published)


def published(name: str) -> str:
    """The published name of one of our parameters."""
    backwards = sorted(((new, old) for old, new in PARTS.items()), key=lambda pair: -len(pair[0]))
    return next((old + name[len(new) :] for new, old in backwards if name.startswith(new)), name)


def make(golden: Any, file: dict[str, np.ndarray], **how: Any) -> TimeT:
    """The method of a golden file: sizes are read off its arrays, weights are filled by name."""
    seed, told = int(file["seed"]), golden.json_of_any("timet_checkpoint_keys.json")["tiny_vit_of_the_golden_files"]
    shape = {"patch": told["patch_size"], "dim": told["embed_dim"], "depth": told["depth"], "heads": told["num_heads"]}
    names = [f"blocks.{i}." for i in range(1, told["depth"])]
    prototypes = int(file["config"][2])
    with torch.random.fork_rng(devices=[]):
        method = TimeT(DenseEncoder("tiny", shape=shape, tuned=names), prototypes=prototypes, head=told["head"], **how)
    fill_in(golden, method, seed)
    return method.train()


def fill_in(golden: Any, method: TimeT, seed: int) -> None:
    state = {key: value for key, value in method.state_dict().items() if key != "steps" and not key.startswith("queue")}
    student = {published(key): value for key, value in state.items() if not key.startswith("teacher.")}
    teacher = {published(key): value for key, value in state.items() if key.startswith("teacher.")}
    filled = golden.fill(student, seed) | golden.fill(teacher, seed + 1000)
    for key in ("prototypes", "teacher_prototypes"):
        if key in filled:
            filled[key] = F.normalize(filled[key], dim=-1)
    missing = method.load_state_dict({ours(key): value for key, value in filled.items()}, strict=False)
    assert not missing.unexpected_keys


def clips(golden: Any, name: str, file: dict[str, np.ndarray]) -> torch.Tensor:
    batch, frames, _, size = file["config"].tolist()[:4]
    return golden.timet_inputs.clip(name, batch, frames, size, size, int(file["seed"]))
