"""``telltime convert``: a published checkpoint to a model folder, and a model to the layouts others read."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telltime.cli._convert_to import to_others, to_timm

if TYPE_CHECKING:
    from torch import nn

    from telltime.checkpoints.clock import Clock
    from telltime.checkpoints.dense_model import DenseModel
    from telltime.checkpoints.model import Model

SUMMARY = "turn a published checkpoint into a model folder, or a model into a layout that others read"

EXAMPLES = """\
examples:
  telltime convert model_best_e247_loss_9.7173.pth --out models/tclr-r3d18-ucf101
  telltime convert rpd18kin400.pth --out models/tclr-r2plus1d-k400 --json
  telltime convert TICL_24_adapter_v1_best.pth --out models/ticl
  telltime convert TimeT.pth --which student --out models/timet
  telltime convert runs/timet --to timm --out tuned.safetensors
  telltime convert TimeSformer_TIME.pyth --out models/time --drop-heads
  telltime convert runs/time --to hf --out for-transformers

The file is read without running anything in it. What comes out is a MODEL like any other:
  telltime embed models/tclr-r3d18-ucf101 MY_VIDEOS --out features
  telltime when photo.jpg --model models/ticl
  telltime evaluate clustering models/timet --data davis --root DAVIS --out results
With --to timm the weights of an encoder of places, from any MODEL that gives one, are written as timm names them.
"""

_NAMES = {"timesformer": "TimeSformer"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``convert FILE --out DIR``."""
    parser.add_argument("file", metavar="FILE", help="checkpoint as its authors published it; with --to any MODEL")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder or file to write")
    parser.add_argument(
        "--to",
        choices=("folder", "timm", "hf", "published"),
        default="folder",
        help="what to write: a model folder (the default); timm, a file of an encoder of places; hf, a TimeSformer "
        "as Hugging Face's transformers reads it; published, a video transformer as TIME's repository saves it",
    )
    parser.add_argument(
        "--which", choices=("student", "teacher"), help="of a file of TimeT or DINO that holds both, which to take"
    )
    parser.add_argument(
        "--drop-heads",
        action="store_true",
        help="leave out heads that only training needs (projection, temporal tasks)",
    )
    parser.add_argument("--force", action="store_true", help="replace what is already there")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(args: argparse.Namespace) -> int:
    """Convert and say what was recognised; 0 when done."""
    from telltime.checkpoints.errors import CheckpointError
    from telltime.checkpoints.folder_kind import hugging_face_settings

    if args.to == "timm":
        return to_timm(args)
    file = Path(args.file)
    if args.to == "folder" and not file.is_file() and not hugging_face_settings(file):
        there = "is a folder, expected a checkpoint file" if file.is_dir() else "there is no such file"
        raise CheckpointError(f"{file}: {there}")
    if args.out.exists() and not args.out.is_dir():
        raise CheckpointError(f"{args.out} is a file; choose a folder for --out")
    if args.out.is_dir() and any(args.out.iterdir()) and not args.force:
        raise CheckpointError(f"{args.out} is not empty; choose another --out, or --force to replace the model in it")
    if args.to != "folder":
        return to_others(args)

    from telltime.checkpoints.clock import Clock
    from telltime.checkpoints.dense_model import DenseModel
    from telltime.checkpoints.loading import load, of_file

    model = load(file) if file.is_dir() else of_file(file, args.which, not args.drop_heads)
    model.save(args.out)
    if isinstance(model, DenseModel):
        parts = _parts_of_encoder(model)
    else:
        parts = _parts_of_clock(model) if isinstance(model, Clock) else _parts_of_model(model)
    found = {"file": str(args.file), "out": str(args.out), "digest": model.digest(), **model.meta, **parts}
    print(json.dumps(found, indent=2) if args.json else _told(found))
    return 0


def _parts_of_model(model: "Model") -> dict[str, Any]:
    return {
        "parameters": _count(model.backbone),
        "head": model.head is not None,
        "classes": model.classifier.out_features if model.classifier is not None else None,
    }


def _parts_of_clock(clock: "Clock") -> dict[str, Any]:
    return {
        "kind": "clock",
        "architecture": f"adapter and time encoder of {clock.classes} classes",
        "parameters": _count(clock.head),
        "tower": clock.keep_tower,
        "classes": clock.classes,
    }


def _parts_of_encoder(model: "DenseModel") -> dict[str, Any]:
    return {
        "kind": "dense",
        "parameters": _count(model.encoder),
        "head": model.head is not None,
        "prototypes": None if model.prototypes is None else len(model.prototypes),
        "classes": None,
    }


def _count(network: "nn.Module") -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _told(found: dict[str, Any]) -> str:
    """What was found, for people."""
    clock = found["kind"] == "clock"
    parts = [f"{found['architecture']}{'' if clock else ' backbone'}, {found['parameters']:,} parameters"]
    if found.get("head"):
        parts.append("modules of the temporal tasks" if found["kind"] == "training" else "projection head")
    if found.get("tower"):
        parts.append("CLIP tower")
    if found["classes"] and not clock:
        parts.append(f"{found['classes']}-way classifier")
    if found.get("prototypes"):
        parts.append(f"{found['prototypes']} prototypes")
    out = found["out"]
    dense = f"evaluate clustering {out} --data NAME --root DIR --out results"
    steps = {"clock": f"when PHOTO --model {out}", "dense": dense}
    kind = "published" if found["kind"] == "dense" else found["kind"]
    who = f" ({found['which']})" if found.get("which") else ""
    method = _NAMES.get(found["method"], found["method"].upper())
    lines = [f"recognised  {method} {kind} file{who}: {', '.join(parts)}"]
    said = {"epoch": "epoch", "best_score": "best loss", "learning_rate": "learning rate"}
    if numbers := [f"{label} {found[key]:g}" for key, label in said.items() if key in found]:
        lines.append(f"it says     {', '.join(numbers)}")
    lines += [f"note        {note}" for note in found["notes"]]
    lines += [
        f"licence     {found['licence']}",
        f"written     {Path(out) / 'model.safetensors'} and config.json",
        f"next        telltime {steps.get(found['kind'], f'embed {out} MY_VIDEOS --out features')}",
    ]
    return "\n".join(lines)
