"""``telltime convert --to``: a model in the layouts that others read."""

import argparse
import json


def to_timm(args: argparse.Namespace) -> int:
    """Write an encoder's weights for timm, and say how to load them there."""
    from telltime.checkpoints.dense import find_dense
    from telltime.checkpoints.errors import CheckpointError

    find_dense(args.file)
    if args.out.is_dir() or args.out.suffix != ".safetensors":
        raise CheckpointError(f"{args.out}: timm's weights are one file; give --out FILE.safetensors")
    if args.out.exists() and not args.force:
        raise CheckpointError(f"{args.out} is there already; choose another --out, or --force to replace it")

    from telltime.checkpoints.dense import load_dense_model
    from telltime.checkpoints.timm_file import write_timm_file

    model = load_dense_model(args.file, args.which)
    written = write_timm_file(model.encoder, args.out, model.meta)
    found = {
        "model": args.file,
        "out": str(args.out),
        "tensors": len(model.encoder.network.state_dict()),
        "digest": model.digest(),
        "load": list(written.lines),
        "mean": list(written.mean),
        "std": list(written.std),
    }
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    values = ", ".join(f"{name} {tuple(round(value, 3) for value in found[name])}" for name in ("mean", "std"))
    print(f"written     {args.out}, {found['tensors']} tensors under timm's names")
    print(f"pixels      RGB in 0..1, {values}")
    print("load it with timm alone:\n\n" + "\n".join(f"  {line}" for line in written.lines))
    return 0


def to_others(args: argparse.Namespace) -> int:
    """Write a model in the layout of others, and say so."""
    from telltime.checkpoints.hugging_face import write_hugging_face, write_published
    from telltime.checkpoints.model import load

    model = load(args.file)
    if args.drop_heads:
        model.head = None
    written = (write_hugging_face if args.to == "hf" else write_published)(model, args.out)
    licence = model.meta.get("licence", "that of the data and weights it was trained from")
    found = {"model": str(args.file), "to": args.to, "out": str(written), "licence": licence}
    print(json.dumps(found, indent=2) if args.json else f"written     {written}\nlicence     {licence}")
    return 0
