"""Published files around TCA, recognised by their keys: its encoder, its training state, ViSiL's comparator.

The coarse student of Distill-and-Select (Kordopatis-Zilos et al., IJCV 2022) holds an encoder of the same kind with a
norm at its end; that part is taken, its attention over regions and its NetVLAD are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from telltime.checkpoints.errors import CheckpointError, listed

State = Mapping[str, Tensor]
_ENCODER = "telltime.backbones.tca_encoder.TCAEncoder"
_COMPARATOR = "telltime.backbones.comparator.VideoComparator"
_QUERY, _KEY = "encoder_q.", "encoder_k."
_QUEUE = ("queue", "queue_ptr")


@dataclass(frozen=True)
class Network:
    """A network of a published file under our names.

    Attributes:
        architecture: name as in the literature.
        class_path, init_args: what to build for it.
        state: its state dict.
        meta: the method, its licence and notes for the reader.
    """

    architecture: str
    class_path: str
    init_args: dict[str, Any]
    state: dict[str, Tensor]
    meta: dict[str, Any] = field(default_factory=dict)


def tca_parts(state: State) -> tuple[Network, Tensor | None] | None:
    """The network that a state dict holds and the bank ``[K, C]`` that came with it; ``None`` when it is no such file.

    Raises:
        CheckpointError: it is one, but with keys that do not belong there.
    """
    queue = state.get("queue")
    if any(key.startswith(_QUERY) for key in state):
        stray = [key for key in state if not key.startswith((_QUERY, _KEY)) and key not in _QUEUE]
        if stray:
            raise CheckpointError(f"beside both encoders and their queue it has unknown keys: {listed(stray)}")
        found = tca_parts(_below(state, _QUERY))
        return None if found is None else (found[0], None if queue is None else queue.T.contiguous())
    if any(key.startswith("visil_head.") for key in state):
        rest = [key for key in state if not key.startswith("visil_head.")]
        note = f"only its comparator is taken; left out: {listed(rest)}" if rest else None
        return _comparator(_below(state, "visil_head."), note), None
    if {"conv1.weight", "fconv.weight"} <= state.keys():
        return _comparator(dict(state)), None
    if any(key.startswith("transformer_encoder.layers.") for key in state):
        return _encoder(dict(state), "TCA", "Apache-2.0, as the repository of TCA"), None
    if "transformer.layers.0.self_attn.in_proj_weight" in state and "transformer.norm.weight" in state:
        taken = {f"transformer_encoder.{key}": value for key, value in _below(state, "transformer.").items()}
        rest = [key for key in state if not key.startswith("transformer.")]
        network = _encoder(taken, "DnS coarse student", "Apache-2.0, as the repository of Distill-and-Select")
        network.meta["notes"].append(f"only its transformer is taken; left out: {listed(rest)}")
        return network, None
    return None


def _encoder(state: dict[str, Tensor], name: str, licence: str) -> Network:
    first = "transformer_encoder.layers.0."
    try:
        dim, feedforward = (
            state[f"{first}self_attn.out_proj.weight"].shape[0],
            state[f"{first}linear1.weight"].shape[0],
        )
    except KeyError as error:
        raise CheckpointError(f"it looks like an encoder of {name} but lacks {error}") from error
    numbers = [key.split(".")[2] for key in state if key.startswith("transformer_encoder.layers.")]
    layers = 1 + max(int(number) for number in numbers if number.isdecimal())
    arguments = {"dim": dim, "layers": layers, "heads": 8, "feedforward": feedforward}
    arguments["final_norm"] = "transformer_encoder.norm.weight" in state
    notes = [f"it takes whitened frame descriptors of length {dim}", "8 heads are assumed: the file does not say"]
    return Network(name, _ENCODER, arguments, state, _meta(name, licence, notes))


def _comparator(state: dict[str, Tensor], note: str | None = None) -> Network:
    notes = ["it takes frame-by-frame similarities of two videos", *([note] if note else [])]
    return Network("ViSiL comparator", _COMPARATOR, {}, state, _meta("ViSiL comparator", "Apache-2.0", notes))


def _meta(name: str, licence: str, notes: list[str]) -> dict[str, Any]:
    return {"method": "tca", "architecture": name, "licence": licence, "notes": notes}


def _below(state: State, prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
