"""The reference's small networks as our method: built from a golden file, and compared in double precision."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from telltime.backbones.motionformer import Motionformer
from telltime.backbones.timesformer import TimeSformer
from telltime.backbones.xvit import XViT
from telltime.checkpoints.published import of_time_family
from telltime.checkpoints.published_time import to_published
from telltime.methods.time import TIME, Views
from telltime.training.optim import parameter_groups

NETWORKS: dict[str, tuple[type, str, dict[str, float]]] = {
    "timesformer": (TimeSformer, "TimeSformer", {"drop_path": 0.0}),
    "motionformer": (Motionformer, "Motionformer", {"drop_path": 0.0}),
    "xvit": (XViT, "X-ViT", {"drop_path": 0.0, "dropout": 0.0}),
}
TERMS = ("class", "order", "flow", "debias")


class Sizes:
    """Stands in for a reader: the clips of a golden file."""

    def __init__(self, frames: int, size: int) -> None:
        self.frames, self.size = frames, size


@dataclass
class Case:
    """A golden file, the method it speaks of, and the batch of its steps."""

    name: str
    file: dict[str, Any]
    config: dict[str, Any]
    method: TIME
    views: Views

    def published(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors under the method's names to the same under the reference's."""
        parts = [
            {key.removeprefix(f"{part}."): value for key, value in values.items() if key.startswith(f"{part}.")}
            for part in ("backbone", "head", "classifier")
        ]
        return to_published(NETWORKS[self.name][1], *parts)

    def weighed(self, **weights: float) -> Tensor:
        """The loss with weights of its own for the terms."""
        method = self.method
        for name in ("order", "debias", "flow"):
            setattr(method, name, weights.get(name, 0.0))
        loss = method(self.views).loss
        method.order = method.debias = method.flow = 1.0
        return loss


def case(golden: Any, name: str, suffix: str = "", dtype: torch.dtype = torch.float64) -> Case:
    kind, architecture, still = NETWORKS[name]
    file = golden.npz(f"time_{name}{suffix}.npz")
    config = json.loads(str(file["config"]))
    keys = json.loads(str(file["keys"])) if "keys" in file else golden.json("time_keys.json")["backbones"][name]["keys"]
    state = golden.fill({key: torch.zeros(shape) for key, shape in keys.items()}, config["seed"])
    settings = {"NUM_HEADS": config["heads"], "SHIFT_DIV": config["div"]} if "heads" in config else {}
    found = of_time_family(state, settings)
    assert found is not None
    assert found.architecture == architecture
    sizes: Any = Sizes(config["T"], config["img"])
    with torch.device("meta"):
        backbone = kind(**found.init_args | still)
    method = TIME(backbone.to_empty(device="cpu"), sizes, len(found.classifier["bias"])).train()
    method.backbone.load_state_dict(found.backbone)
    method.head.load_state_dict(found.head)
    assert method.classifier is not None
    method.classifier.load_state_dict(found.classifier)
    full, batch, frames, size, seed = "full_" if suffix else "", config["B"], config["T"], config["img"], config["seed"]
    clips = golden.tensor(f"time/{name}/{full}video", (batch, frames, 3, size, size), seed).transpose(1, 2)
    integers = golden.time_inputs.integers
    labels = integers(f"time/{name}/{full}labels", (batch,), method.classifier.out_features, seed)
    patches = method.grid[1] * method.grid[2]
    flow = integers(f"time/{name}/{full}flow", (batch, frames - 1, patches), 9, seed)
    places = torch.from_numpy(file["perm"] if suffix else file["perms"][0]).view(1, -1)
    return Case(name, file, config, method.to(dtype), Views(clips.to(dtype), places, labels, flow))


def losses(one: Case) -> np.ndarray:
    """Class, order, flow, debias (with its constant) and their sum."""
    step = one.method(one.views)
    assert one.method.classifier is not None
    terms = [float(step.logs[name]) for name in TERMS]
    terms[-1] += float(np.log(one.method.classifier.out_features))
    return np.array([*terms, float(step.loss.detach())])


def adamw(method: TIME) -> torch.optim.Optimizer:
    """As published: AMSGrad, no decay of biases and norms."""
    return torch.optim.AdamW(parameter_groups(method, decay_norms=False), lr=1e-4, weight_decay=0.05, amsgrad=True)
