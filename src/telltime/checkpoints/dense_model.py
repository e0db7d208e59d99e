"""An encoder of places with what was tuned along with it, as it is saved."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from telltime import __version__
from telltime.backbones.dense import DenseEncoder
from telltime.checkpoints.build import build, check_fits, describe
from telltime.checkpoints.dense import KIND, STUDENT, TEACHER
from telltime.checkpoints.errors import CheckpointError
from telltime.checkpoints.folder import weights_hash, write_folder
from telltime.methods.followers import projection


class DenseModel(nn.Module):
    """What a training of TimeT leaves: an encoder of places, its projection head and prototypes.

    Args:
        encoder: pictures to grids of features; what the dense evaluations use.
        head: features of a cell ``[..., channels]`` to what is compared with prototypes.
        prototypes: ``[K, D]``.
        teacher: the same three of the teacher that followed, where there was one.
        meta: where it comes from (JSON values).
    """

    prototypes: Tensor | None

    def __init__(
        self,
        encoder: DenseEncoder,
        head: nn.Module | None = None,
        prototypes: Tensor | None = None,
        teacher: "DenseModel | None" = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.head, self.teacher = encoder, head, teacher
        self.register_buffer("prototypes", None if prototypes is None else prototypes.detach().clone())
        self.meta = dict(meta or {})
        self.eval()

    def of(self, which: str) -> "DenseModel":
        """The student's or the teacher's part.

        Raises:
            CheckpointError: there is no such part.
        """
        if self.teacher is None and self.meta.get("which", STUDENT) != which:
            raise CheckpointError(f"it holds no {which}; leave --which out")
        if which == TEACHER and self.teacher is not None:
            found, self.teacher.meta = self.teacher, self.meta | {"which": TEACHER}
            return found
        return self

    def digest(self) -> str:
        """A hash of all that decides its features: class, arguments and weights. 32 hexadecimal digits."""
        content = json.dumps([describe(self.encoder), weights_hash(self.encoder.state_dict())], sort_keys=True)
        return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``config.json``; :func:`telltime.checkpoints.dense.load_dense` reads them.

        Raises:
            CheckpointError: the encoder cannot be described by class and arguments, or ``folder`` is a file.
        """
        described = self._described() | {"kind": KIND, "meta": self.meta, "telltime": __version__}
        described |= {"digest": self.digest()}
        return write_folder(Path(folder), json.loads(json.dumps(described)), self.state_dict())

    def _described(self) -> dict[str, Any]:
        return {
            "backbone": describe(self.encoder),
            "head": None if self.head is None else sizes_of(self.head),
            "prototypes": None if self.prototypes is None else list(self.prototypes.shape),
            "teacher": None if self.teacher is None else self.teacher._described(),
        }


def tuned(method: Any, meta: Mapping[str, Any]) -> DenseModel:
    """The parts of a method that are worth keeping: ``encoder``, and ``head``, ``prototypes``, ``teacher`` if any."""
    head, teacher = getattr(method, "head", None), getattr(method, "teacher", None)
    return DenseModel(
        method.encoder,
        head if isinstance(head, nn.Module) and sizes_of(head) else None,
        getattr(method, "prototypes", None),
        tuned(teacher, {}) if isinstance(getattr(teacher, "encoder", None), DenseEncoder) else None,
        meta,
    )


def from_state(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> DenseModel:
    """The model that a config describes with the weights ``state``; sizes are compared before memory is taken.

    Raises:
        CheckpointError: they do not fit each other.
    """
    with torch.device("meta"):
        check_fits(_skeleton(config), state, "the file")
    with torch.random.fork_rng(devices=[]):
        made = _skeleton(config)
    made.load_state_dict(state)
    return made.eval()


def _skeleton(config: Mapping[str, Any]) -> DenseModel:
    """What a config describes, its weights as initialised."""
    try:
        backbone = config["backbone"]
        encoder: Any = build(backbone["class_path"], dict(backbone["init_args"]) | {"pretrained": False})
        if not isinstance(encoder, DenseEncoder):
            raise CheckpointError(f"{backbone['class_path']} gives no features of places")
        head = projection(config["head"]) if config.get("head") else None
        prototypes = torch.zeros(config["prototypes"]) if config.get("prototypes") else None
        teacher = _skeleton(config["teacher"]) if config.get("teacher") else None
        return DenseModel(encoder, head, prototypes, teacher, config.get("meta"))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(f"its config.json is not that of an encoder of places ({error})") from error


def projection_of(state: Mapping[str, Tensor]) -> nn.Sequential | None:
    """A head from its published weights; ``None`` when there are none.

    Raises:
        CheckpointError: they are no chain of linear layers with biases.
    """
    if not state:
        return None
    weights = sorted((int(key.split(".")[0]), value) for key, value in state.items() if key.endswith(".weight"))
    try:
        made = projection([int(weights[0][1].shape[1]), *(int(value.shape[0]) for _, value in weights)])
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"its projection head is no chain of linear layers ({error})") from error
    check_fits(made, state, "its projection head")
    made.load_state_dict(state)
    return made


def sizes_of(head: nn.Module) -> list[int]:
    """Sizes of a head as :func:`~telltime.methods.followers.projection` takes them.

    Raises:
        CheckpointError: it is another kind of network.
    """
    linear = [module for module in head.modules() if isinstance(module, nn.Linear)]
    sizes = [linear[0].in_features, *(layer.out_features for layer in linear)] if linear else []
    if list(projection(sizes).state_dict()) != list(head.state_dict()):
        raise CheckpointError("a projection head cannot be saved that is no chain of linear layers with GELU between")
    return sizes
